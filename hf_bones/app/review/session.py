"""What the review page asks for and gets: lists, one image, decisions, undo, agreement, a model's finding. No gradio here.

Each function of `Review` that the page calls takes plain data and gives plain data: {"ok": true, …}, or {"error": "what to do"}. A decision
is committed and synced to disk before its answer leaves, so that what the page shows as saved survives whatever comes next.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from secrets import token_hex
from typing import Any

from hf_bones.app.demo.classify import answer
from hf_bones.app.review import panel, texts
from hf_bones.app.review.asking import Answered, Asked, ReviewError, answering, check_adjudication, query_of, text_of
from hf_bones.app.review.pictures import Pictures
from hf_bones.curation.review.agreement import AS_THEY_CAME, agree, choose_pair, group_of_images, readings_of, reviewers
from hf_bones.curation.review.facets import DROP, FACETS, KEEP, MINE, RELABEL, Entry
from hf_bones.curation.review.index import CHECK_ORDER, Matches, ReviewIndex, ReviewQuery
from hf_bones.curation.subject import Subject
from hf_bones.inference.checkpoint import CheckpointError
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import LabelScheme
from hf_bones.manifest.store import ImageRecord
from hf_bones.manifest.votes import ADJUDICATED
from hf_bones.pages.pictures import data_url

PAGE_SIZES, DEFAULT_PAGE_SIZE = (30, 60, 120), 60
_LISTS_KEPT = 64  # lists whose order is kept, so that pages stay where they are while decisions are made


class Review:
    """The review of a subject for any number of reviewers at one server. Safe to call from threads."""

    def __init__(self, subject: Subject, scheme: LabelScheme, *, reviewer: str = "", model: str = "bundled") -> None:
        self.subject = subject
        self.scheme = scheme
        self.reviewer = text_of(reviewer)
        self.pictures = Pictures(subject)
        self._model = model
        self._predictor: BonePredictor | None = None
        self._lock = threading.Lock()  # the manifest's connection and the index are used by one thread at a time
        self._model_lock = threading.Lock()
        self._lists: OrderedDict[str, list[str]] = OrderedDict()
        # NORMAL would leave the last commits to the operating system; a reviewer's word is kept even over a power cut.
        subject.manifest.connection.execute("PRAGMA synchronous = FULL")
        self.index = ReviewIndex(subject.manifest)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.subject.folder.resolve().name

    def record(self, sha256: str) -> ImageRecord | None:
        """The image of that hash, if the manifest knows it. Nothing else is ever served."""
        with self._lock:
            entry = self.index.entry(sha256)
            return None if entry is None else entry.record

    def listed(self, token: str) -> list[ImageRecord]:
        """The images of a list, in its order. Raises `ReviewError` for one that is no longer kept."""
        with self._lock:
            if token not in self._lists:
                raise ReviewError("This list is no longer kept; reload the page.")
            entries = [self.index.entry(sha) for sha in self._lists[token]]
            return [entry.record for entry in entries if entry is not None]

    @answering
    def look_up(self, asked: Asked) -> Answered:
        """A page of images. `query` as `query_of` reads it, `page` from 0, `size`; with a `token`, a page of that list."""
        query = query_of(asked.get("query", {}))
        size = next((size for size in PAGE_SIZES if size == asked.get("size")), DEFAULT_PAGE_SIZE)
        with self._lock:
            self.index.refresh()
            found = self._find(query)
            token = str(asked.get("token", ""))
            if token not in self._lists:
                token = token_hex(8)
                self._lists[token] = [self.index.entries[place].record.sha256 for place in found.places]
                if len(self._lists) > _LISTS_KEPT:
                    self._lists.popitem(last=False)
            self._lists.move_to_end(token)
            hashes = self._lists[token]
            pages = max(1, -(-len(hashes) // size))
            page = min(max(0, int(asked.get("page") or 0)), pages - 1)
            entries = [self.index.entry(sha) for sha in hashes[page * size : (page + 1) * size]]
            cards = "".join(self._card(entry, query) for entry in entries if entry is not None)
            orders = [[f"{CHECK_ORDER}{reason}", reason] for reason in self.index.check_reasons()]
            return {
                "token": token,
                "total": len(hashes),
                "of": len(self.index.entries),
                "page": page,
                "pages": pages,
                "cards": cards or texts.nothing_html(query.chosen, texts.command_that_fills(query.chosen, self.subject.folder)),
                "next": hashes[(page + 1) * size : (page + 2) * size],
                "facets": self._facets(found),
                "orders": texts.order_choices(orders),
            }

    @answering
    def show(self, asked: Asked) -> Answered:
        """One image large: its panel, its boxes, and its near-duplicates."""
        query = query_of(asked.get("query", {}))
        with self._lock:
            entry = self._entry(asked)
            copies = [copy for sha in entry.copies if (copy := self.index.entry(sha)) is not None]
            return {
                "sha": entry.record.sha256,
                "panel": panel.panel_html(entry, copies, query.blind, query.reviewer, self.scheme, self.subject.folder),
                "caption": texts.caption_html(entry, query.blind),
                "captions": {copy.record.sha256: texts.caption_html(copy, query.blind) for copy in copies},
                "boxes": [] if query.blind else [list(box) for box in entry.record.boxes],
                "label": "" if query.blind else entry.record.final_label,
            }

    @answering
    def decide(self, asked: Asked) -> Answered:
        """Appends a decision of the query's reviewer: `action` "drop" (with a `reason`), "keep" or "relabel" (to `label`, `subtype`).

        With `adjudicate`, it settles the votes that differ on that question, which the image must have.
        """
        query = query_of(asked.get("query", {}))
        by, action = self._by(query), asked.get("action")
        label, subtype = str(asked.get("label") or ""), str(asked.get("subtype") or "")
        reason = text_of(asked.get("reason"))
        with self._lock:
            entry = self._entry(asked)
            if self.subject.manifest.image(entry.record.sha256) is None:
                raise ReviewError("This image is no longer in the manifest; reload the page.")
            if action == RELABEL:
                self._check_label(label, subtype)
                reason = "read without seeing labels" if query.blind else "relabelled" if label != entry.record.label else "confirmed"
            elif action == KEEP:
                label, subtype, reason = "", "", "restored" if entry.dropped else "kept"
            elif action == DROP:
                label, subtype, reason = "", "", reason or "not of use"
            else:
                raise ReviewError(f"There is no decision {action!r}.")
            if asked.get("adjudicate"):
                check_adjudication(entry, str(action), query)
                reason = f"{ADJUDICATED}: {reason}" if action == DROP else ADJUDICATED
            elif reason.partition(":")[0] == ADJUDICATED:  # typed by hand, it would settle what nobody asked to settle
                reason = f"not of use, {reason}"
            number = self.subject.manifest.decide(entry.record.sha256, action, reason, by, label=label, subtype=subtype)
            told = texts.decision_words(action, label, subtype, reason)
            return self._after(entry, query, number, f"Saved: {entry.record.sha256[:8]} {told}, by {by}.")

    @answering
    def undo(self, asked: Asked) -> Answered:
        """Takes back the reviewer's own last decision that stands; asked again, the one before."""
        query = query_of(asked.get("query", {}))
        by = self._by(query)
        with self._lock:
            last = self.subject.manifest.connection.execute(
                "SELECT max(d.id) FROM decisions d WHERE d.decided_by = ? AND d.decision != 'undo'"
                " AND d.sha256 IN (SELECT sha256 FROM images) AND NOT EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = d.id)",
                (by,),
            ).fetchone()[0]
            if last is None:
                raise ReviewError(f"There is no decision of {by} left to undo.")
            decision = next(self.subject.manifest.decisions("d.id = ?", (last,)))
            if self.index.entry(decision.sha256) is None:  # it came after this page was opened
                self.index.load()
            entry = self._entry({"sha": decision.sha256})
            number = self.subject.manifest.undo(last, by)
            told = texts.decision_words(decision.decision, decision.label, decision.subtype, decision.reason)
            return self._after(entry, query, number, f"Taken back: {decision.sha256[:8]} {told}.")

    @answering
    def agreement(self, asked: Asked) -> Answered:
        """Cohen's kappa of two reviewers: `first`, `second` (the two busiest by default), `use` for keep or drop instead of labels."""
        query = query_of(asked.get("query", {}))
        with self._lock:
            readings = readings_of(self.subject.manifest, use=bool(asked.get("use")))
            groups = group_of_images(self.subject.manifest)
        names = [*reviewers(readings), *([AS_THEY_CAME] if AS_THEY_CAME in readings else [])]
        named = [name if name in names else None for name in (asked.get("first"), asked.get("second"))]
        pair = choose_pair(readings, named[0], named[1] if named[1] != named[0] else None)
        if pair is None:
            return {"html": texts.no_agreement_html(), "names": names, "first": "", "second": "", "shas": []}
        found = agree(*pair, readings, categories=self.scheme.names, groups=groups)
        with self._lock:
            known = [row for row in found.differing if self.index.entry(row[0]) is not None]
        return {
            "html": texts.agreement_html(found, known, blind=query.blind),
            "names": names,
            "first": found.first,
            "second": found.second,
            "shas": [sha for sha, _, _ in known],
        }

    @answering
    def ask_model(self, asked: Asked) -> Answered:
        """The finding of the model given to this review, and its heat map. The model is loaded when it is first asked."""
        if query_of(asked.get("query", {})).blind:
            raise ReviewError("The model's view would influence you; show the labels to see it.")
        with self._lock:
            entry = self._entry(asked)
        try:
            content = self.subject.read(entry.record)
        except OSError as error:
            raise ReviewError(f"The file cannot be read: {error.strerror or error}") from error
        with self._model_lock:
            if self._predictor is None:
                try:
                    self._predictor = BonePredictor.from_pretrained(self._model)
                except CheckpointError as error:
                    raise ReviewError(str(error)) from error
            found = answer(self._predictor, content, entry.record.sha256[:8])
            shown = panel.model_html(found, self._predictor.scheme)
        return {"html": shown, "heat": "" if found.heat is None or found.silent else data_url(found.heat, quality=85)}

    @answering
    def progress(self, asked: Asked) -> Answered:
        """How far the thumbnails are."""
        return {"made": self.pictures.made, "wanted": self.pictures.wanted, "failed": self.pictures.failed}

    def _find(self, query: ReviewQuery) -> Matches:
        try:
            return self.index.find(query)
        except ValueError as error:
            raise ReviewError(str(error)) from error

    def _entry(self, asked: Asked) -> Entry:
        entry = self.index.entry(str(asked.get("sha", "")))
        if entry is None:
            raise ReviewError("There is no such image here; reload the page.")
        return entry

    def _by(self, query: ReviewQuery) -> str:
        if not query.reviewer:
            raise ReviewError("First give your name, at the top: every decision is signed.")
        return query.reviewer

    def _check_label(self, label: str, subtype: str) -> None:
        if label not in self.scheme.names:
            raise ReviewError(f"There is no class {label!r}; there are: {', '.join(self.scheme.names)}.")
        held = self.scheme.classes[self.scheme.names.index(label)].subtypes
        if subtype and subtype not in held:
            raise ReviewError(f"{label} has no subtype {subtype!r}.")

    def _after(self, entry: Entry, query: ReviewQuery, number: int, message: str) -> Answered:
        """What the page needs after a decision: the card as it is now, the counts, and whether reviewers differ by now."""
        after = self.index.reread(entry.record.sha256) or entry
        card = self._card(after, query)
        if after.record.disputed and not query.blind:
            message += f" Reviewers differ ({texts.votes_words(after.record.disputed)}): it needs adjudication."
        return {
            "number": number,
            "sha": entry.record.sha256,
            "card": card,
            "message": message,
            "facets": self._facets(self._find(query)),
        }

    def _card(self, entry: Entry, query: ReviewQuery) -> str:
        return texts.card_html(entry, query.blind, query.reviewer)

    def _facets(self, found: Matches) -> list[dict[str, Any]]:
        """Facets for the page, each with its values as [value, words, count]."""
        titles = {MINE: "My reading", **{facet.name: facet.title for facet in FACETS}}
        return [
            {
                "name": name,
                "title": title,
                "values": [[value, texts.value_words(name, value), count] for value, count in found.counts[name].items()],
            }
            for name, title in titles.items()
            if name in found.counts
        ]
