"""What the small Hub in `hub_server.py` holds: repositories of commits of files, and LFS objects."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field


@dataclass
class Blob:
    """One file of a commit."""

    content: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def git_oid(self) -> str:
        """Git's own id of what it stores: the file, or for LFS its pointer."""
        stored = self.content
        if self.lfs:
            size = len(self.content)
            stored = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {size}\n".encode()
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored).hexdigest()


@dataclass
class Repo:
    """A repository: commits (sha → path → Blob) and branches (name → sha)."""

    private: bool
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, Blob], message: str) -> str:
        parent = self.branches.get(branch, "")
        listing = "".join(f"{path}\0{blob.git_oid}\n" for path, blob in sorted(files.items()))
        sha = hashlib.sha1(f"{parent}\n{len(self.commits)}\n{message}\n{listing}".encode()).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        self.messages[sha] = message
        return sha

    def resolve(self, revision: str) -> str | None:
        return self.branches.get(revision) or (revision if revision in self.commits else None)


class HubState:
    """What the Hub holds. `requests` logs (method, path, status) of both servers; `storage_tokens` what tokens reached the storage host."""

    url: str
    storage_url: str

    def __init__(self, tokens: dict[str, str]) -> None:
        self.tokens = tokens
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, int]] = []
        self.storage_tokens: list[str] = []
        self.lock = threading.RLock()

    def repo(self, repo_id: str, repo_type: str = "model") -> Repo:
        return self.repos[repo_type, repo_id]

    def files(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> dict[str, bytes]:
        """Path → content of what is in a repository."""
        repo = self.repo(repo_id, repo_type)
        sha = repo.resolve(revision)
        assert sha is not None, f"{repo_id} has no revision {revision}"
        return {path: blob.content for path, blob in repo.commits[sha].items()}
