"""The draft of an artifact: what the finished tasks of its attempts left, wherever the workers are.

A task writes files under `job.folder` and is finished when its record is kept: its result, and the files it wrote. A
stage reads the files of other tasks through `job.draft` and never assumes that they lie under `job.folder`: on a local
disk they do, behind a URL they are objects of the store (`backends/remote_draft.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, read_json, recording, write_json

RESULTS = "tasks"


class Draft(Protocol):
    """The finished files and results of an attempt, and of the attempts that it took over. Paths are relative.

    `threads`: how many reads at a time pay; more than one where they wait for a network.
    """

    @property
    def threads(self) -> int: ...

    def file(self, path: str) -> Path:
        """The local path of a finished file, which can be memory-mapped; downloaded where it is not on this machine.

        Raises: StageFailed when the file is gone or its bytes are not those that were kept.
        """

    def read(self, path: str, offset: int, length: int) -> memoryview:
        """A range of a finished file; nothing else of it crosses the network. The bytes may be written to.

        Raises: StageFailed when the file is shorter.
        """

    def range_file(self, path: str, offset: int, length: int, checksum: int) -> tuple[Path, int]:
        """A local file that holds a range of a finished file, and where the range begins in it.

        `checksum`: XXH3 of the range, which is verified if the range is copied.
        Raises: StageFailed when the range is not what was written.
        """

    def size(self, path: str) -> int:
        """The bytes of a finished file."""

    def results(self, step: str) -> Mapping[str, JsonObject]:
        """Key → result of the finished tasks of a step. Results are read when they are asked for."""

    def keep(self, step: str, key: str, result: JsonObject, files: Sequence[str]) -> None:
        """Keep the files of a task, then its record: from then on the task is finished."""

    def share(self, name: str, files: Sequence[str]) -> None:
        """Let the tasks of later steps read files that the driver wrote; `name` is as unique as that of a step."""

    def finish(self, step: str) -> None:
        """Note that all tasks of a step are finished: reading their files costs less from then on."""

    def __hash__(self) -> int:
        """Drafts are keys of what a process loads once."""

    def rename(self, path: str, new: str) -> None:
        """Give a finished file the name that it has in the artifact. May be repeated after an interruption.

        Raises: StageFailed when the file is gone.
        """


@dataclass(frozen=True)
class LocalDraft:
    """A draft on a disk that all workers see: files lie under `folder`, results in its `tasks/<step>/<key>.json`."""

    folder: Path
    threads: ClassVar[int] = 1

    def file(self, path: str) -> Path:
        return self.folder / path

    def read(self, path: str, offset: int, length: int) -> memoryview:
        data = np.fromfile(self.folder / path, np.uint8, length, offset=offset)
        if len(data) != length:
            raise shorter(path)
        return data.data

    def range_file(self, path: str, offset: int, length: int, checksum: int) -> tuple[Path, int]:
        return self.folder / path, offset

    def size(self, path: str) -> int:
        return (self.folder / path).stat().st_size

    def results(self, step: str) -> Mapping[str, JsonObject]:
        folder = self.folder / RESULTS / step
        # made here, so that no worker has to
        folder.mkdir(parents=True, exist_ok=True)
        return FolderResults(folder)

    def keep(self, step: str, key: str, result: JsonObject, files: Sequence[str]) -> None:
        write_json(_record(self.folder / RESULTS / step, key), result)

    def share(self, name: str, files: Sequence[str]) -> None:
        """Nothing to do: all workers see the folder."""

    def finish(self, step: str) -> None:
        """Nothing to do."""

    def rename(self, path: str, new: str) -> None:
        source, target = self.folder / path, self.folder / new
        if source != target and source.exists():
            source.replace(target)
        elif not target.exists():
            raise StageFailed(f"{path}: a finished file is gone from the draft. Run again with --force.")


@dataclass(frozen=True)
class FolderResults(Mapping[str, JsonObject]):
    """The results in a folder, one file each; a look-up costs one `stat`."""

    folder: Path

    def __contains__(self, key: object) -> bool:
        return _record(self.folder, str(key)).exists()

    def __getitem__(self, key: str) -> JsonObject:
        try:
            result: JsonObject = read_json(_record(self.folder, key))
        except FileNotFoundError as error:
            raise KeyError(key) from error
        return result

    def __iter__(self) -> Iterator[str]:
        return (path.stem for path in sorted(self.folder.glob("*.json")))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@contextmanager
def sharing(draft: Draft, folder: Path, name: str) -> Iterator[None]:
    """Share the files that the driver writes under `folder` while the block runs."""
    with recording() as written:
        yield
    draft.share(name, relative_to(folder, written))


def relative_to(folder: Path, paths: Sequence[Path]) -> list[str]:
    """The paths below a folder, relative to it; each once, in the order of the first."""
    return list(dict.fromkeys(path.relative_to(folder).as_posix() for path in paths if path.is_relative_to(folder)))


def shorter(path: str) -> StageFailed:
    """The error for a file of a draft that was cut after it had been written."""
    return StageFailed(f"{path}: the file is shorter than it was when it was written. Run again with --force.")


def _record(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"
