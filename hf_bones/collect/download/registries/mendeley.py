"""Mendeley Data, its public API: a dataset, its folders and their files.

The fields are those of dev.mendeley.com, "Datasets API Resources" (`name`, `doi`, `version`, `contributors`, `publish_date`,
`data_licence`; of a file `filename`, `size` and `content_details` with `sha256_hash` and `download_url`). The addresses are the ones that
data.mendeley.com itself asks without an account: `/datasets/{id}`, `/datasets/{id}/folders/{version}` (`id`, `name`, `parent_id`) and
`/datasets/{id}/files?folder_id=…&version=…`, where "root" is the outermost folder. They are not documented in prose.
"""

from __future__ import annotations

from typing import Any

from hf_bones.collect.candidate import ProviderError
from hf_bones.collect.download.listing import DownloadError, Listing, RemoteFile, cite, one_file, stated_licence
from hf_bones.collect.http.api import Api

DOI = r"10\.17632/(?P<article>[a-z0-9]{10})(?:\.(?P<version>\d+))?"
_HEADERS = {"Accept": "application/vnd.mendeley-public-dataset.1+json, application/json"}
_DEEPEST = 32  # folders within folders


def listing(api: Api, base: str, article: str, version: str = "") -> Listing:
    """What Mendeley Data says of a dataset, the newest version unless one is asked for.

    Raises `ProviderError` where it cannot be asked, `DownloadError` for an answer that lacks what is needed.
    """
    where = f"{base}/datasets/{article}"
    found = api.get_json(where, {"version": version} if version else None, headers=_HEADERS)
    if not isinstance(found, dict) or "name" not in found:
        raise DownloadError(f"{where}: the answer is no dataset of Mendeley's: {str(found)[:200]}")
    number = str(found.get("version") or version)
    files = _files(api, where, number, _folders(api, where, number))
    if not files:
        raise DownloadError(f"{where}: the dataset has no public files; look at https://data.mendeley.com/datasets/{article}")
    stated = found.get("doi")
    doi = str((stated.get("id") if isinstance(stated, dict) else stated) or f"10.17632/{article}" + (f".{number}" if number else ""))
    title, year = " ".join(str(found["name"]).split()), str(found.get("publish_date") or "")[:4]
    authors = [f"{each.get('last_name') or ''}, {each.get('first_name') or ''}".strip(", ") for each in found.get("contributors") or []]
    licence = found.get("data_licence") or {}
    return Listing(
        registry="mendeley",
        article=article,
        version=number,
        doi=doi,
        page=f"https://data.mendeley.com/datasets/{article}" + (f"/{number}" if number else ""),
        title=title,
        citation=cite(authors, year, title, number, "Mendeley Data", doi),
        files=tuple(files),
        **stated_licence(licence.get("short_name") or licence.get("full_name"), licence.get("url")),
    )


def _folders(api: Api, where: str, version: str) -> dict[str, str]:
    """The path of each folder by its id, "" for the outermost."""
    try:
        answer = api.get_json(f"{where}/folders/{version}", headers=_HEADERS)
    except ProviderError as error:
        if error.status != 404:
            raise
        answer = []  # a dataset without folders
    entries = {str(entry.get("id")): entry for entry in answer if isinstance(entry, dict)} if isinstance(answer, list) else {}
    return {"root": ""} | {identity: _path(identity, entries) for identity in entries}


def _path(identity: str, entries: dict[str, Any]) -> str:
    names: list[str] = []
    while identity in entries:
        if len(names) == _DEEPEST:
            raise DownloadError(f"Mendeley Data: folder {names[-1]!r} lies over {_DEEPEST} folders deep")
        names.append(str(entries[identity].get("name") or identity).replace("/", "_"))
        identity = str(entries[identity].get("parent_id") or "")
    return "/".join(reversed(names))


def _files(api: Api, where: str, version: str, folders: dict[str, str]) -> list[RemoteFile]:
    found = []
    for identity, path in folders.items():
        asked = {"folder_id": identity} | ({"version": version} if version else {})
        answer = api.get_json(f"{where}/files", asked, headers=_HEADERS)
        if not isinstance(answer, list) or not all(isinstance(entry, dict) for entry in answer):
            raise DownloadError(f"{where}/files: the answer is no list of files: {str(answer)[:200]}")
        for entry in answer:
            details = entry.get("content_details") or {}
            size = details.get("size") if isinstance(details.get("size"), int) else entry.get("size")
            name = f"{path}/{entry.get('filename')}" if path else entry.get("filename")
            sha256 = details.get("sha256_hash")
            checksum = f"sha256:{sha256}" if sha256 else ""
            found.append(one_file("Mendeley Data", entry, name, size, checksum, [details.get("download_url")]))
    return found
