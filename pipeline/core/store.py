"""The store: artifacts by fingerprint, whole or not at all, and drafts that survive a kill.

    work/store/<stage>/<fingerprint>/                manifest.json · journal.jsonl · the recorded files
    work/draft/<stage>/<fingerprint>/attempt-<n>/    where attempt n writes
    work/draft/<stage>/<fingerprint>/current         n

A new attempt links the finished files of the last one (hard links: no bytes are copied) and counts one further. Only
the current attempt may publish, so a process that outlives its kill writes into a folder that nobody reads again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.files import TEMPORARY, replacing, write_json
from pipeline.core.manifest import JOURNAL, NAME, Manifest, content_digest_of, digest_of
from pipeline.core.stage import Job, Outcome, check_rows


class Store:
    """The artifacts and drafts of one work directory."""

    def __init__(self, workdir: Path) -> None:
        self.root, self.drafts = workdir / "store", workdir / "draft"

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        path = self.root / stage / fingerprint
        return Artifact.at(path) if (path / NAME).exists() else None

    def all(self, stage: str) -> list[Artifact]:
        """Every artifact of a stage, the last published first."""
        found = [path.parent for path in (self.root / stage).glob(f"*/{NAME}")]
        found.sort(key=lambda path: ((path / NAME).stat().st_mtime_ns, path.name), reverse=True)
        return [Artifact.at(path) for path in found]

    def draft(self, stage: str, fingerprint: str) -> Path:
        return self.drafts / stage / fingerprint

    def has_draft(self, stage: str, fingerprint: str) -> bool:
        """Whether an earlier attempt left something to go on from."""
        return (self.draft(stage, fingerprint) / "current").exists()

    def begin(self, stage: str, fingerprint: str, *, fresh: bool = False) -> tuple[int, Path]:
        """Start the next attempt and return its number and folder; `fresh` (--force) takes over nothing."""
        draft = self.draft(stage, fingerprint)
        draft.mkdir(parents=True, exist_ok=True)
        with _locked(draft):
            last = _current(draft)
            number, folder = last + 1, draft / f"attempt-{last + 1}"
            # a kill may have left this folder half linked
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            if last and not fresh:
                _link_finished(draft / f"attempt-{last}", folder)
            with replacing(draft / "current") as beside:
                beside.write_text(str(number))
        return number, folder

    def publish(self, job: Job, outcome: Outcome) -> Artifact:
        """Record, sweep, and rename the draft into the store; the manifest goes last.

        Raises: StageFailed when a later attempt has begun or a recorded file is not what was recorded.
        """
        draft, target = (
            self.draft(job.stage, job.identity.fingerprint),
            self.root / job.stage / job.identity.fingerprint,
        )
        if not draft.exists():
            raise StageFailed(f"{job.stage}: attempt {job.identity.attempt} was superseded; its work is not needed.")
        if "in" in outcome.counts:
            check_rows(job.stage, outcome.counts)
        with _locked(draft):
            if _current(draft) != job.identity.attempt:
                raise StageFailed(
                    f"{job.stage}: attempt {job.identity.attempt} was superseded; its work is not needed."
                )
            manifest = _record(job, outcome)
            _append(job.folder / JOURNAL, {"event": "published", "attempt": job.identity.attempt, **outcome.journal})
            _move(job.folder, target, manifest)
        shutil.rmtree(draft, ignore_errors=True)
        return Artifact(target, manifest)

    def note(self, artifact: Artifact, **fields: Any) -> None:
        """Add a line to an artifact's journal: what the supervisor measured after the stage had ended."""
        _append(artifact.path / JOURNAL, fields)


def _record(job: Job, outcome: Outcome) -> Manifest:
    files = tuple(sorted(outcome.files, key=lambda file: file.path.encode()))
    for file in files:
        path = job.folder / file.path
        if not path.is_file() or path.stat().st_size != file.bytes:
            raise StageFailed(f"{job.stage}: {file.path} is not the file that was recorded. Run again with --force.")
    identity = job.identity
    manifest = Manifest(
        stage=identity.stage, version=identity.version, fingerprint=identity.fingerprint, kind=identity.kind,
        params=identity.params, inputs=identity.input_fingerprints, files=files, counts=outcome.counts,
        digest=digest_of(files), content_digest=content_digest_of(files), numerics=outcome.numerics,
        input_digests=identity.input_digests,
    )  # fmt: skip
    _sweep(job.folder, {file.path for file in files} | {JOURNAL})
    write_json(job.folder / NAME, manifest.to_dict())
    return manifest


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


def _link_finished(source: Path, target: Path) -> None:
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


def _append(path: Path, value: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n")


@contextmanager
def _locked(draft: Path) -> Iterator[None]:
    """Held only while an attempt begins or publishes, so a survivor can never hold up its successor."""
    with (draft / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
