"""ledger.json: the hash of every raw file seen, and which part it went into.

A raw file is read once to be hashed (about 1 GB a second); while its path, size and time stay, its hash is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.files import RawFile, read_json, sha256_file, write_json

NAME = "ledger.json"


class Ledger:
    """The ledger of one work directory. `save` writes it whole or not at all."""

    def __init__(self, workdir: Path) -> None:
        self.path = workdir / NAME
        found: dict[str, Any] = {}
        if self.path.exists():
            # only a cache is lost with an unreadable ledger: every file is hashed again
            try:
                found = read_json(self.path)
            except ValueError:
                found = {}
        self.files: dict[str, dict[str, Any]] = found.get("files", {})
        self.parts: dict[str, list[str]] = found.get("parts", {})
        self._changed = False

    def sha256(self, file: RawFile, hashed: Callable[[RawFile], None] | None = None) -> str:
        """The file's hash; `hashed` is told when the file had to be read."""
        known = self.files.get(file.path)
        if known and known["size"] == file.size and known["mtime"] == file.mtime:
            return str(known["sha256"])
        digest = sha256_file(file.path)
        self.files[file.path] = {"size": file.size, "mtime": file.mtime, "sha256": digest}
        self._changed = True
        if hashed:
            hashed(file)
        return digest

    def record_part(self, fingerprint: str, names: Sequence[str]) -> None:
        """Note which raw files an ingest artifact was made of."""
        if self.parts.get(fingerprint) != list(names):
            self.parts[fingerprint] = list(names)
            self._changed = True

    def save(self) -> None:
        if self._changed:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, {"files": self.files, "parts": self.parts})
            self._changed = False
