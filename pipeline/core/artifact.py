"""A published artifact as other stages see it: a folder, its manifest, its files in order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.manifest import JOURNAL, NAME, Manifest


@dataclass(frozen=True)
class Artifact:
    """A published artifact: a folder and its manifest. It never changes."""

    path: Path
    manifest: Manifest

    @classmethod
    def at(cls, path: Path) -> Artifact:
        return cls(path, Manifest.read(path / NAME))

    def files(self, prefix: str = "") -> list[Path]:
        """The recorded files whose path begins so, in byte order of their paths: the order in which rows count."""
        names = (file.path for file in self.manifest.files)
        return [self.path / name for name in sorted(names, key=str.encode) if name.startswith(prefix)]

    def journal(self) -> list[dict[str, Any]]:
        """What was noted beside the artifact: times, memory, versions; a line each."""
        path = self.path / JOURNAL
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
