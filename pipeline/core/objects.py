"""A store's files behind a URL, through fsspec: whole objects under keys, and no rename, link or lock.

Every operation is tried again after errors that pass (timeouts, 500, 503, cut connections), for about ten seconds
beyond what the client does itself. What is written is verified by its size, what is downloaded by its hash.
`put_if_absent` is atomic where the backend has a conditional put (S3, GCS, Azure, a disk): README.md, Publishing.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.core.errors import StageFailed
from pipeline.core.file_systems import already_exists, file_system, is_permanent, scheme_of, sentence_of
from pipeline.core.files import TEMPORARY, JsonObject, replacing, sha256_file
from pipeline.core.parallel import in_parallel
from pipeline.core.sealed import sealed, unsealed

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")
TRIES, FIRST_DELAY_S = 6, 0.3
DOWNLOADS = 3  # of an object that arrives with other bytes than were published
TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True)
class Stored:
    """An object in a listing: its bytes, and when it was written, in seconds since 1970 (0 where nobody says)."""

    bytes: int
    modified: float


@dataclass(frozen=True)
class ObjectStore:
    """The objects under one URL; a key is a path relative to it. StageFailed: an operation failed for good."""

    url: str
    tries: int = TRIES

    @property
    def _root(self) -> tuple[AbstractFileSystem, str]:
        return file_system(self.url)

    def list(self, prefix: str) -> list[str]:
        """The keys under a folder, in the order of their bytes; empty where there is none."""
        return list(self.entries(prefix))

    def entries(self, prefix: str) -> dict[str, Stored]:
        """As `list`, with sizes and times: one request per thousand objects."""
        system, root = self._root

        def find() -> Mapping[str, JsonObject]:
            system.invalidate_cache()  # another process may have written since
            try:
                return dict(system.find(f"{root}/{prefix}".rstrip("/"), detail=True))
            except FileNotFoundError:
                return {}

        infos = self._again("list", prefix, find)
        keys = {path.removeprefix(f"{root}/"): info for path, info in infos.items() if not path.endswith(TEMPORARY)}
        return {key: _stored(keys[key]) for key in sorted(keys, key=str.encode)}

    def exists(self, key: str) -> bool:
        return self.stat(key) is not None

    def size(self, key: str) -> int:
        """The bytes of an object.

        Raises: FileNotFoundError when there is no such object.
        """
        stored = self.stat(key)
        if stored is None:
            raise FileNotFoundError(f"{self.url}/{key}")
        return stored.bytes

    def modified(self, key: str) -> float:
        """When an object was written, in seconds since 1970; 0 where nobody says."""
        stored = self.stat(key)
        return 0.0 if stored is None else stored.modified

    def read(self, key: str) -> bytes:
        """Raises: FileNotFoundError when there is no such object."""
        system, root = self._root
        data: bytes = self._again("read", key, lambda: system.cat_file(f"{root}/{key}"))
        return data

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """A range of an object; shorter where the object ends before.

        Raises: FileNotFoundError when there is no such object.
        """
        if not length:
            return b""
        system, root = self._root

        def cat() -> bytes:
            data: bytes = system.cat_file(f"{root}/{key}", start=offset, end=offset + length)
            if len(data) > length:
                raise OSError("more bytes came than were asked for")
            return data

        return self._again("read", key, cat)

    def read_record(self, key: str) -> JsonObject:
        """JSON that `put_record` wrote.

        Raises: FileNotFoundError when there is none; StageFailed when it arrives with other bytes, again and again.
        """

        def read() -> JsonObject:
            value = unsealed(self.read(key))
            if value is None:
                raise OSError("the object is not what was written")
            return value

        return self._again("read", key, read)

    def put(self, key: str, data: bytes) -> None:
        """Write an object, over an earlier one if there is one."""

        def put() -> None:
            system, path = self._with_parent(key)
            if _is_disk(system):
                _write_disk(Path(path), lambda beside: beside.write_bytes(data))
            else:
                system.pipe_file(path, data)

        self._again("write", key, put, may_be_absent=False)

    def put_record(self, key: str, value: JsonObject) -> None:
        """Write JSON that proves its own bytes when it is read."""
        self.put(key, sealed(value))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one; whether it was written.

        An answer may be lost, and the next try is then refused by this very object: so it is read back, and it is ours
        if its bytes are. Data that others may write too must hold a nonce.
        """

        def create() -> bool:
            system, path = self._with_parent(key)
            try:
                if _is_disk(system):
                    _create_disk(Path(path), data)
                else:
                    system.pipe_file(path, data, mode="create")
            except Exception as error:
                if not already_exists(error):
                    raise
                return False
            return True

        return self._again("write", key, create, may_be_absent=False) or self.read(key) == data

    def upload(self, source: Path, key: str) -> None:
        """Write a local file as an object, and verify its size.

        Raises: StageFailed when another number of bytes arrived.
        """
        size = source.stat().st_size

        def put() -> None:
            system, path = self._with_parent(key)
            if _is_disk(system):
                _write_disk(Path(path), lambda beside: shutil.copyfile(source, beside))
            else:
                system.put_file(str(source), path)
            stored = self.stat(key)
            if stored is None or stored.bytes != size:
                raise OSError(f"another number of bytes arrived than the {size:,} of the file")

        self._again("write", key, put, may_be_absent=False)

    def download(self, key: str, target: Path, sha256: str) -> None:
        """Write an object as a local file, whole or not at all.

        Raises: StageFailed when the object is gone or its bytes are not those of `sha256`, however often it is read.
        """
        system, root = self._root
        target.parent.mkdir(parents=True, exist_ok=True)
        address = f"{self.url}/{key}"
        with replacing(target) as beside:
            for _ in range(DOWNLOADS):
                try:
                    self._again("read", key, lambda: system.get_file(f"{root}/{key}", str(beside)))
                except FileNotFoundError as error:
                    raise StageFailed(f"{address}: is gone from the store. Run its stage with --force.") from error
                if sha256_file(beside) == sha256:
                    break
            else:
                raise StageFailed(f"{address}: is not what was published. Run its stage with --force.")

    def delete(self, key: str) -> None:
        """Remove an object; nothing when it is gone already."""
        system, root = self._root

        def remove() -> None:
            try:
                system.rm_file(f"{root}/{key}")
            except FileNotFoundError:
                return

        self._again("delete", key, remove)

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove objects, several at a time."""
        for _ in in_parallel(self.delete, keys):
            pass

    def stat(self, key: str) -> Stored | None:
        """Size and time of an object; None where there is none."""
        system, root = self._root

        def info() -> Stored | None:
            system.invalidate_cache()
            try:
                status: JsonObject = system.info(f"{root}/{key}")
            except FileNotFoundError:
                return None
            return _stored(status) if status.get("type", "file") == "file" else None

        return self._again("look up", key, info)

    def _with_parent(self, key: str) -> tuple[AbstractFileSystem, str]:
        system, root = self._root
        path = f"{root}/{key}"
        # object stores have no folders, and must not be asked for a bucket; elsewhere they must be there
        if scheme_of(self.url) in ("file", "local", "memory"):
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
        return system, path

    def _again(self, verb: str, key: str, work: Callable[[], T], *, may_be_absent: bool = True) -> T:
        """Call `work` until it succeeds or an error does not pass. `may_be_absent`: a missing object is an answer."""
        for attempt in range(self.tries):
            try:
                return work()
            except Exception as error:
                if isinstance(error, StageFailed) or (may_be_absent and isinstance(error, FileNotFoundError)):
                    raise
                if is_permanent(error) or attempt == self.tries - 1:
                    message = f"{self.url}: cannot {verb} {key}: {sentence_of(error, scheme_of(self.url))}."
                    raise StageFailed(f"{message} Finished work is kept; run the same command again.") from error
            time.sleep(FIRST_DELAY_S * 2**attempt * random.uniform(0.7, 1.3))
        raise AssertionError


def _stored(info: Mapping[str, JsonObject]) -> Stored:
    time_of = next((info[name] for name in TIMES if info.get(name)), 0.0)
    modified = time_of.timestamp() if isinstance(time_of, datetime) else _number(time_of)
    return Stored(int(str(info.get("size") or 0)), modified)


def _number(value: object) -> float:
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else float(str(value))
    except ValueError:
        return 0.0


def _is_disk(system: AbstractFileSystem) -> bool:
    return "file" in ((system.protocol,) if isinstance(system.protocol, str) else system.protocol)


def _write_disk(path: Path, write: Callable[[Path], object]) -> None:
    # fsspec writes in place here, and a reader could see half a file
    with replacing(path) as beside:
        write(beside)


def _create_disk(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}-{random.getrandbits(64):x}{TEMPORARY}")
    beside.write_bytes(data)
    try:
        path.hardlink_to(beside)
    finally:
        beside.unlink()
