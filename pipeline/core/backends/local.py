"""A store on a local disk: publishing is one rename, and a new attempt takes over files by hard links.

work/store/<stage>/<fingerprint>/                manifest.json · journal.jsonl · the recorded files
work/draft/<stage>/<fingerprint>/attempt-<n>/    where attempt n writes
work/draft/<stage>/<fingerprint>/current         n
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.artifact import Artifact
from pipeline.core.backends.base import check_recorded, superseded
from pipeline.core.files import TEMPORARY, replacing, write_json
from pipeline.core.job import Job
from pipeline.core.journal import JournalLine
from pipeline.core.manifest import JOURNAL, NAME, Manifest


@dataclass(frozen=True)
class LocalBackend:
    """See the module."""

    workdir: Path

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        path = self._target(stage, fingerprint)
        return Artifact.at(path) if (path / NAME).exists() else None

    def all(self, stage: str) -> list[Artifact]:
        paths = [path.parent for path in (self.workdir / "store" / stage).glob(f"*/{NAME}")]
        paths.sort(key=lambda path: ((path / NAME).stat().st_mtime_ns, path.name), reverse=True)
        return [Artifact.at(path) for path in paths]

    def has_draft(self, stage: str, fingerprint: str) -> bool:
        return (self._draft(stage, fingerprint) / "current").exists()

    def begin(self, stage: str, fingerprint: str, *, fresh: bool) -> tuple[int, Path]:
        draft = self._draft(stage, fingerprint)
        draft.mkdir(parents=True, exist_ok=True)
        with _locked(draft):
            last = _current(draft)
            number, folder = last + 1, draft / f"attempt-{last + 1}"
            # a kill may have left this folder half linked
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            if last and not fresh:
                link_finished(draft / f"attempt-{last}", folder)
            with replacing(draft / "current") as beside:
                beside.write_text(str(number))
        return number, folder

    def publish(self, job: Job, manifest: Manifest, line: JournalLine) -> Artifact:
        draft = self._draft(job.stage, manifest.fingerprint)
        target = self._target(job.stage, manifest.fingerprint)
        if not draft.exists():
            raise superseded(job)
        with _locked(draft):
            if _current(draft) != job.identity.attempt:
                raise superseded(job)
            check_recorded(job, manifest)
            _sweep(job.folder, {file.path for file in manifest.files} | {JOURNAL})
            _append(job.folder / JOURNAL, line)
            write_json(job.folder / NAME, manifest.to_dict())
            _move(job.folder, target, manifest)
        shutil.rmtree(draft, ignore_errors=True)
        return Artifact(target, manifest)

    def note(self, artifact: Artifact, line: JournalLine) -> None:
        _append(self._target(artifact.manifest.stage, artifact.manifest.fingerprint) / JOURNAL, line)

    def _target(self, stage: str, fingerprint: str) -> Path:
        return self.workdir / "store" / stage / fingerprint

    def _draft(self, stage: str, fingerprint: str) -> Path:
        return self.workdir / "draft" / stage / fingerprint


def _move(folder: Path, target: Path, manifest: Manifest) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if (target / NAME).exists():  # --force: the same work was done once more
        if Manifest.read(target / NAME).digest == manifest.digest:
            return
        old = target.with_name(f".{target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        folder.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        return
    folder.rename(target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(folder: Path, keep: set[str]) -> None:
    """Delete what was not recorded: task results, checkpoints, files of an interrupted write."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(root) / name
            if path.relative_to(folder).as_posix() not in keep:
                path.unlink()
        if Path(root) != folder and not any(Path(root).iterdir()):
            Path(root).rmdir()


def link_finished(source: Path, target: Path) -> None:
    """Link every whole file of a folder into another; copy where the file system has no links."""
    for root, _, names in os.walk(source):
        inside = target / Path(root).relative_to(source)
        inside.mkdir(exist_ok=True)
        for name in names:
            if name.endswith(TEMPORARY) or name == NAME:
                continue
            path = Path(root) / name
            # the journal is appended to, so the two attempts must not share it
            if name == JOURNAL or not _linked(path, inside / name):
                shutil.copy2(path, inside / name)


def _linked(source: Path, target: Path) -> bool:
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        return True  # a survivor of the last attempt removed its own temporary file
    except OSError:
        return False  # a file system without hard links: the caller copies
    return True


def _current(draft: Path) -> int:
    path = draft / "current"
    return int(path.read_text()) if path.exists() else 0


def _append(path: Path, line: JournalLine) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n")


@contextmanager
def _locked(draft: Path) -> Iterator[None]:
    """Held only while an attempt begins or publishes, so a survivor can never hold up its successor."""
    with (draft / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
