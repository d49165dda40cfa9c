"""A bounded folder of downloaded files, shared by the processes of a machine. Its entries never change.

    files/<sha256>              a file of a draft
    artifacts/<digest>/<path>   a file of an artifact, under its own name

What a process uses is pinned until it ends, or until the `scope` (a task) in which it asked for it does. When the
entries exceed the limit, those that were not used for the longest time are removed, never a pinned one: if all are in
use, the limit is exceeded. On a full disk, half of what is not pinned is removed before an entry is made again. A
look-up costs a file lock and a line in the list of the process, about 50 us.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipeline.core.shortage import shortage_of

LIMIT_BYTES = 50 << 30
FILES, ARTIFACTS = "files", "artifacts"
ROOM = 0.9  # of the limit is left after a removal, so that not every file asks for one
_SCOPE: ContextVar[list[tuple[Path, str]] | None] = ContextVar("scope", default=None)


@dataclass(frozen=True)
class Cache:
    """See the module."""

    folder: Path
    limit_bytes: int = LIMIT_BYTES

    def get(self, name: str, make: Callable[[Path], None]) -> Path:
        """The path of an entry; `make(path)` creates it, whole or not at all, where it is not there."""
        path = self.folder / name
        with self._locked(exclusive=False):
            self._pin(name)
            if path.exists():
                os.utime(path)
                return path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)
        except Exception as error:
            if shortage_of(error) != "disk" or not self._make_room():
                raise
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)
        self._grown(path.stat().st_size)
        return path

    def add(self, name: str, source: Path) -> None:
        """Move a file into the cache."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = source.stat().st_size
        source.replace(path)
        self._grown(size)

    def find(self, name: str) -> Path | None:
        """The path of an entry, if it is there."""
        path = self.folder / name
        with self._locked(exclusive=False):
            if not path.exists():
                return None
            self._pin(name)
            os.utime(path)
        return path

    def _pin(self, name: str) -> None:
        pins = _pins(self.folder, os.getpid())
        scope = _SCOPE.get()
        if scope is not None:
            scope.append((self.folder, name))
            pins.add(name)
        else:
            pins.keep(name)

    def _grown(self, size: int) -> None:
        """Count new bytes; remove what was not used for long when there are too many."""
        with self._locked(exclusive=True):
            total = self.folder / "total"
            with suppress(OSError, ValueError):
                size += int(total.read_text())
            if size > self.limit_bytes:
                _, size = self._remove_oldest(int(self.limit_bytes * ROOM))
            total.write_text(str(size))

    def _make_room(self) -> bool:
        """Remove half of what is not in use; whether that was anything."""
        with self._locked(exclusive=True):
            before, after = self._remove_oldest(0, share=0.5)
            if after < before:
                with suppress(OSError):  # the next count corrects it
                    (self.folder / "total").write_text(str(after))
        return after < before

    def _remove_oldest(self, limit: int, *, share: float = 1.0) -> tuple[int, int]:
        """Remove entries until `limit` bytes are left, at most `share` of those not in use; bytes before and after."""
        entries = []
        for root in (FILES, ARTIFACTS):
            for path in (self.folder / root).rglob("*"):
                with suppress(FileNotFoundError):
                    if path.is_file():
                        status = path.stat()
                        entries.append((status.st_mtime_ns, status.st_size, path))
        total = before = sum(size for _, size, _ in entries)
        pinned = _pinned(self.folder)
        free = [entry for entry in sorted(entries) if entry[2].relative_to(self.folder).as_posix() not in pinned]
        least = max(limit, total - int(share * sum(size for _, size, _ in free)))
        for _, size, path in free:
            if total <= least:
                break
            path.unlink(missing_ok=True)
            total -= size
        return before, total

    @contextmanager
    def _locked(self, *, exclusive: bool) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield


@contextmanager
def scope() -> Iterator[None]:
    """What is used while the block runs, in this thread, need not stay when it ends."""
    used = list[tuple[Path, str]]()
    token = _SCOPE.set(used)
    try:
        yield
    finally:
        _SCOPE.reset(token)
        for folder, name in used:
            _pins(folder, os.getpid()).release(name)


class _Pins:
    """The entries that this process uses, in a file that it holds a lock on: the lock ends with the process."""

    def __init__(self, folder: Path) -> None:
        users = folder / "users"
        users.mkdir(parents=True, exist_ok=True)
        self.counts: dict[str, int] = {}
        self.kept = set[str]()
        self.lock = threading.Lock()
        self.path = users / f"{os.getpid()}-{secrets.token_hex(4)}"
        self.stream = self.path.open("w", encoding="utf-8")
        fcntl.flock(self.stream, fcntl.LOCK_SH)

    def add(self, name: str) -> None:
        with self.lock:
            self.counts[name] = self.counts.get(name, 0) + 1
            self._write(f"+{name}")

    def keep(self, name: str) -> None:
        """Pin an entry until the process ends."""
        if name not in self.kept:
            self.kept.add(name)
            self.add(name)

    def release(self, name: str) -> None:
        with self.lock:
            self.counts[name] -= 1
            if not self.counts[name]:
                del self.counts[name]
            self._write(f"-{name}")
            if not self.counts:
                self.stream.seek(0)
                self.stream.truncate()

    def _write(self, line: str) -> None:
        self.stream.write(f"{line}\n")
        self.stream.flush()


@lru_cache(maxsize=8)
def _pins(folder: Path, pid: int) -> _Pins:
    """The list of a process; a fork makes one of its own."""
    return _Pins(folder)


def _pinned(folder: Path) -> set[str]:
    """The entries that living processes use; lists of dead ones are removed."""
    pinned, own = set[str](), _pins(folder, os.getpid()).path
    for path in (folder / "users").glob("*"):
        with suppress(FileNotFoundError), path.open("r+", encoding="utf-8") as stream:
            if path != own:
                with suppress(BlockingIOError):
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                    continue
            counts: dict[str, int] = {}
            for line in stream:
                counts[line[1:-1]] = counts.get(line[1:-1], 0) + (1 if line[0] == "+" else -1)
            pinned |= {name for name, count in counts.items() if count > 0}
    return pinned
