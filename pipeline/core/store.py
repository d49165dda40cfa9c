"""The store: complete artifacts by fingerprint, and drafts that are resumed after a kill.

An attempt writes into a local folder and publishes only if its number is the current one, so a process that survives
being killed cannot harm a later attempt. How this is done depends on the location: see `backends` and README.md.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.core.artifact import Artifact
from pipeline.core.backends.base import Backend
from pipeline.core.backends.local import LocalBackend
from pipeline.core.backends.remote import RemoteBackend
from pipeline.core.cache import LIMIT_BYTES, Cache
from pipeline.core.counts import StageCounts
from pipeline.core.job import Job, StageOutput, check_rows
from pipeline.core.journal import JournalLine
from pipeline.core.manifest import Manifest, content_digest_of, digest_of
from pipeline.core.objects import ObjectStore
from pipeline.core.places import CACHE, local_folder, url_of
from pipeline.core.shards import documents_by_source, documents_dropped


class Store:
    """The artifacts and drafts of one work directory: a folder, a URL, or the folder of a URL on this machine.

    Behind a URL attempts write in that folder, which also holds a cache of `cache_bytes`.
    """

    def __init__(self, place: Path | str, *, cache_bytes: int = LIMIT_BYTES) -> None:
        self._backend: Backend
        url = url_of(place) if isinstance(place, Path) else place if "://" in place else None
        if url is None:
            self._backend = LocalBackend(Path(place))
        else:
            url = url.rstrip("/")
            local = local_folder(url)
            self._backend = RemoteBackend(ObjectStore(url), local, Cache(local / CACHE, cache_bytes))

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        """The published artifact of a stage, if there is one."""
        return self._backend.find(stage, fingerprint)

    def all(self, stage: str) -> list[Artifact]:
        """Every artifact of a stage, the last published first."""
        return self._backend.all(stage)

    def has_draft(self, stage: str, fingerprint: str) -> bool:
        """Whether an earlier attempt left a draft that can be resumed."""
        return self._backend.has_draft(stage, fingerprint)

    def begin(self, stage: str, fingerprint: str, *, fresh: bool = False) -> tuple[int, Path]:
        """Start the next attempt and return its number and folder; with `fresh` (--force) it reuses nothing."""
        return self._backend.begin(stage, fingerprint, fresh=fresh)

    def publish(self, job: Job, output: StageOutput) -> Artifact:
        """Record and publish the files. The manifest is written last; files that are not recorded are deleted.

        Raises: StageFailed when a later attempt has begun or a recorded file is not what was recorded.
        """
        if "in" in output.counts:
            check_rows(job.stage, output.counts)
        line: JournalLine = {"event": "published", "attempt": job.identity.attempt, **output.journal}
        return self._backend.publish(job, _manifest(job, output), line)

    def note(self, artifact: Artifact, line: JournalLine) -> None:
        """Append a line to the journal of an artifact."""
        self._backend.note(artifact, line)


def _manifest(job: Job, output: StageOutput) -> Manifest:
    files = tuple(sorted(output.files, key=lambda file: file.path.encode()))
    identity = job.identity
    counts = StageCounts(**output.counts)
    if (sources := documents_by_source(files)) is not None:
        counts["sources"] = sources
    if (dropped := documents_dropped(files)) is not None:
        counts["dropped_by"] = dropped
    return Manifest(
        stage=identity.stage, version=identity.version, fingerprint=identity.fingerprint, kind=identity.kind,
        params=identity.params, inputs=identity.input_fingerprints, files=files, counts=counts,
        digest=digest_of(files), content_digest=content_digest_of(files), numerics=output.numerics,
        input_digests=identity.input_digests,
    )  # fmt: skip
