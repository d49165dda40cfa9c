"""A published artifact as other stages see it: a folder, its manifest, its files in order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.core.manifest import JOURNAL, NAME, Manifest


@dataclass(frozen=True)
class Artifact:
    """A published artifact: a folder and its manifest. It never changes."""

    path: Path
    manifest: Manifest

    @classmethod
    def at(cls, path: Path) -> Artifact:
        return cls(path, Manifest.read(path / NAME))

    @classmethod
    def found(cls, folder: str, where: str) -> Artifact:
        """The artifact that a user names: its folder, or a work directory in which one model alone is published.

        Raises: UserError when there is none, or more than one.
        """
        path = Path(folder).absolute()
        if (path / NAME).exists():
            return cls.at(path)
        models = sorted(path.glob(f"store/pretrain/*/{NAME}"))
        if len(models) == 1:
            return cls.at(models[0].parent)
        if models:
            listed = "\n".join(f"  {folder}/{model.parent.relative_to(path)}" for model in models)
            raise UserError(f"{where}: {folder} holds several models. Name one of\n{listed}")
        raise UserError(f"{where}: no artifact in {folder} ({NAME} is missing). Train it first, or name its folder.")

    def files(self, prefix: str = "") -> list[Path]:
        """The recorded files whose path begins so, in byte order of their paths: the order in which rows count."""
        names = (file.path for file in self.manifest.files)
        return [self.path / name for name in sorted(names, key=str.encode) if name.startswith(prefix)]

    def has(self, name: str) -> bool:
        """Whether a file of this name is recorded."""
        return any(file.path == name for file in self.manifest.files)

    def file(self, name: str) -> Path:
        """A local path of one recorded file."""
        return self.path / name

    def folder(self, prefix: str) -> Path:
        """A local folder that holds the recorded files under `prefix`, by the rest of their paths."""
        return self.path / prefix

    def journal(self) -> list[dict[str, Any]]:
        """What was noted beside the artifact: times, memory, versions; a line each."""
        path = self.path / JOURNAL
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
