"""ledger.json: the hash of every raw file, and the files of each published part, oldest first.

A raw file is read once to hash it (about 1 GB per second). The hash is reused while path, size and version are the
same. For a local file the version is mtime, ctime and inode, so a replaced file of equal size and time is detected; for
a URL it is the version of the store (an ETag or a generation). A file that was written within two seconds before it was
hashed is hashed again next time, because a later write could leave all of these unchanged (git calls this a racy
index).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NotRequired, TypedDict

from pipeline.core.errors import UserError
from pipeline.core.files import RawFile, read_json, sha256_file, version_of, write_json
from pipeline.core.objects import ObjectStore
from pipeline.core.places import url_of

NAME = "ledger.json"
RACY_S = 2.0  # the coarsest time stamp of a file system in use (FAT)


class LedgerEntry(TypedDict):
    """A raw file that was hashed; entries of earlier releases have no version."""

    size: int
    mtime: float
    version: NotRequired[str]
    sha256: str


class LedgerFile(TypedDict, total=False):
    """ledger.json."""

    files: dict[str, LedgerEntry]
    parts: list[dict[str, str]]


class Ledger:
    """The ledger of one work directory. `save` replaces the file atomically."""

    def __init__(self, workdir: Path) -> None:
        self.path = workdir / NAME
        url = url_of(workdir)
        self.objects = ObjectStore(url) if url else None
        if self.objects is not None:
            # an earlier run may have been on another machine
            with suppress(FileNotFoundError):
                self.path.write_bytes(self.objects.read(NAME))
        recorded: LedgerFile = {}
        if self.path.exists():
            # an unreadable ledger costs only time: every file is hashed again
            try:
                recorded = read_json(self.path)
            except ValueError:
                recorded = {}
        self.files: dict[str, LedgerEntry] = recorded.get("files", {})
        parts = recorded.get("parts", [])
        # earlier releases wrote a mapping here that nothing read
        self.parts: list[dict[str, str]] = parts if isinstance(parts, list) else []
        self._changed = False

    def sha256(self, file: RawFile, hashed: Callable[[RawFile], None] | None = None) -> str:
        """The hash of a file; `hashed` is called if the file had to be read.

        Raises: UserError if it cannot be read.
        """
        version = file.version or _local_version(file.path)
        entry = self.files.get(file.path)
        # an entry of an earlier release has no version; the file is hashed again
        if entry and version and (entry["size"], entry.get("version")) == (file.size, version):
            return str(entry["sha256"])
        started = time.time()
        try:
            digest = sha256_file(file.path)
        except Exception as error:  # remote file systems raise their own error types
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"{file.path}: cannot be read ({reason}). Check it and run the same command again."
            ) from error
        self.files.pop(file.path, None)
        if version and file.mtime < started - RACY_S:
            self.files[file.path] = {
                "size": file.size, "mtime": file.mtime, "version": version, "sha256": digest,
            }  # fmt: skip
        self._changed = True
        if hashed:
            hashed(file)
        return digest

    def record_part(self, files: Mapping[str, str]) -> None:
        """Record the raw files (name → sha256) of a published artifact, unless a recorded part has them all."""
        if files and not any(files.items() <= part.items() for part in self.parts):
            self.parts.append(dict(files))
            self._changed = True

    def save(self) -> None:
        if self._changed:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, {"files": self.files, "parts": self.parts})
            if self.objects is not None:
                self.objects.put(NAME, self.path.read_bytes())
            self._changed = False


def _local_version(path: str) -> str:
    """The version of a local file whose reader gave none; empty for a URL or a missing file."""
    try:
        return "" if "://" in path else version_of(Path(path).stat())
    except OSError:
        return ""
