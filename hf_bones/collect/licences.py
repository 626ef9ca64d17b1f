"""Licences: a source's own words as an SPDX identifier, the attribution that a licence asks for, and which licences may be fetched.

Nothing is guessed: what is not clearly one licence is "unknown", and policy decides on it. What `spdx` makes of what sources say:

- A Creative Commons deed or legal code, by URL or by name, with its version: its id ("CC-BY-SA-4.0"). Ported to a country, the id of the
  port where SPDX lists it ("CC-BY-3.0-DE"), else "LicenseRef-CC-BY-SA-3.0-FR": the unported text is another licence.
- Creative Commons without a version ("cc by", as Europe PMC has it): "LicenseRef-CC-BY" and so on. All versions of it allow and ask about
  the same, so a policy may accept it; the id for one of them would be a guess.
- CC0, the Public Domain Mark (CC-PDM-1.0), ODbL, ODC-By and PDDL have one version each, which they stand for without it.
- "Public domain" without more, Commons' PD templates among it: "LicenseRef-Public-Domain". Commons' Attribution, GFDL without a version,
  copyrighted free use and no known restrictions are "LicenseRef-…" too: statements one can decide on, but no listed licence.
- Any other SPDX identifier, in any case, deprecated ones too ("GPL-3.0" says no less than its source does). Expressions with AND or OR
  are not taken apart: unknown.
- Prose (a journal's licence statement): every Creative Commons licence in it, by URL, name or abbreviation, must be the same one. The
  statement that CC0 "applies to the data made available in this article" is about other things than its figures and does not count.
- Where text and URL name two different licences, or the text says "all rights reserved": unknown. Where one is only less exact than the
  other, the more exact one.

Sources: SPDX License List 3.27, creativecommons.org, Commons:Copyright tags, the Hub's list of licence ids, Openverse's licence codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache, reduce

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from hf_bones.collect.candidate import UNKNOWN_LICENCE

PUBLIC_DOMAIN = "LicenseRef-Public-Domain"

_PORTED_VERSIONS = ("1.0", "2.0", "2.1", "2.5", "3.0")  # 4.0 is not ported

_WORDS = {
    "cc0": "CC0-1.0", "cc zero": "CC0-1.0", "cc-zero": "CC0-1.0", "creative commons zero": "CC0-1.0", "cc0 1.0 universal": "CC0-1.0",
    "creative commons cc0": "CC0-1.0", "creative commons zero, public domain dedication": "CC0-1.0",
    "cc0 1.0": "CC0-1.0", "pdm": "CC-PDM-1.0", "pdm 1.0": "CC-PDM-1.0", "public domain mark": "CC-PDM-1.0",
    "public domain mark 1.0": "CC-PDM-1.0", "cc pdm": "CC-PDM-1.0", "cc pdm 1.0": "CC-PDM-1.0", "cc public domain mark 1.0": "CC-PDM-1.0",
    "public domain": PUBLIC_DOMAIN, "public-domain": PUBLIC_DOMAIN, "publicdomain": PUBLIC_DOMAIN, "public domain work": PUBLIC_DOMAIN,
    "attribution": "LicenseRef-Attribution", "copyrighted free use": "LicenseRef-Copyrighted-Free-Use", "gfdl": "LicenseRef-GFDL",
    "gnu free documentation license": "LicenseRef-GFDL", "no restrictions": "LicenseRef-No-Known-Restrictions",
    "no known copyright restrictions": "LicenseRef-No-Known-Restrictions", "fal": "LicenseRef-FAL", "odbl": "ODbL-1.0",
    "odc-by": "ODC-By-1.0", "pddl": "PDDL-1.0", "c-uda": "C-UDA-1.0", "apache 2.0": "Apache-2.0", "apache license 2.0": "Apache-2.0",
    "mit license": "MIT", "gfdl 1.1": "GFDL-1.1", "gfdl 1.2": "GFDL-1.2", "gfdl 1.3": "GFDL-1.3",
}  # fmt: skip
_BY_LOWER_CASE = {name.lower(): name for name in _WORDS.values()}

_COUNTRIES = {
    "australia": "au", "austria": "at", "belgium": "be", "brazil": "br", "canada": "ca", "france": "fr", "germany": "de", "italy": "it",
    "japan": "jp", "netherlands": "nl", "new zealand": "nz", "poland": "pl", "south africa": "za", "spain": "es", "sweden": "se",
    "switzerland": "ch", "uk": "uk", "united kingdom": "uk", "united states": "us", "igo": "igo",
}  # fmt: skip

_PORT = r"(?P<port>[a-z]{2}|igo|scotland)"
_DEED = re.compile(
    rf"creativecommons\.org/(?:licen[cs]es/(?P<parts>[a-z]+(?:-[a-z]+)*)(?:/(?P<version>\d\.\d)(?!\d)(?:/{_PORT}(?![\w-]))?)?"
    r"|publicdomain/(?P<dedication>zero|mark|certification))"
)
_GAP = r"[\s_/\-\u2010-\u2015\u2212]{0,4}"
_PART = r"(?:nc|nd|sa|non-?\s?commercial|no-?\s?deriv(?:ative)?s?(?:\s?works)?|share-?\s?alike)"
_SHORT = rf"(?P<short>by(?:{_GAP}{_PART}){{0,3}})"
_CODE = re.compile(rf"(?:cc{_GAP})?{_SHORT}(?:{_GAP}v?(?P<version>\d(?:\.\d)?)(?:{_GAP}{_PORT})?)?")
# In prose a bare digit or two letters may be the sentence's ("License, 2 figures", "3.0 in"): versions need a dot, ports their name.
_FILLER = r"(?:\(?cc[\s-]by(?:[\s-](?:nc|nd|sa)){0,3}\)?|licen[cs]e|international|unported|generic|public|version|v\.?)"
_VERSION = rf"(?:[\s,]{{0,2}}{_FILLER}){{0,4}}?[\s,(-]{{0,3}}v?(?P<version>\d\.\d)(?!\d)(?:[\s-](?P<country>{'|'.join(_COUNTRIES)})\b)?"
_ABBREVIATED = re.compile(rf"\bcc{_GAP}{_SHORT}\b(?:{_VERSION})?")
_NAMED = re.compile(rf"creative\s+commons{_GAP}(?:\(cc\)\s?)?(?P<long>attribution(?:{_GAP}{_PART}){{0,3}})\b(?:{_VERSION})?")
_NOT_UNDER = re.compile(
    r"\ball rights reserved\b|\bnot\s+(?:\w+\s+)?(?:licensed|covered|available|released|distributed|published)\b"
    r"|\b(?:excluded|exempt(?:ed)?)\s+from\b"
)
_CC0_IN_PROSE = re.compile(r"\bcc0\b|\bcc zero\b|creative commons (?:public domain dedication|zero)")
_TOKEN = re.compile(r"[a-z0-9][a-z0-9.+-]*", re.IGNORECASE)
_REFERENCE = re.compile(r"licenseref-([a-z0-9.-]+)", re.IGNORECASE)
_CC_ID = re.compile(r"(?:LicenseRef-)?CC-(?P<kind>[A-Z-]+?)(?:-(?P<version>\d\.\d)(?:-(?P<port>[A-Z]+))?)?")
_LONGEST = 10_000  # of a licence statement, characters; some journals print theirs in several languages


@lru_cache(maxsize=4096)
def spdx(text: str, url: str = "") -> str:
    """The SPDX identifier (or "LicenseRef-…", see above) for a source's own words and its link to the licence; else "unknown".

    `text` may be an identifier, a name, an abbreviation, a URL, or prose. Never raises; an identifier that came out goes in unchanged.
    """
    return _agreed((_from_text(text[:_LONGEST]), _from_text(url[:_LONGEST]))) or UNKNOWN_LICENCE


def licence_url(spdx_id: str) -> str:
    """The deed of a Creative Commons licence, SPDX's page of any other listed one; "" for what has none."""
    if spdx_id == UNKNOWN_LICENCE:
        return ""
    fixed = {"CC0-1.0": "publicdomain/zero/1.0/", "CC-PDM-1.0": "publicdomain/mark/1.0/", "CC-PDDC": "licenses/publicdomain/"}
    if spdx_id in fixed:
        return f"https://creativecommons.org/{fixed[spdx_id]}"
    match = _CC_ID.fullmatch(spdx_id)
    if match and match["version"]:
        kind = match["kind"].lower()
        if (kind, match["version"]) == ("by-nc-nd", "1.0"):
            kind = "by-nd-nc"  # the order of its parts changed later
        return f"https://creativecommons.org/licenses/{kind}/{match['version']}/" + (f"{match['port'].lower()}/" if match["port"] else "")
    return "" if spdx_id.startswith("LicenseRef-") or not spdx_id else f"https://spdx.org/licenses/{spdx_id}.html"


def attribution_text(*, title: str, creator: str, licence: str, licence_url: str, page: str) -> str:
    """One sentence with title, author, source and licence, as the Creative Commons' guidance on attribution asks for (TASL).

    `licence` is an SPDX identifier, "unknown" or ""; what is empty is left out, a missing title called "Untitled image".
    """
    work = f"“{' '.join(title.split())}”" if title.strip() else "Untitled image"
    by = f" by {' '.join(creator.split())}" if creator.strip() else ""
    source = f" ({page.strip()})" if page.strip() else ""
    if licence in ("", UNKNOWN_LICENCE):
        terms = "licence unknown"
    elif licence == PUBLIC_DOMAIN:
        terms = "public domain"
    elif licence == "CC-PDM-1.0":
        terms = "marked as public domain (Public Domain Mark 1.0)"
    else:
        name = licence.removeprefix("LicenseRef-")
        match = _CC_ID.fullmatch(licence)
        if match:
            name = " ".join(part for part in ("CC", match["kind"], match["version"], match["port"]) if part)
        terms = f"licensed under {name}"
    deed = f" ({licence_url.strip()})" if licence_url.strip() else ""
    return f"{work}{by}{source}, {terms}{deed}."


@dataclass(frozen=True)
class LicencePolicy:
    """Which licences a file may have for being fetched.

    `accept` holds SPDX identifiers or shell patterns of them, in any case. Mind that "CC-BY-*" takes in NC and ND, and "CC-BY-[0-9]*" does
    not; neither takes in "LicenseRef-CC-BY". `unknown` says whether files whose licence is unknown will do; no pattern does.
    """

    accept: tuple[str, ...]
    unknown: bool

    def permits(self, licence: str) -> bool:
        """Whether a file of this licence (as `spdx` gives it) may be fetched."""
        if licence in ("", UNKNOWN_LICENCE):
            return self.unknown
        return any(fnmatchcase(licence.lower(), pattern.strip().lower()) for pattern in self.accept)


def _from_text(text: str) -> str:
    """The id that `text` stands for; "unknown" where it says nothing of a licence, "" where what it says is not one licence."""
    words = " ".join(text.split())
    low = words.lower().strip("\"'“”.,;() ")
    if not low:
        return UNKNOWN_LICENCE
    known = _BY_LOWER_CASE.get(low) or _WORDS.get(low)
    if known:
        return known
    code = _CODE.fullmatch(low)
    if code:
        return _creative_commons(code["short"], code["version"], code["port"])
    if re.fullmatch(r"pd(?:-[a-z0-9-]+)?", low):
        return PUBLIC_DOMAIN
    return _from_identifier(words) or _from_prose(low)


def _from_identifier(word: str) -> str:
    """`word` as SPDX writes it, or "" where it is no identifier."""
    reference = _REFERENCE.fullmatch(word)
    if reference:
        name = reference[1]
        return "LicenseRef-" + (name.upper() if name.lower().startswith("cc-by") else name)
    if not _TOKEN.fullmatch(word):
        return ""
    try:
        return canonicalize_license_expression(word)
    except InvalidLicenseExpression:
        return ""


def _from_prose(low: str) -> str:
    if _NOT_UNDER.search(low):
        return ""
    found = {_from_deed(match) for match in _DEED.finditer(low)}
    prose = re.sub(r"(?:https?://|www\.)\S+", " ", low)
    for pattern, group in ((_ABBREVIATED, "short"), (_NAMED, "long")):
        for match in pattern.finditer(prose):
            found.add(_creative_commons(match[group], match["version"], _COUNTRIES.get(match["country"] or "")))
    if _CC0_IN_PROSE.search(prose):
        found.add("CC0-1.0")
    if re.search(r"appl(?:y|ies) to the data\b", low):
        found.discard("CC0-1.0")
    return "" if UNKNOWN_LICENCE in found else _agreed(sorted(found))


def _from_deed(match: re.Match[str]) -> str:
    dedication = match["dedication"]
    if dedication:
        return {"zero": "CC0-1.0", "mark": "CC-PDM-1.0", "certification": "CC-PDDC"}[dedication]
    if match["parts"] == "publicdomain":
        return "CC-PDDC"
    return _creative_commons(match["parts"], match["version"], match["port"])


def _creative_commons(words: str, version: str | None, port: str | None) -> str:
    """The id for a licence's parts in words or letters, in any order ("by-nd-nc", "attribution non-commercial")."""
    flat = re.sub(r"[^a-z]", "", words)
    rest = re.sub(r"noncommercial|noderiv(?:ative)?s?(?:works)?|sharealike|attribution|by|nc|nd|sa", "", flat)
    parts = [
        letters
        for letters, pattern in (("BY", "attribution|by"), ("NC", "noncommercial|nc"), ("ND", "noderiv|nd"), ("SA", "sharealike|sa"))
        if re.search(pattern, flat)
    ]
    if rest or not parts or {"ND", "SA"} <= set(parts):
        return UNKNOWN_LICENCE
    name = "-".join(("CC", *parts))
    if not version:
        return f"LicenseRef-{name}" if "BY" in parts else UNKNOWN_LICENCE
    version = version if "." in version else f"{version}.0"
    if port and version in _PORTED_VERSIONS and "BY" in parts:
        full = f"{name}-{version}-{port.upper()}"
        return _from_identifier(full) or f"LicenseRef-{full}"
    # Letters after a version that is not ported name the language of a deed.
    return _from_identifier(f"{name}-{version}") or UNKNOWN_LICENCE


def _agreed(names: Iterable[str]) -> str:
    """The most exact of several names of one licence; "" where they are of different ones. "unknown" itself says nothing."""
    known = [name for name in names if name != UNKNOWN_LICENCE]
    if not known:
        return UNKNOWN_LICENCE
    if "" in known:
        return ""
    most_exact = reduce(lambda best, name: name if _refines(name, best) else best, known)
    return most_exact if all(_refines(most_exact, name) for name in known) else ""


def _refines(exact: str, name: str) -> bool:
    """Whether `exact` says all that `name` says, and maybe more: a version, a port."""
    if exact == name or (name == PUBLIC_DOMAIN and exact in ("CC0-1.0", "CC-PDM-1.0", "CC-PDDC", "PDDL-1.0")):
        return True
    short = name.removeprefix("LicenseRef-")
    more = exact.removeprefix("LicenseRef-").removeprefix(short)
    if more == exact.removeprefix("LicenseRef-"):
        return False
    return bool(re.fullmatch(r"-(?:[A-Z]{2,8}|only|or-later)" if re.search(r"\d\.\d$", short) else r"-\d.*", more))
