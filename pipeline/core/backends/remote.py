"""A store behind a URL: tasks write locally, finished files are uploaded, the manifest makes them an artifact.

    draft/<fingerprint>/files/<sha256>                a finished file; its key follows from its bytes
    draft/<fingerprint>/attempts/<n>.json             the claim of attempt n, and what it is about to publish
    draft/<fingerprint>/attempts/<n>/…                records of its tasks (remote_draft.py)
    store/<stage>/<fingerprint>/manifest.json         written last: from then on the artifact exists
    store/<stage>/<fingerprint>/journal/<time>.json   a line of the journal

Nothing is renamed, linked or locked. An attempt claims its number by a conditional put, and the highest number is the
current one. Costs: one upload a finished file, a few small objects an attempt, one listing a claim and a publication.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pipeline.core.artifact import JOURNALS, Artifact, Remote
from pipeline.core.backends.base import superseded
from pipeline.core.backends.local import link_finished
from pipeline.core.backends.remote_draft import RemoteDraft, attempt_key, open_draft
from pipeline.core.cache import ARTIFACTS, FILES, Cache
from pipeline.core.errors import StageFailed
from pipeline.core.files import sha256_file
from pipeline.core.job import Job
from pipeline.core.journal import JournalLine
from pipeline.core.manifest import NAME, Manifest
from pipeline.core.objects import ObjectStore
from pipeline.core.parallel import in_parallel
from pipeline.core.sealed import sealed
from pipeline.core.shards import FileEntry


@dataclass(frozen=True)
class Attempt:
    """The claim of an attempt. `after`: the attempts whose records it takes over, the last first.

    `publishing`: the files of `hashes` are about to be named by a manifest; `done`: they are, and nothing is left to
    go on from. `nonce` tells two claims apart that are written at the same moment.
    """

    nonce: str = ""
    after: Sequence[int] = ()
    fresh: bool = False
    hashes: Sequence[str] = field(default_factory=tuple)
    publishing: bool = False
    done: bool = False


@dataclass(frozen=True)
class RemoteBackend:
    """See the module. `local`: a folder for the attempts of this machine; `cache` is for what is downloaded."""

    objects: ObjectStore
    local: Path
    cache: Cache

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        try:
            return Artifact.at(self._remote(stage, fingerprint))
        except FileNotFoundError:
            return None

    def all(self, stage: str) -> list[Artifact]:
        entries = self.objects.entries(f"store/{stage}")
        keys = [key for key in entries if key.endswith(f"/{NAME}")]
        keys.sort(key=lambda key: (entries[key].modified, key), reverse=True)
        return list(in_parallel(lambda key: Artifact.at(self._remote(stage, key.split("/")[2])), keys))

    def has_draft(self, stage: str, fingerprint: str) -> bool:
        number = self._current(fingerprint)
        return bool(number) and not self._attempt(fingerprint, number).done

    def begin(self, stage: str, fingerprint: str, *, fresh: bool) -> tuple[int, Path]:
        while True:
            last = self._current(fingerprint)
            before = self._attempt(fingerprint, last) if last else Attempt(done=True)
            after = [] if fresh or before.done else [last, *before.after]
            claim = Attempt(secrets.token_hex(8), after, fresh)
            # taken over in the same put that claims the number: a kill right after it loses nothing
            if self.objects.put_if_absent(f"{attempt_key(fingerprint, last + 1)}.json", _claim(claim)):
                break
        drafts = self.local / "draft" / stage / fingerprint
        folder = drafts / f"attempt-{last + 1}"
        # left by another store at the same address
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # what this machine began and had not finished: a checkpoint, a part of an item
        if after and (drafts / f"attempt-{last}").is_dir():
            link_finished(drafts / f"attempt-{last}", folder)
        for old in drafts.glob("attempt-*"):
            if old != folder:
                shutil.rmtree(old, ignore_errors=True)
        return last + 1, folder

    def publish(self, job: Job, manifest: Manifest, line: JournalLine) -> Artifact:
        fingerprint, number = manifest.fingerprint, job.identity.attempt
        self._require_current(job)
        draft = open_draft(self.objects.url, fingerprint, number, job.folder, self.cache)
        self._upload(job, draft, manifest)
        hashes = [file.sha256 for file in manifest.files]
        claim = replace(self._attempt(fingerprint, number), hashes=hashes, publishing=True)
        self._write_claim(fingerprint, number, claim)
        remote = self._remote(job.stage, fingerprint)
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
        self._finish(number, artifact.manifest)
        self._keep(job.folder, artifact.manifest)
        return artifact

    def note(self, artifact: Artifact, line: JournalLine) -> None:
        manifest = artifact.manifest
        name = f"{time.time_ns():020d}-{os.getpid()}.json"
        self.objects.put(f"store/{manifest.stage}/{manifest.fingerprint}/{JOURNALS}/{name}", _json(line))

    def _upload(self, job: Job, draft: RemoteDraft, manifest: Manifest) -> None:
        """Upload the recorded files that are not there; verify the sizes of those that are.

        Raises: StageFailed when a file is neither there nor here as it was recorded.
        """
        stored = self.objects.entries(f"draft/{manifest.fingerprint}/files")
        root = f"draft/{manifest.fingerprint}/files"

        def upload(file: FileEntry) -> None:
            source = job.folder / file.path
            if source.is_file():
                if source.stat().st_size != file.bytes or sha256_file(source) != file.sha256:
                    raise _not_recorded(job, file)
                draft.upload(source, file.sha256)
            elif (object_of := stored.get(f"{root}/{file.sha256}")) is None or object_of.bytes != file.bytes:
                raise _not_recorded(job, file)

        for _ in in_parallel(upload, manifest.files, threads=4):
            pass

    def _finish(self, number: int, manifest: Manifest) -> None:
        """Mark the attempt as done, and delete the objects that no manifest names or is about to name."""
        fingerprint = manifest.fingerprint
        needed = {file.sha256 for file in manifest.files}
        self._write_claim(fingerprint, number, Attempt(hashes=sorted(needed), done=True))
        for attempt_number in range(1, self._current(fingerprint) + 1):
            attempt = self._attempt(fingerprint, attempt_number)
            if attempt_number > number:
                return  # it may have taken over any of them
            # a survivor that is between its two checks may still write its manifest
            if attempt.publishing:
                needed |= set(attempt.hashes)
        unused = []
        for key in self.objects.list(f"draft/{fingerprint}"):
            folder, name = key.removeprefix(f"draft/{fingerprint}/").split("/", 1)
            if (folder == "files" and name not in needed) or (folder == "attempts" and "/" in name):
                unused.append(key)
            elif folder not in ("files", "attempts"):
                unused.append(key)  # checkpoints
        self.objects.delete_all(unused)

    def _keep(self, folder: Path, manifest: Manifest) -> None:
        """Move what is here of the artifact into the cache, by name: the next stage need not download it."""
        for file in manifest.files:
            written = folder / file.path
            source = written if written.is_file() else self.cache.find(f"{FILES}/{file.sha256}")
            if source is not None:
                self.cache.add(f"{ARTIFACTS}/{manifest.digest}/{file.path}", source)
        shutil.rmtree(folder.parent, ignore_errors=True)

    def _require_current(self, job: Job) -> None:
        if self._current(job.identity.fingerprint) != job.identity.attempt:
            raise superseded(job)

    def _current(self, fingerprint: str) -> int:
        """The highest number that an attempt has claimed; 0 when there was none."""
        names = (key.rpartition("attempts/")[2] for key in self.objects.list(f"draft/{fingerprint}/attempts"))
        return max((int(name.removesuffix(".json")) for name in names if "/" not in name), default=0)

    def _attempt(self, fingerprint: str, number: int) -> Attempt:
        return Attempt(**self.objects.read_record(f"{attempt_key(fingerprint, number)}.json"))

    def _write_claim(self, fingerprint: str, number: int, attempt: Attempt) -> None:
        self.objects.put(f"{attempt_key(fingerprint, number)}.json", _claim(attempt))

    def _remote(self, stage: str, fingerprint: str) -> Remote:
        return Remote(self.objects, stage, fingerprint, self.cache)


def _not_recorded(job: Job, file: FileEntry) -> StageFailed:
    return StageFailed(f"{job.stage}: {file.path} is not the file that was recorded. Run again with --force.")


def _claim(attempt: Attempt) -> bytes:
    return sealed(json.loads(json.dumps(asdict(attempt))))


def _json(value: Mapping[str, object]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
