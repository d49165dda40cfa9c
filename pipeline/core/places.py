"""Where an attempt works on a machine, and where the files of a store behind a URL lie there."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.cache import Cache
from pipeline.core.errors import UserError
from pipeline.core.file_systems import refuse_secrets

CACHE = "cache"
URL = "URL"  # a file in the folder of a store on this machine: it says which store


@dataclass(frozen=True)
class JobPaths:
    """Where an attempt works. What it names in its Outcome lies under `folder`; `scratch` is shared by all stages.

    `store`: the URL of the store that the draft is in; "" where all workers see `folder`. Behind a URL all paths lie in
    the folder of that URL on this machine, and in that of another machine when the job arrives there.
    """

    folder: Path
    scratch: Path
    metrics: Path
    log: Path
    store: str = ""

    def cache(self, gigabytes: int) -> Cache:
        """What this machine keeps of files behind a URL, at most so many GiB."""
        folder = local_folder(self.store) if self.store else self.scratch
        return Cache(folder / CACHE, gigabytes << 30)

    def on_this_machine(self, root: Path) -> JobPaths:
        """The paths on this machine, of a job that comes from one where `root` was the folder of the store."""
        new_root = local_folder(self.store)
        if new_root == root:
            return self
        folder, scratch, metrics, log = (
            new_root / path.relative_to(root) if path.is_relative_to(root) else path
            for path in (self.folder, self.scratch, self.metrics, self.log)
        )
        for path in (folder, scratch, metrics, log.parent):
            path.mkdir(parents=True, exist_ok=True)
        return JobPaths(folder, scratch, metrics, log, self.store)


def local_folder(url: str) -> Path:
    """The folder of a store on this machine: unfinished work, the cache, and run records before they are uploaded."""
    base = os.environ.get("BLOOMERY_SCRATCH") or "~/.cache/bloomery"
    return Path(base).expanduser().absolute() / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]


def local_workdir(place: str | Path) -> Path:
    """The folder of a work directory on this machine: the directory itself, or that of its URL, made if need be.

    Raises: UserError when the URL holds credentials.
    """
    text = str(place)
    if "://" not in text:
        return Path(text).absolute()
    if problem := refuse_secrets(text):
        raise UserError(f"workdir: {problem}. Credentials come from the environment alone: take it out of the URL.")
    folder = local_folder(text)
    if not (folder / URL).exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / URL).write_text(text.rstrip("/"), encoding="utf-8")
    return folder


def url_of(workdir: Path) -> str | None:
    """The URL of the store that a folder on this machine stands for; None for a work directory on a disk."""
    try:
        return (workdir / URL).read_text(encoding="utf-8")
    except OSError:
        return None
