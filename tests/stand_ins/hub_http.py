"""The HTTP side of the small Hub in `hub_server.py`: the requests it answers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from hub_state import Blob, Repo
from hub_storage import Request

LFS_SUFFIXES = (".safetensors", ".png", ".parquet", ".arrow", ".onnx")
TYPE_PREFIX = {"": "model", "datasets/": "dataset", "spaces/": "space"}


class HubRequest(Request):
    """The Hub itself."""

    def handle_request(self) -> None:
        sent = self.body()
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if given and given not in self.hub.tokens:
            return self.error(401, "", "Invalid credentials in Authorization header")
        self.user = self.hub.tokens.get(given)
        path = unquote(urlsplit(self.path).path)
        self.query = parse_qs(urlsplit(self.path).query)
        with self.hub.lock:
            for method, pattern, answer in _ROUTES:
                found = re.fullmatch(pattern, path)
                if found and self.command in method:
                    return answer(self, sent, **found.groupdict())
        return self.error(404, "NotFound", f"this small Hub does not know {self.command} {path}")

    # --- who, and what exists ---

    def whoami(self, sent: bytes) -> None:
        if self.user is None:
            return self.error(401, "", "Invalid username or password.")
        role = {"displayName": "test", "role": "write"}
        return self.answer(200, {"type": "user", "name": self.user, "orgs": [], "auth": {"type": "access_token", "accessToken": role}})

    def create(self, sent: bytes) -> None:
        wanted = json.loads(sent)
        if self.user is None:
            return self.error(401, "", "Invalid username or password.")
        owner = wanted.get("organization") or self.user
        if owner != self.user:
            return self.error(403, "", f'You don\'t have the rights to create a model under the namespace "{owner}"')
        repo_type, repo_id = wanted.get("type") or "model", f"{owner}/{wanted['name']}"
        prefix = next(prefix for prefix, kind in TYPE_PREFIX.items() if kind == repo_type)
        address = {"url": f"{self.hub.url}/{prefix}{repo_id}", "name": repo_id}
        if repo_type == "space" and wanted.get("sdk") not in ("gradio", "docker", "static"):
            return self.error(400, "", "a Space needs an sdk: gradio, docker or static")
        if (repo_type, repo_id) in self.hub.repos:
            return self.answer(
                409, {"error": "You already created this repo", **address}, {"X-Error-Message": "You already created this repo"}
            )
        repo = Repo(private=wanted.get("visibility") == "private" or bool(wanted.get("private")))
        repo.commit("main", {".gitattributes": Blob(b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n", lfs=False)}, "initial commit")
        self.hub.repos[repo_type, repo_id] = repo
        return self.answer(200, address)

    def validate_yaml(self, sent: bytes) -> None:
        found = re.match(r"---\n(.*?)\n---", json.loads(sent)["content"], re.DOTALL)
        if found is None:
            return self.answer(200, {"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]})
        try:
            matter = yaml.safe_load(found[1])
        except yaml.YAMLError as error:
            return self.answer(400, {"errors": [{"message": str(error)}], "warnings": []})
        problems = [f'"{key}" is not a Hub id: {value}' for key in ("base_model",) if (value := matter.get(key)) and "/" not in value]
        return self.answer(400 if problems else 200, {"errors": [{"message": text} for text in problems], "warnings": []})

    # --- reading ---

    def open_repo(self, kind: str, repo_id: str, *, write: bool = False) -> Repo | None:
        """The repository, or None after answering that it is not there (the Hub says so of a private one too)."""
        repo = self.hub.repos.get((kind, repo_id))
        owner = repo_id.partition("/")[0]
        if repo is None or (repo.private and self.user != owner):
            self.error(404 if self.user else 401, "RepoNotFound", "Repository not found")
            return None
        if write and self.user != owner:
            self.error(403 if self.user else 401, "", "You have read access but not the required permissions for this operation")
            return None
        return repo

    def at(self, repo: Repo, revision: str) -> str | None:
        sha = repo.resolve(revision)
        if sha is None:
            self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return sha

    def info(self, sent: bytes, kind: str, repo_id: str, revision: str = "main") -> None:
        if (repo := self.open_repo(kind, repo_id)) is None or (sha := self.at(repo, revision)) is None:
            return None
        files = repo.commits[sha]
        card = files["README.md"].content.decode() if "README.md" in files else ""
        matter = re.match(r"---\n(.*?)\n---", card, re.DOTALL)
        data: dict[str, Any] = yaml.safe_load(matter[1]) if matter else {}
        known = {"id": repo_id, "modelId": repo_id, "sha": sha, "private": repo.private, "gated": False, "disabled": False, "downloads": 0}
        described = {
            "likes": 0,
            "tags": data.get("tags", []),
            "cardData": data,
            "siblings": [{"rfilename": path} for path in sorted(files)],
        }
        task = {"pipeline_tag": data.get("pipeline_tag"), "library_name": data.get("library_name")}
        return self.answer(200, known | described | task)

    def tree(self, sent: bytes, kind: str, repo_id: str, revision: str, folder: str = "") -> None:
        if (repo := self.open_repo(kind, repo_id)) is None or (sha := self.at(repo, revision)) is None:
            return None
        listed: dict[str, dict[str, Any]] = {}
        for path, blob in sorted(repo.commits[sha].items()):
            if folder and not path.startswith(f"{folder}/"):
                continue
            rest = path[len(folder) + 1 if folder else 0 :]
            if "/" in rest and self.query.get("recursive", ["false"])[0].lower() not in ("true", "1"):
                parent = path[: len(path) - len(rest)] + rest.partition("/")[0]
                listed[parent] = {"type": "directory", "oid": hashlib.sha1(parent.encode()).hexdigest(), "size": 0, "path": parent}
            else:
                listed[path] = _entry(path, blob)
        return self.answer(200, list(listed.values()))

    def paths_info(self, sent: bytes, kind: str, repo_id: str, revision: str) -> None:
        if (repo := self.open_repo(kind, repo_id)) is None or (sha := self.at(repo, revision)) is None:
            return None
        is_json = "json" in self.headers.get("Content-Type", "")
        wanted = json.loads(sent)["paths"] if is_json else parse_qs(sent.decode()).get("paths", [])
        files = repo.commits[sha]
        return self.answer(200, [_entry(path, files[path]) for path in wanted if path in files])

    def refs(self, sent: bytes, kind: str, repo_id: str) -> None:
        if (repo := self.open_repo(kind, repo_id)) is None:
            return None
        branches = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha} for name, sha in repo.branches.items()]
        return self.answer(200, {"branches": branches, "tags": [], "converts": []})

    def resolve(self, sent: bytes, prefix: str, repo_id: str, revision: str, file: str) -> None:
        repo = self.open_repo(TYPE_PREFIX[prefix or ""], repo_id)
        if repo is None or (sha := self.at(repo, revision)) is None:
            return None
        blob = repo.commits[sha].get(file)
        if blob is None:
            return self.error(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": sha})
        if not blob.lfs:
            return self.content(blob.content, {"ETag": f'"{blob.git_oid}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"})
        linked = {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.content)), "X-Repo-Commit": sha}
        return self.answer(302, b"", linked | {"Location": f"{self.hub.storage_url}/lfs/{blob.sha256}"})

    # --- writing ---

    def branch(self, sent: bytes, kind: str, repo_id: str, revision: str) -> None:
        if (repo := self.open_repo(kind, repo_id, write=True)) is None:
            return None
        if revision in repo.branches:
            return self.error(409, "", f"Reference already exists: {revision}")
        start = json.loads(sent or b"{}").get("startingPoint", "main")
        if (sha := self.at(repo, start)) is None:
            return None
        repo.branches[revision] = sha
        return self.answer(200, {})

    def preupload(self, sent: bytes, kind: str, repo_id: str, revision: str) -> None:
        if (repo := self.open_repo(kind, repo_id, write=True)) is None or (sha := self.at(repo, revision)) is None:
            return None
        answers = []
        for file in json.loads(sent)["files"]:
            there = repo.commits[sha].get(file["path"])
            mode = "lfs" if file["path"].endswith(LFS_SUFFIXES) or b"\0" in base64.b64decode(file["sample"]) else "regular"
            oid = None if there is None else there.sha256 if there.lfs else there.git_oid
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return self.answer(200, {"files": answers})

    def lfs_batch(self, sent: bytes, prefix: str, repo_id: str) -> None:
        if self.open_repo(TYPE_PREFIX[prefix or ""], repo_id, write=True) is None:
            return None
        objects: list[dict[str, Any]] = []
        for wanted in json.loads(sent)["objects"]:
            actions = {"upload": {"href": f"{self.hub.storage_url}/lfs/{wanted['oid']}"}, "verify": {"href": f"{self.hub.url}/lfs-verify"}}
            objects.append({**wanted} if wanted["oid"] in self.hub.objects else {**wanted, "actions": actions})
        return self.answer(200, {"transfer": "basic", "objects": objects})

    def lfs_verify(self, sent: bytes) -> None:
        wanted = json.loads(sent)
        if len(self.hub.objects.get(wanted["oid"], b"")) != wanted["size"]:
            return self.error(404, "", "the object was not uploaded")
        return self.answer(200, {})

    def commit(self, sent: bytes, kind: str, repo_id: str, revision: str) -> None:
        if (repo := self.open_repo(kind, repo_id, write=True)) is None or (sha := self.at(repo, revision)) is None:
            return None
        files, message = dict(repo.commits[sha]), ""
        for line in sent.decode().splitlines():
            item = json.loads(line)
            key, value = item["key"], item["value"]
            if key == "header":
                message = value["summary"]
                if value.get("parentCommit", sha) != sha:
                    return self.error(412, "", "A commit has happened since. Please refresh and try again.")
            elif key == "file":
                files[value["path"]] = Blob(base64.b64decode(value["content"]), lfs=False)
            elif key == "lfsFile":
                if value["oid"] not in self.hub.objects:
                    return self.error(400, "", f"{value['path']}: LFS object {value['oid']} was never uploaded")
                files[value["path"]] = Blob(self.hub.objects[value["oid"]], lfs=True)
            elif key in ("deletedFile", "deletedFolder"):
                files = {path: blob for path, blob in files.items() if path != value["path"] and not path.startswith(f"{value['path']}/")}
            else:
                return self.error(400, "", f"unknown operation {key!r}")
        new = repo.commit(revision, files, message)
        prefix = next(prefix for prefix, name in TYPE_PREFIX.items() if name == kind)
        url = f"{self.hub.url}/{prefix}{repo_id}/commit/{new}"
        return self.answer(200, {"success": True, "commitOid": new, "commitUrl": url, "hookOutput": ""})


def _entry(path: str, blob: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": blob.git_oid, "size": len(blob.content), "path": path}
    return entry | ({"lfs": {"oid": blob.sha256, "size": len(blob.content), "pointerSize": 134}} if blob.lfs else {})


_ID = r"(?P<repo_id>[^/]+/[^/]+)"
_API = rf"/api/(?P<kind>model|dataset|space)s/{_ID}"
_REV = r"(?P<revision>[^/]+)"
_ROUTES = [
    (("GET",), "/api/whoami-v2", HubRequest.whoami),
    (("POST",), "/api/repos/create", HubRequest.create),
    (("POST",), "/api/validate-yaml", HubRequest.validate_yaml),
    (("GET",), _API, HubRequest.info),
    (("GET",), f"{_API}/revision/{_REV}", HubRequest.info),
    (("GET",), f"{_API}/refs", HubRequest.refs),
    (("GET",), rf"{_API}/tree/{_REV}(?:/(?P<folder>.+))?", HubRequest.tree),
    (("POST",), f"{_API}/paths-info/{_REV}", HubRequest.paths_info),
    (("POST",), f"{_API}/branch/{_REV}", HubRequest.branch),
    (("POST",), f"{_API}/preupload/{_REV}", HubRequest.preupload),
    (("POST",), f"{_API}/commit/{_REV}", HubRequest.commit),
    (("POST",), rf"/(?P<prefix>datasets/|spaces/)?{_ID}\.git/info/lfs/objects/batch", HubRequest.lfs_batch),
    (("POST",), "/lfs-verify", HubRequest.lfs_verify),
    (("GET", "HEAD"), rf"/(?P<prefix>datasets/|spaces/)?{_ID}/resolve/{_REV}/(?P<file>.+)", HubRequest.resolve),
]
