"""ledger.json: the hash of every raw file seen, and the files of each published part, the oldest first.

A raw file is read once to be hashed (about 1 GB a second). Its hash is known while path, size and version stay: on this
machine the version is mtime, ctime and inode, so that a file with another's size and time is noticed; behind an address
it is what the store calls it (an ETag, a generation). A file that was written within two seconds of being hashed is
hashed again the next time: a later write could leave all of these as they are, as git says of a racy index.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.core.files import RawFile, read_json, sha256_file, version_of, write_json

NAME = "ledger.json"
RACY_S = 2.0  # the coarsest time stamp of a file system in use (FAT)


class Ledger:
    """The ledger of one work directory. `save` writes it whole or not at all."""

    def __init__(self, workdir: Path) -> None:
        self.path = workdir / NAME
        recorded: dict[str, Any] = {}
        if self.path.exists():
            # only a cache is lost with an unreadable ledger: every file is hashed again
            try:
                recorded = read_json(self.path)
            except ValueError:
                recorded = {}
        self.files: dict[str, dict[str, Any]] = recorded.get("files", {})
        parts = recorded.get("parts", [])
        # earlier releases kept a mapping that nobody read
        self.parts: list[dict[str, str]] = parts if isinstance(parts, list) else []
        self._changed = False

    def sha256(self, file: RawFile, hashed: Callable[[RawFile], None] | None = None) -> str:
        """The file's hash; `hashed` is told when the file had to be read.

        Raises: UserError when it cannot be read any more.
        """
        version = file.version or _local_version(file.path)
        entry = self.files.get(file.path)
        # an entry of an earlier format has no version and is made anew
        if entry and version and (entry["size"], entry.get("version")) == (file.size, version):
            return str(entry["sha256"])
        started = time.time()
        try:
            digest = sha256_file(file.path)
        except Exception as error:  # the libraries of addresses raise errors of their own
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
        """Note the raw files (name → sha256) of a published artifact, unless a part noted before holds them all."""
        if files and not any(files.items() <= part.items() for part in self.parts):
            self.parts.append(dict(files))
            self._changed = True

    def save(self) -> None:
        if self._changed:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, {"files": self.files, "parts": self.parts})
            self._changed = False


def _local_version(path: str) -> str:
    """The version of a file whose reader gave none; empty behind an address or where there is no file."""
    try:
        return "" if "://" in path else version_of(Path(path).stat())
    except OSError:
        return ""
