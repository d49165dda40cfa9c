"""A store's files behind a URL, through fsspec: whole objects under keys, and no rename, link or lock.

`put_if_absent` is atomic where the backend has a conditional put (S3, GCS, Azure, a local disk); elsewhere fsspec looks
first and writes then, and two writers at the same moment may both succeed (README.md, Publishing).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import StageFailed
from pipeline.core.files import replacing, sha256_file

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


@dataclass(frozen=True)
class ObjectStore:
    """The objects under one URL; a key is a path relative to it."""

    url: str

    @cached_property
    def _root(self) -> tuple[AbstractFileSystem, str]:
        import fsspec

        system, path = fsspec.core.url_to_fs(self.url)
        return system, path.rstrip("/")

    def list(self, prefix: str) -> list[str]:
        """The keys under a folder, in the order of their bytes; empty where there is none."""
        system, root = self._root
        system.invalidate_cache()  # another process may have written since
        paths = system.find(f"{root}/{prefix}".rstrip("/"))
        return sorted((path.removeprefix(f"{root}/") for path in paths), key=str.encode)

    def exists(self, key: str) -> bool:
        system, root = self._root
        system.invalidate_cache()
        return bool(system.isfile(f"{root}/{key}"))

    def read(self, key: str) -> bytes:
        """Raises: FileNotFoundError when there is no such object."""
        system, root = self._root
        data: bytes = system.cat_file(f"{root}/{key}")
        return data

    def put(self, key: str, data: bytes) -> None:
        """Write an object, over an earlier one if there is one."""
        system, path = self._with_parent(key)
        system.pipe_file(path, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one; whether it was written."""
        system, path = self._with_parent(key)
        try:
            system.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        return True

    def upload(self, source: Path, key: str) -> None:
        """Write a local file as an object."""
        system, path = self._with_parent(key)
        system.put_file(str(source), path)

    def download(self, key: str, target: Path, sha256: str) -> None:
        """Write an object as a local file, whole or not at all.

        Raises: StageFailed when the object is gone or its bytes are not those of `sha256`.
        """
        system, root = self._root
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as beside:
            try:
                system.get_file(f"{root}/{key}", str(beside))
            except FileNotFoundError as error:
                raise StageFailed(f"{self.url}/{key}: is gone from the store. Run its stage with --force.") from error
            if sha256_file(beside) != sha256:
                raise StageFailed(f"{self.url}/{key}: is not what was published. Run its stage with --force.")

    def delete(self, key: str) -> None:
        """Remove an object; nothing when it is gone already."""
        system, root = self._root
        try:
            system.rm_file(f"{root}/{key}")
        except FileNotFoundError:
            return

    def modified(self, key: str) -> float:
        """When an object was written, in seconds since 1970; 0 where the backend does not say."""
        system, root = self._root
        info = system.info(f"{root}/{key}")
        time = next((info[name] for name in ("LastModified", "last_modified", "mtime", "created") if name in info), 0.0)
        return time.timestamp() if isinstance(time, datetime) else float(time)

    def _with_parent(self, key: str) -> tuple[AbstractFileSystem, str]:
        system, root = self._root
        path = f"{root}/{key}"
        # object stores have no folders; on a disk they must be there
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        return system, path
