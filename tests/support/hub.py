"""A Hugging Face hub in the small: the routes that huggingface_hub asks for datasets, on the loopback of this machine.

Commits are kept whole; a branch may move while it is read. It answers as the hub does: 401 to someone unknown who asks
for a private or missing repository, 404 to someone known, ranges of files by `Range`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class HubRepository:
    """A dataset: files by commit, commits by branch."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    private: bool = False

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """A further commit with these files alone; the branch moves to it."""
        content = json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())})
        sha = hashlib.sha1(f"{len(self.commits)} {content}".encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.branches[branch] = sha
        return sha


@dataclass
class FakeHub:
    """A running hub. `asked`: every request; `token`: the one that opens private repositories."""

    url: str
    token: str = "hf_a-token-of-this-test"
    repositories: dict[str, HubRepository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    def dataset(self, name: str, *, private: bool = False) -> HubRepository:
        return self.repositories.setdefault(name, HubRepository(private=private))


@contextmanager
def serving() -> Iterator[FakeHub]:
    """A hub until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = FakeHub(f"http://127.0.0.1:{server.server_address[1]}")
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        return

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        self.form = parse_qs(self.rfile.read(size).decode())
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub: FakeHub = self.server.hub  # type: ignore[attr-defined]
        address = urlsplit(self.path)
        hub.asked.append(f"{self.command} {self.path}")
        hub.authorizations.append(self.headers.get("Authorization") or "")
        parts = address.path.strip("/").split("/")
        api = parts[0] == "api"
        parts = parts[1:] if api else parts
        known = self.headers.get("Authorization") == f"Bearer {hub.token}"
        repository = hub.repositories.get("/".join(parts[1:3])) if parts[0] == "datasets" else None
        if repository is None or (repository.private and not known):
            self._send(404 if known else 401, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)
            return
        rest = parts[3:]
        route, revision = (rest[0], unquote(rest[1])) if rest else ("revision", "main")
        sha = repository.branches.get(revision, revision)
        if sha not in repository.commits:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body=body)
            return
        files, path = repository.commits[sha], "/".join(map(unquote, rest[2:]))
        if route == "revision":
            self._json({"id": "/".join(parts[1:3]), "sha": sha, "siblings": [], "tags": [], "private": False})
        elif route == "tree":
            self._tree(files, path, recursive=parse_qs(address.query).get("recursive") == ["true"])
        elif route == "paths-info":
            self._json([_entry(name, files[name]) for name in self.form["paths"] if name in files])
        elif route == "resolve" and path in files:
            self._file(files[path], sha, body=body)
        else:
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"}, body=body)

    def _tree(self, files: dict[str, bytes], folder: str, *, recursive: bool) -> None:
        prefix = f"{folder}/" if folder else ""
        below = {name: data for name, data in files.items() if name.startswith(prefix)}
        if not below:
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"}, body=True)
            return
        entries: dict[str, dict[str, Any]] = {}
        for name, data in sorted(below.items()):
            levels = name[len(prefix) :].split("/")
            for depth in range(1, len(levels)):
                path = prefix + "/".join(levels[:depth])
                if recursive or depth == 1:
                    oid = hashlib.sha1(path.encode()).hexdigest()
                    entries.setdefault(path, {"type": "directory", "path": path, "oid": oid, "size": 0})
            if recursive or len(levels) == 1:
                entries[name] = _entry(name, data)
        self._json(list(entries.values()))

    def _file(self, data: bytes, sha: str, *, body: bool) -> None:
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        wanted = (self.headers.get("Range") or "").removeprefix("bytes=")
        if not wanted:
            self._send(200, data, headers, body=body)
            return
        first, _, last = wanted.partition("-")
        end = min(int(last or len(data) - 1), len(data) - 1)
        headers["Content-Range"] = f"bytes {first}-{end}/{len(data)}"
        self._send(206, data[int(first) : end + 1], headers, body=body)

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"}, body=True)

    def _send(self, status: int, data: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


def _entry(name: str, data: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
