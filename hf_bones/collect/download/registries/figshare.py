"""figshare, API v2: an article, its version and its files.

Follows docs.figshare.com: "View article details" (`/articles/{id}`, `/articles/{id}/versions/{version}`; schema ArticleComplete), "List
article files" (`…/files`, in pages; schema PublicFile: `id`, `name`, `size`, `is_link_only`, `download_url`, `supplied_md5`,
`computed_md5`) and "Public File Download" (`/file/download/{file_id}`). That last address is tried before `download_url`: a bot check
stands before the latter, at times, and answers 202 without a body.
"""

from __future__ import annotations

from typing import Any

from hf_bones.collect.download.listing import DownloadError, Listing, RemoteFile, one_file, stated_licence
from hf_bones.collect.http.api import Api

DOI = r"10\.6084/m9\.figshare\.(?P<article>\d+)(?:\.v(?P<version>\d+))?"
_PAGE = 100  # files an answer; figshare's own default is 10
_MOST_PAGES = 1000


def listing(api: Api, base: str, article: str, version: str = "") -> Listing:
    """What figshare says of an article, the newest version unless one is asked for.

    Raises `ProviderError` where it cannot be asked, `DownloadError` for an answer that lacks what is needed.
    """
    where = f"{base}/articles/{article}" + (f"/versions/{version}" if version else "")
    found = api.get_json(where)
    if not isinstance(found, dict) or "title" not in found:
        raise DownloadError(f"{where}: the answer is no article of figshare's: {str(found)[:200]}")
    number = str(found.get("version") or version)
    entries = _files(api, f"{base}/articles/{article}/versions/{number}" if number else where)
    licence = found.get("license") or {}
    return Listing(
        registry="figshare",
        article=article,
        version=number,
        doi=str(found.get("doi") or ""),
        page=str(found.get("url_public_html") or f"https://figshare.com/articles/dataset/_/{article}"),
        title=" ".join(str(found["title"]).split()),
        citation=" ".join(str(found.get("citation") or "").split()),
        files=tuple(_file(base, entry) for entry in entries if not entry.get("is_link_only")),
        left_out=tuple(f"{entry.get('name')}: only a link, figshare does not hold it" for entry in entries if entry.get("is_link_only")),
        **stated_licence(licence.get("name"), licence.get("url")),
    )


def _files(api: Api, article: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for page in range(1, _MOST_PAGES + 1):
        answer = api.get_json(f"{article}/files", {"page": page, "page_size": _PAGE})
        if not isinstance(answer, list) or not all(isinstance(entry, dict) for entry in answer):
            raise DownloadError(f"{article}/files: the answer is no list of files: {str(answer)[:200]}")
        entries += answer
        if len(answer) < _PAGE:
            return entries
    raise DownloadError(f"{article}/files: over {_MOST_PAGES * _PAGE:,} files")


def _file(base: str, entry: dict[str, Any]) -> RemoteFile:
    md5 = entry.get("computed_md5") or entry.get("supplied_md5") or ""
    direct = f"{base}/file/download/{entry['id']}" if entry.get("id") else ""
    urls = (direct, entry.get("download_url"))
    return one_file("figshare", entry, entry.get("name"), entry.get("size"), f"md5:{md5}" if md5 else "", urls)
