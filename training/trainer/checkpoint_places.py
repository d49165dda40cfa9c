"""Where the files of checkpoints lie: in a folder, or behind a URL, where a file is uploaded beside the next steps.

Names are relative, with slashes. A file appears whole or not at all in both places.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.core.errors import StageFailed
from pipeline.core.files import TEMPORARY, replacing
from pipeline.core.objects import ObjectStore
from training.spec import TrainingSpec
from training.trainer.state_file import ByteSource, SavedState, write_state

FOLDER = "checkpoints"


class CheckpointPlace(Protocol):
    """The files of the checkpoints of one artifact."""

    uploads: bool  # whether a file is on its way for a while after it was written

    def names(self) -> list[str]:
        """The names of all files, in the order of their bytes."""

    def read(self, name: str) -> bytes:
        """Raises: FileNotFoundError when there is no such file."""

    def put(self, name: str, data: bytes) -> None:
        """Write a small file, over an earlier one if there is one."""

    def write(self, name: str, state: SavedState) -> tuple[int, Future[None]]:
        """Write a state file; returns its size in bytes, and what is done when it has arrived."""

    def delete(self, name: str) -> None:
        """Remove a file; nothing when it is gone already."""

    def source(self, name: str) -> ByteSource:
        """A file to read ranges of."""

    def __str__(self) -> str:
        """The place, for people."""


@dataclass(frozen=True)
class FolderPlace:
    """A folder that all workers see."""

    folder: Path
    uploads = False

    def names(self) -> list[str]:
        paths = (path for path in self.folder.rglob("*") if path.is_file() and not path.name.endswith(TEMPORARY))
        return sorted((path.relative_to(self.folder).as_posix() for path in paths), key=str.encode)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            beside.write_bytes(data)

    def write(self, name: str, state: SavedState) -> tuple[int, Future[None]]:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            write_state(beside, state)
        arrived: Future[None] = Future()
        arrived.set_result(None)
        return path.stat().st_size, arrived

    def delete(self, name: str) -> None:
        path = self.folder / name
        path.unlink(missing_ok=True)
        if path.parent != self.folder and path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()

    def source(self, name: str) -> ByteSource:
        return FileRanges(self.folder / name)

    def __str__(self) -> str:
        return str(self.folder)


class ObjectPlace:
    """Objects under a key of a store. A state file is written to `scratch`, a local folder, and uploaded from there."""

    uploads = True

    def __init__(self, objects: ObjectStore, key: str, scratch: Path) -> None:
        self.objects, self.key, self.scratch = objects, key, scratch
        self._uploader = ThreadPoolExecutor(1, "checkpoint-upload")

    def names(self) -> list[str]:
        return [key.removeprefix(f"{self.key}/") for key in self.objects.list(self.key)]

    def read(self, name: str) -> bytes:
        return self.objects.read(f"{self.key}/{name}")

    def put(self, name: str, data: bytes) -> None:
        self.objects.put(f"{self.key}/{name}", data)

    def write(self, name: str, state: SavedState) -> tuple[int, Future[None]]:
        path = self.scratch / "uploads" / f"{os.getpid()}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_state(path, state)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path.stat().st_size, self._uploader.submit(self._upload, path, f"{self.key}/{name}")

    def _upload(self, path: Path, key: str) -> None:
        try:
            self.objects.upload(path, key)
        finally:
            path.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        self.objects.delete(f"{self.key}/{name}")

    def source(self, name: str) -> ByteSource:
        return ObjectRanges(self.objects, f"{self.key}/{name}")

    def __str__(self) -> str:
        return f"{self.objects.url}/{self.key}"


class FileRanges:
    """Ranges of a local file. `bytes_read`: so far."""

    def __init__(self, path: Path) -> None:
        self.path, self.size, self.bytes_read = path, path.stat().st_size, 0

    def read_into(self, offset: int, target: memoryview) -> None:
        with self.path.open("rb", buffering=0) as stream:
            stream.seek(offset)
            count = stream.readinto(target)
        self.bytes_read += len(target)
        if count != len(target):
            raise shorter(str(self.path))


class ObjectRanges:
    """Ranges of an object. `bytes_read`: so far."""

    def __init__(self, objects: ObjectStore, key: str) -> None:
        self.objects, self.key, self.bytes_read = objects, key, 0
        self.size = objects.size(key)

    def read_into(self, offset: int, target: memoryview) -> None:
        data = self.objects.read_range(self.key, offset, len(target))
        self.bytes_read += len(data)
        if len(data) != len(target):
            raise shorter(f"{self.objects.url}/{self.key}")
        target[:] = data


def place_of(spec: TrainingSpec) -> CheckpointPlace:
    """Where the checkpoints of a training lie: in the attempt's folder, or in the draft of a store behind a URL."""
    if not spec.store:
        return FolderPlace(spec.folder / FOLDER)
    return ObjectPlace(ObjectStore(spec.store), f"draft/{spec.fingerprint}/{FOLDER}", spec.scratch / FOLDER)


def shorter(name: str) -> StageFailed:
    """The error for a file of a checkpoint that was cut after the checkpoint was complete."""
    return StageFailed(f"{name}: the checkpoint's file is shorter than it was written. Run the same command again.")
