"""Run directories of a work directory behind a URL: written here and uploaded, or fetched to be read.

runs/<run>/… in the store has the same files as on disk. A run that is going on uploads what changed every few seconds,
and everything when it ends. Large files wait for the end.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.core.errors import BloomeryError
from pipeline.core.files import TEMPORARY, replacing
from pipeline.core.objects import ObjectStore
from pipeline.core.parallel import in_parallel
from pipeline.core.places import url_of

FOLDER = "runs"
HERE = ".here"  # in the directory of a run of this machine: its files are newer than those of the store
INTERVAL_S = 3.0
BUSY = 10  # times as long as the last upload took is waited before the next
LARGE_BYTES = 32 << 20


class FolderUpload:
    """Uploads the files of a folder of a work directory that changed since the last time."""

    def __init__(self, path: Path, workdir: Path, url: str) -> None:
        self.path, self.objects = path, ObjectStore(url)
        self.key = path.relative_to(workdir).as_posix()
        self.uploaded: dict[str, tuple[int, int]] = {}

    def upload(self, *, large: bool = True) -> None:
        """Raises: StageFailed when the store does not answer."""
        changed = {}
        for name, status in _files(self.path):
            version = (status.st_size, status.st_mtime_ns)
            if self.uploaded.get(name) != version and (large or status.st_size < LARGE_BYTES):
                changed[name] = version
        for name in in_parallel(self._upload, changed, threads=4):
            self.uploaded[name] = changed[name]

    def _upload(self, name: str) -> str:
        # read at once: the file may grow meanwhile
        self.objects.put(f"{self.key}/{name}", (self.path / name).read_bytes())
        return name


@contextmanager
def uploading(path: Path, workdir: Path) -> Iterator[None]:
    """Upload a run directory while the block runs and when it ends; nothing where the work directory is local.

    Raises: StageFailed when the last upload fails.
    """
    url = url_of(workdir)
    if url is None:
        yield
        return
    (path / HERE).touch()
    upload, ended = FolderUpload(path, workdir, url), threading.Event()
    thread = threading.Thread(target=_upload_often, args=(upload, ended), name="run upload", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        upload.upload()


def _upload_often(upload: FolderUpload, ended: threading.Event) -> None:
    wait = INTERVAL_S
    while not ended.wait(wait):
        started = time.monotonic()
        # the next upload, or the last one, has these files too
        with suppress(BloomeryError):
            upload.upload(large=False)
        wait = max(INTERVAL_S, BUSY * (time.monotonic() - started))


def upload_folder(path: Path, workdir: Path) -> None:
    """Upload all files of a folder of a work directory; nothing where that is local."""
    if url := url_of(workdir):
        FolderUpload(path, workdir, url).upload()


def fetch_runs(workdir: Path, name: str | None = None) -> None:
    """Fetch the records of the runs of other machines, or all files of one; nothing where the directory is local."""
    url = url_of(workdir)
    if url is None:
        return
    objects = ObjectStore(url)
    entries = objects.entries(f"{FOLDER}/{name}" if name else FOLDER)
    outdated = []
    for key, stored in entries.items():
        _, run, file = key.split("/", 2)
        target = workdir / key
        if (workdir / FOLDER / run / HERE).exists() or (name is None and "/" in file):
            continue
        if not target.exists() or (target.stat().st_size, target.stat().st_mtime) != (stored.bytes, stored.modified):
            outdated.append((key, target, stored.modified))
    for key, target, modified in outdated:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as beside:
            beside.write_bytes(objects.read(key))
            os.utime(beside, (modified, modified))


def _files(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    for root, _, names in os.walk(path):
        for name in names:
            file = Path(root) / name
            if not name.startswith(".") and not name.endswith(TEMPORARY) and not file.is_symlink():
                yield file.relative_to(path).as_posix(), file.stat()
