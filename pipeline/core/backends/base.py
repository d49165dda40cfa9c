"""The interface of a storage backend."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.job import Job
from pipeline.core.journal import JournalLine
from pipeline.core.manifest import Manifest


class Backend(Protocol):
    """Attempts write into a local folder; an artifact exists from the moment that its manifest does."""

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        """The published artifact, if there is one."""

    def all(self, stage: str) -> list[Artifact]:
        """Every artifact of a stage, the last published first."""

    def has_draft(self, stage: str, fingerprint: str) -> bool:
        """Whether an unpublished attempt left a draft."""

    def begin(self, stage: str, fingerprint: str, *, fresh: bool) -> tuple[int, Path]:
        """Start the next attempt: its number, and its folder with the finished files of the last one."""

    def publish(self, job: Job, manifest: Manifest, line: JournalLine) -> Artifact:
        """Publish the files of the attempt as an artifact; `line` is the first line of its journal.

        Raises: StageFailed when a later attempt has begun.
        """

    def note(self, artifact: Artifact, line: JournalLine) -> None:
        """Add a line to an artifact's journal."""


def superseded(job: Job) -> StageFailed:
    """The error of an attempt that is not the current one."""
    return StageFailed(f"{job.stage}: attempt {job.identity.attempt} was superseded; its work is not needed.")


def check_recorded(job: Job, manifest: Manifest) -> None:
    """Raises: StageFailed when a recorded file is not there, or not of the size that was recorded."""
    for file in manifest.files:
        path = job.folder / file.path
        if not path.is_file() or path.stat().st_size != file.bytes:
            raise StageFailed(f"{job.stage}: {file.path} is not the file that was recorded. Run again with --force.")
