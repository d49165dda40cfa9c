"""A store behind a URL: tasks write locally, finished files are uploaded, the manifest makes them an artifact.

    draft/<fingerprint>/files/<sha256>/<path>         a finished file; its key follows from its bytes
    draft/<fingerprint>/attempts/<n>.json             what attempt n has finished; n alone writes it
    store/<stage>/<fingerprint>/manifest.json         written last: from then on the artifact exists
    store/<stage>/<fingerprint>/journal/<time>.json   a line of the journal

Nothing is renamed, linked or locked. An attempt claims its number by a conditional put, and the highest number is the
current one. Costs: one upload a finished file, two small objects an attempt, one listing a claim.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.core.artifact import JOURNALS, Artifact, Remote, object_key
from pipeline.core.backends.base import check_recorded, superseded
from pipeline.core.errors import StageFailed
from pipeline.core.files import TEMPORARY, sha256_file
from pipeline.core.job import Job
from pipeline.core.journal import JournalLine
from pipeline.core.manifest import NAME, Manifest
from pipeline.core.objects import ObjectStore


@dataclass(frozen=True)
class Attempt:
    """What an attempt has finished: path → sha256. `publishing`: these are the recorded files, and the manifest is due.

    `done`: its manifest is written, so nothing is left to go on from.
    """

    files: dict[str, str] = field(default_factory=dict)
    publishing: bool = False
    done: bool = False


@dataclass(frozen=True)
class RemoteBackend:
    """See the module. `local`: a folder for the attempts of this machine and for what is downloaded."""

    objects: ObjectStore
    local: Path

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        remote = self._remote(stage, fingerprint)
        return Artifact.at(remote) if self.objects.exists(f"{remote.key}/{NAME}") else None

    def all(self, stage: str) -> list[Artifact]:
        keys = [key for key in self.objects.list(f"store/{stage}") if key.endswith(f"/{NAME}")]
        keys.sort(key=lambda key: (self.objects.modified(key), key), reverse=True)
        return [Artifact.at(self._remote(stage, key.split("/")[2])) for key in keys]

    def has_draft(self, stage: str, fingerprint: str) -> bool:
        number = self._current(fingerprint)
        return bool(number) and not self._attempt(fingerprint, number).done

    def begin(self, stage: str, fingerprint: str, *, fresh: bool) -> tuple[int, Path]:
        while True:
            last = self._current(fingerprint)
            before = self._attempt(fingerprint, last) if last else Attempt()
            finished_before = {} if fresh or before.done else before.files
            # taken over in the same put that claims the number: a kill right after it loses nothing
            if self.objects.put_if_absent(_attempt_key(fingerprint, last + 1), _json(asdict(Attempt(finished_before)))):
                break
        folder = self.local / "draft" / stage / fingerprint / f"attempt-{last + 1}"
        folder.mkdir(parents=True, exist_ok=True)
        for path, sha256 in finished_before.items():
            self.objects.download(object_key(fingerprint, sha256, path), folder / path, sha256)
        return last + 1, folder

    def save(self, job: Job) -> None:
        finished = {path: sha256_file(job.folder / path) for path in _finished(job.folder)}
        self._upload(job, finished, publishing=False)

    def publish(self, job: Job, manifest: Manifest, line: JournalLine) -> Artifact:
        self._require_current(job)
        check_recorded(job, manifest)
        self._upload(job, {file.path: file.sha256 for file in manifest.files}, publishing=True)
        remote = self._remote(job.stage, manifest.fingerprint)
        artifact = Artifact(remote, manifest)
        self.note(artifact, line)
        self._require_current(job)
        key, data = f"{remote.key}/{NAME}", _json(manifest.to_dict())
        if not self.objects.put_if_absent(key, data):  # --force: the same work was done once more
            earlier = Artifact.at(remote)
            if earlier.manifest.digest == manifest.digest:
                artifact = earlier
            else:
                self.objects.put(key, data)
        self._finish(job, artifact.manifest)
        self._keep(job.folder, manifest)
        return artifact

    def note(self, artifact: Artifact, line: JournalLine) -> None:
        manifest = artifact.manifest
        name = f"{time.time_ns():020d}-{os.getpid()}.json"
        self.objects.put(f"store/{manifest.stage}/{manifest.fingerprint}/{JOURNALS}/{name}", _json(line))

    def _upload(self, job: Job, files: dict[str, str], *, publishing: bool) -> None:
        """Upload what an earlier call or attempt has not, and say in the attempt's own object what is there now."""
        fingerprint, number = job.identity.fingerprint, job.identity.attempt
        uploaded = self._attempt(fingerprint, number).files
        for path, sha256 in files.items():
            if uploaded.get(path) != sha256:
                if sha256_file(job.folder / path) != sha256:
                    raise StageFailed(f"{job.stage}: {path} is not the file that was recorded. Run again with --force.")
                self.objects.upload(job.folder / path, object_key(fingerprint, sha256, path))
        self.objects.put(_attempt_key(fingerprint, number), _json(asdict(Attempt(files, publishing))))

    def _finish(self, job: Job, manifest: Manifest) -> None:
        """Mark the attempt as done, and delete the objects that no manifest names or is about to name."""
        fingerprint, number = manifest.fingerprint, job.identity.attempt
        recorded = {file.path: file.sha256 for file in manifest.files}
        self.objects.put(_attempt_key(fingerprint, number), _json(asdict(Attempt(recorded, done=True))))
        needed = set(_keys(fingerprint, recorded))
        for attempt_number in range(1, self._current(fingerprint) + 1):
            attempt = self._attempt(fingerprint, attempt_number)
            # a survivor that is between its two checks may still write its manifest
            if attempt.publishing or attempt_number > number:
                needed |= set(_keys(fingerprint, attempt.files))
        for key in self.objects.list(f"draft/{fingerprint}/files"):
            if key not in needed:
                self.objects.delete(key)

    def _keep(self, folder: Path, manifest: Manifest) -> None:
        """Move the recorded files into the cache: the next stage on this machine need not download them."""
        for file in manifest.files:
            target = self.local / "cache" / manifest.digest / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            (folder / file.path).replace(target)
        shutil.rmtree(folder.parent, ignore_errors=True)

    def _require_current(self, job: Job) -> None:
        if self._current(job.identity.fingerprint) != job.identity.attempt:
            raise superseded(job)

    def _current(self, fingerprint: str) -> int:
        """The highest number that an attempt has claimed; 0 when there was none."""
        names = (key.rpartition("/")[2] for key in self.objects.list(f"draft/{fingerprint}/attempts"))
        return max((int(name.removesuffix(".json")) for name in names), default=0)

    def _attempt(self, fingerprint: str, number: int) -> Attempt:
        return Attempt(**json.loads(self.objects.read(_attempt_key(fingerprint, number))))

    def _remote(self, stage: str, fingerprint: str) -> Remote:
        return Remote(self.objects, stage, fingerprint, self.local / "cache")


def _attempt_key(fingerprint: str, number: int) -> str:
    return f"draft/{fingerprint}/attempts/{number:06d}.json"


def _keys(fingerprint: str, files: dict[str, str]) -> Iterator[str]:
    return (object_key(fingerprint, sha256, path) for path, sha256 in files.items())


def _finished(folder: Path) -> list[str]:
    """The files of an attempt that are whole: every writer names a half-written one with TEMPORARY."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(TEMPORARY))
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _json(value: Mapping[str, object]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
