"""A draft behind a URL: a task's files are uploaded when it is finished, its record last; readers fetch what they need.

    draft/<fingerprint>/files/<sha256>                     a finished file; its key follows from its bytes
    draft/<fingerprint>/attempts/<n>/tasks/<step>/<key>    the record of a task: its result and its files
    draft/<fingerprint>/attempts/<n>/results/<step>        the results of a whole step
    draft/<fingerprint>/attempts/<n>/steps/<step>          the files of a whole step, or that the driver shared

An attempt reads the records of those that it took over; no byte is copied. Requests: two for a file that a task wrote
and one for its record; a worker reads one index for each step whose files it needs, and each file once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import xxhash

from pipeline.core.cache import FILES, Cache
from pipeline.core.draft import shorter
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, sha256_file
from pipeline.core.objects import DOWNLOADS, ObjectStore
from pipeline.core.parallel import THREADS, in_parallel

PIECE_BYTES = 8 << 20  # of a range that is copied to a local file
FileRecord = tuple[str, int]
"""sha256 and bytes of a file."""


class RemoteDraft:
    """See the module. `after`: the attempts whose records are taken over, the last first. Threads may share one."""

    threads = THREADS

    def __init__(
        self, objects: ObjectStore, fingerprint: str, attempt: int, folder: Path, cache: Cache, *,
        after: Sequence[int] = (), fresh: bool = False,
    ) -> None:  # fmt: skip
        self.objects, self.folder, self.cache, self.fresh = objects, folder, cache, fresh
        self.root = f"draft/{fingerprint}"
        self.attempts = [attempt_key(fingerprint, number) for number in (attempt, *after)]
        self.files: dict[str, FileRecord] = {}
        self.records: dict[str, dict[str, JsonObject]] = {}
        self._indexes = set[str]()
        self._whole = set[str]()
        self._written: dict[str, Path] = {}

    def file(self, path: str) -> Path:
        written = self._written.get(path)
        if written is not None and written.exists():
            return written
        sha256, _ = self._record(path)
        key = f"{self.root}/files/{sha256}"
        return self.cache.get(f"{FILES}/{sha256}", lambda target: self.objects.download(key, target, sha256))

    def read(self, path: str, offset: int, length: int) -> memoryview:
        sha256, size = self._record(path)
        if offset + length > size:
            raise shorter(path)
        local = self.cache.find(f"{FILES}/{sha256}")
        if local is not None:
            return np.fromfile(local, np.uint8, length, offset=offset).data
        for _ in range(DOWNLOADS):
            data = self._range(sha256, path, offset, length)
            if len(data) == length:
                return memoryview(bytearray(data))
        raise shorter(path)

    def range_file(self, path: str, offset: int, length: int, checksum: int) -> tuple[Path, int]:
        sha256, _ = self._record(path)
        if (local := self.cache.find(f"{FILES}/{sha256}")) is not None:
            return local, offset

        def copy(target: Path) -> None:
            for _ in range(DOWNLOADS):
                digest = xxhash.xxh3_64()
                with target.with_name(f".{target.name}.{id(target)}.tmp").open("wb") as stream:
                    for first in range(offset, offset + length, PIECE_BYTES):
                        piece = self.read(path, first, min(PIECE_BYTES, offset + length - first))
                        digest.update(piece)
                        stream.write(piece)
                if digest.intdigest() == checksum:
                    Path(stream.name).replace(target)
                    return
                Path(stream.name).unlink()
            raise StageFailed(f"{path}: is not what was written. Run again with --force.")

        return self.cache.get(f"{FILES}/{sha256}.{offset}-{length}", copy), 0

    def size(self, path: str) -> int:
        return self._record(path)[1]

    def results(self, step: str) -> Mapping[str, JsonObject]:
        return RecordedResults(self, step)

    def keep(self, step: str, key: str, result: JsonObject, files: Sequence[str]) -> None:
        records = self._upload(files)
        record: JsonObject = {"result": result, "files": {path: list(entry) for path, entry in records.items()}}
        self.objects.put_record(f"{self.attempts[0]}/tasks/{step}/{key}.json", record)
        self.records.setdefault(step, {})[key] = record
        self.files.update(records)
        for path, (sha256, _) in records.items():
            # what is kept is not needed under its name; in the cache it can be removed
            self.cache.add(f"{FILES}/{sha256}", self.folder / path)

    def share(self, name: str, files: Sequence[str]) -> None:
        records = self._upload(files)
        self._put_index(name, records)
        self.files.update(records)
        self._written.update({path: self.folder / path for path in records})

    def finish(self, step: str) -> None:
        if step in self._whole:
            return
        records = self.records.get(step, {})
        results = {key: record["result"] for key, record in records.items()}
        files = {path: entry for record in records.values() for path, entry in _files_of(record).items()}
        self._put_index(step, files)
        self.objects.put_record(f"{self.attempts[0]}/results/{step}.json", {"results": results})
        self._whole.add(step)

    def rename(self, path: str, new: str) -> None:
        """Nothing of a kept file has its name; publication looks for its bytes."""
        if (self.folder / path).exists():
            (self.folder / new).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).replace(self.folder / new)

    def upload(self, source: Path, sha256: str) -> None:
        """Upload a file unless it is there. A fresh attempt (--force) trusts no object of an earlier one."""
        key = f"{self.root}/files/{sha256}"
        stored = None if self.fresh else self.objects.stat(key)
        if stored is None or stored.bytes != source.stat().st_size:
            self.objects.upload(source, key)

    def _upload(self, files: Sequence[str]) -> dict[str, FileRecord]:
        def upload(path: str) -> FileRecord:
            source = self.folder / path
            sha256, size = sha256_file(source), source.stat().st_size
            self.upload(source, sha256)
            return sha256, size

        return dict(zip(files, in_parallel(upload, files, threads=4), strict=True))

    def _range(self, sha256: str, path: str, offset: int, length: int) -> bytes:
        try:
            return self.objects.read_range(f"{self.root}/files/{sha256}", offset, length)
        except FileNotFoundError as error:
            raise _gone(path) from error

    def _put_index(self, name: str, files: Mapping[str, FileRecord]) -> None:
        entries = {path: list(entry) for path, entry in files.items()}
        self.objects.put_record(f"{self.attempts[0]}/steps/{name}.json", {"files": entries})

    def _record(self, path: str) -> FileRecord:
        if path not in self.files:
            self._read_indexes()
        if path not in self.files:
            raise _gone(path)
        return self.files[path]

    def _read_indexes(self) -> None:
        """Read the indexes that appeared since the last time; those of later attempts come first."""
        for attempt in self.attempts:
            new = [key for key in self.objects.list(f"{attempt}/steps") if key not in self._indexes]
            for key, index in zip(new, in_parallel(self.objects.read_record, new), strict=True):
                self.files = {**_files_of(index), **self.files}
                self._indexes.add(key)


class RecordedResults(Mapping[str, JsonObject]):
    """The results of a step. Asking for one reads one record; asking which there are reads all that are not known."""

    def __init__(self, draft: RemoteDraft, step: str) -> None:
        self.draft, self.step, self.listed = draft, step, False
        self.records = draft.records.setdefault(step, {})

    def __getitem__(self, key: str) -> JsonObject:
        if key not in self.records and not self.listed:
            self._read_one(key)
        result: JsonObject = self.records[key]["result"]
        return result

    def __contains__(self, key: object) -> bool:
        self._read_all()
        return key in self.records

    def __iter__(self) -> Iterator[str]:
        self._read_all()
        return iter(sorted(self.records))

    def __len__(self) -> int:
        self._read_all()
        return len(self.records)

    def _read_one(self, key: str) -> None:
        for attempt in self.draft.attempts:
            try:
                record = self.draft.objects.read_record(f"{attempt}/tasks/{self.step}/{key}.json")
            except FileNotFoundError:
                continue
            self._add(key, record)
            return

    def _read_all(self) -> None:
        if self.listed:
            return
        self.listed = True
        if self.step in self.draft._whole:
            return
        for attempt in self.draft.attempts[1:]:
            if self._read_whole(attempt):
                return
        for attempt in self.draft.attempts:
            keys = {name_of(key): key for key in self.draft.objects.list(f"{attempt}/tasks/{self.step}")}
            new = {name: key for name, key in keys.items() if name not in self.records}
            for name, record in zip(new, in_parallel(self.draft.objects.read_record, new.values()), strict=True):
                self._add(name, record)

    def _read_whole(self, attempt: str) -> bool:
        try:
            results = self.draft.objects.read_record(f"{attempt}/results/{self.step}.json")["results"]
        except FileNotFoundError:
            return False
        self.records.update({key: {"result": result, "files": {}} for key, result in results.items()})
        self.draft._whole.add(self.step)
        return True

    def _add(self, key: str, record: JsonObject) -> None:
        self.records[key] = record
        self.draft.files.update(_files_of(record))


@lru_cache(maxsize=4)
def open_draft(url: str, fingerprint: str, attempt: int, folder: Path, cache: Cache) -> RemoteDraft:
    """The draft of an attempt, one for all threads of a process."""
    objects = ObjectStore(url)
    claim = objects.read_record(f"{attempt_key(fingerprint, attempt)}.json")
    return RemoteDraft(objects, fingerprint, attempt, folder, cache, after=claim["after"], fresh=claim["fresh"])


def attempt_key(fingerprint: str, number: int) -> str:
    return f"draft/{fingerprint}/attempts/{number:06d}"


def name_of(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _files_of(record: JsonObject) -> dict[str, FileRecord]:
    return {path: (str(entry[0]), int(entry[1])) for path, entry in record["files"].items()}


def _gone(path: str) -> StageFailed:
    return StageFailed(f"{path}: a finished file is gone from the draft. Run again with --force.")
