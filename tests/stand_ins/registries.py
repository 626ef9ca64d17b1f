"""figshare, Zenodo and Mendeley Data on loopback: answers in the formats that they document, with files that can be resumed."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import ssl
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx2
import pytest
import yaml
from rogue_server import Reply, RogueServer

from hf_bones.collect.download import command
from hf_bones.collect.download.transfer import Patience

QUICK = Patience(attempts=3, first_wait=0.01, longest_wait=1.0, progress=1000)

FRACATLAS, GRAZPEDWRI = "22363012", "14825193"


def make_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second between two questions, and the certificates that no server here has are read once."""
    monkeypatch.setattr(command, "PAUSE", 0.0)
    monkeypatch.setattr(httpx2, "create_ssl_context", _certificates)


@functools.cache
def _certificates(trust_env: bool = False, make: Callable[..., ssl.SSLContext] = httpx2.create_ssl_context) -> ssl.SSLContext:
    return make(trust_env=trust_env)


def serve(server: RogueServer, path: str, body: bytes, *, ranges: bool = True, breaks: Mapping[int, int] | None = None) -> str:
    """A file at `path`. `breaks`: number of a request → bytes after which its connection is reset."""

    def how(reply: Reply) -> None:
        asked = reply.headers.get("range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and ranges else 0
        rest = body[start:]
        if asked and ranges:
            reply.head(status=206, length=len(rest), Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            reply.head(length=len(rest))
        if breaks and reply.number in breaks:
            reply.raw(rest[: breaks[reply.number]])
            reply.reset()
        else:
            reply.raw(rest)

    return server.answer(path, how)


def answer_json(server: RogueServer, path: str, data: object) -> None:
    server.page(path, json.dumps(data).encode(), Content_Type="application/json")


def publish_figshare(server: RogueServer, article: str, files: Mapping[str, bytes], *, version: int = 6, **changed: object) -> None:
    """An article of figshare's; the download addresses redirect to a store, as figshare's do. `changed` replaces fields of the answer."""
    entries = []
    for number, (name, body) in enumerate(files.items(), start=int(article) * 100):
        store = server.url + f"/store/{number}"
        if f"/store/{number}" not in server.routes:
            serve(server, f"/store/{number}", body)
        server.answer(f"/v2/file/download/{number}", lambda reply, store=store: reply.send(status=302, Location=store))
        md5 = hashlib.md5(body).hexdigest()
        entries.append({
            "id": number, "name": name, "size": len(body), "is_link_only": False, "computed_md5": md5, "supplied_md5": md5,
            "download_url": f"{server.url}/ndownloader/files/{number}", "mimetype": "application/zip",
        })  # fmt: skip
    about = {
        "id": int(article), "title": "The dataset", "doi": f"10.6084/m9.figshare.{article}.v{version}", "version": version,
        "url_public_html": f"https://figshare.com/articles/dataset/The_dataset/{article}",
        "license": {"value": 1, "name": "CC BY 4.0", "url": "https://creativecommons.org/licenses/by/4.0/"},
        "citation": f"Abedeen, Iftekharul (2023). The dataset. figshare. Dataset. https://doi.org/10.6084/m9.figshare.{article}.v{version}",
        "authors": [{"id": 1, "full_name": "Iftekharul Abedeen"}], "files": entries[:10],
    } | changed  # fmt: skip
    answer_json(server, f"/v2/articles/{article}", about)
    answer_json(server, f"/v2/articles/{article}/versions/{version}", about)
    pages = [entries[start : start + 100] for start in range(0, len(entries) + 1, 100)]
    for page, part in enumerate(pages, start=1):
        answer_json(server, f"/v2/articles/{article}/versions/{version}/files?page={page}&page_size=100", part)


def publish_zenodo(server: RogueServer, record: str, files: Mapping[str, bytes], *, licence: object, **changed: object) -> None:
    """A record of Zenodo's."""
    entries = []
    for name, body in files.items():
        url = serve(server, f"/api/records/{record}/files/{name}/content", body)
        entries.append({"key": name, "size": len(body), "checksum": f"md5:{hashlib.md5(body).hexdigest()}", "links": {"self": url}})
    about = {
        "title": "Wrists", "creators": [{"name": "Roentgen, W."}, {"name": "Curie, M."}], "publication_date": "2024-02-05", "version": "v2",
        "access_right": "open", "license": licence,
    }  # fmt: skip
    links = {"self_html": f"https://zenodo.org/records/{record}"}
    found = {"id": int(record), "doi": f"10.5281/zenodo.{record}", "metadata": about, "links": links, "files": entries} | changed
    answer_json(server, f"/api/records/{record}", found)


def publish_mendeley(server: RogueServer, dataset: str, files: Mapping[str, bytes], *, version: int = 3) -> None:
    """A dataset of Mendeley Data's. A name "a/b.png" lies in folder a."""
    folders = sorted({name.rpartition("/")[0] for name in files} - {""})
    identities = {folder: f"folder-{number}" for number, folder in enumerate(folders)} | {"": "root"}
    within: dict[str, list[object]] = {identity: [] for identity in identities.values()}
    for number, (name, body) in enumerate(files.items()):
        folder, _, last = name.rpartition("/")
        url = serve(server, f"/public-files/datasets/{dataset}/files/{number}/file_downloaded", body)
        details = {"sha256_hash": hashlib.sha256(body).hexdigest(), "size": len(body), "content_type": "image/png", "download_url": url}
        entry = {"id": str(number), "filename": last, "size": len(body), "status": "COMPLETED", "content_details": details}
        within[identities[folder]].append(entry)
    about = {
        "id": dataset, "version": version, "name": "Simple and comminuted", "doi": {"id": f"10.17632/{dataset}.{version}"},
        "publish_date": "2024-12-11T10:00:00.000Z", "contributors": [{"first_name": "Ada", "last_name": "Lovelace"}],
        "data_licence": {"short_name": "CC BY NC 3.0", "url": "https://creativecommons.org/licenses/by-nc/3.0"},
    }  # fmt: skip
    answer_json(server, f"/public-api/datasets/{dataset}", about)
    answer_json(server, f"/public-api/datasets/{dataset}?version={version}", about)
    listed = [{"id": identities[folder], "name": folder, "parent_id": "root"} for folder in folders]
    answer_json(server, f"/public-api/datasets/{dataset}/folders/{version}", listed)
    for identity, entries in within.items():
        answer_json(server, f"/public-api/datasets/{dataset}/files?folder_id={identity}&version={version}", entries)


def sets_file(folder: Path, server: RogueServer) -> Path:
    """A list of sets that asks the registries of `server`, for `--sets`."""
    path = folder / "sets.yaml"
    apis = {"figshare": f"{server.url}/v2", "zenodo": f"{server.url}/api", "mendeley": f"{server.url}/public-api"}
    path.write_text(yaml.safe_dump({"registries": apis}))
    return path


def packed(members: Mapping[str, bytes | str]) -> bytes:
    """A ZIP archive."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return into.getvalue()
