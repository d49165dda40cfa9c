"""A folder that appears whole or not at all: written beside its place and renamed."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.core.files import TEMPORARY


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary sibling; it becomes `path` when the block succeeds and is removed when it fails.

    What a killed process left is removed by the next one that writes the same folder.
    Raises: UserError when `path` exists and is not an empty folder, or another process is writing it.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path} is there already, and nothing is overwritten. Delete it, or name another folder.")
    beside = path.with_name(f".{path.name}{TEMPORARY}")
    beside.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(beside, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{path} is being written by another process. Wait for it.") from None
        try:
            _clear(beside)
            yield beside
            os.fsync(descriptor)
            beside.replace(path)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    finally:
        os.close(descriptor)


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
