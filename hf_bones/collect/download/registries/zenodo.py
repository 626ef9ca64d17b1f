"""Zenodo, REST API: a published record and its files.

Follows developers.zenodo.org, "Records": `/records/{id}` answers with `doi`, `metadata` (`title`, `creators`, `publication_date`,
`version`, `license`, `access_right`), `links` and `files` (`key`, `size`, `checksum` "md5:…", `links.self`). The id that stands for all
versions of a record redirects to its newest one.
"""

from __future__ import annotations

from hf_bones.collect.download.listing import DownloadError, Listing, cite, one_file, stated_licence
from hf_bones.collect.http.api import Api

DOI = r"10\.5281/zenodo\.(?P<article>\d+)"


def listing(api: Api, base: str, article: str, version: str = "") -> Listing:
    """What Zenodo says of a record; each version is a record of its own, so `version` is not asked for.

    Raises `ProviderError` where it cannot be asked, `DownloadError` where its files are not public or the answer lacks what is needed.
    """
    where = f"{base}/records/{article}"
    found = api.get_json(where)
    if not isinstance(found, dict) or not isinstance(found.get("metadata"), dict):
        raise DownloadError(f"{where}: the answer is no record of Zenodo's: {str(found)[:200]}")
    about, links = found["metadata"], found.get("links") or {}
    entries = found.get("files")
    access = str(about.get("access_right") or "open")
    if not entries:
        raise DownloadError(f"{where}: the record has no public files (access: {access}); look at https://zenodo.org/records/{article}")
    doi, title = str(found.get("doi") or about.get("doi") or ""), " ".join(str(about.get("title") or "").split())
    year, number = str(about.get("publication_date") or "")[:4], str(about.get("version") or "")
    authors = [str(creator.get("name") or "") for creator in about.get("creators") or []]
    licence = about.get("license")
    words = licence.get("id") or licence.get("title") if isinstance(licence, dict) else licence
    return Listing(
        registry="zenodo",
        article=str(found.get("id") or article),
        version=number or str(found.get("id") or article),
        doi=doi,
        page=str(links.get("self_html") or links.get("html") or f"https://zenodo.org/records/{article}"),
        title=title,
        citation=cite(authors, year, title, number, "Zenodo", doi),
        files=tuple(
            one_file(
                "Zenodo",
                entry,
                entry.get("key"),
                entry.get("size"),
                str(entry.get("checksum") or ""),
                [(entry.get("links") or {}).get("self")],
            )
            for entry in entries
        ),
        **stated_licence(words, licence.get("url") if isinstance(licence, dict) else ""),
    )
