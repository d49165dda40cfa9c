"""A store on a local disk: a publication that is interrupted anywhere loses nothing, and modes are the umask's."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.backends import local
from pipeline.core.inputs import Inputs
from pipeline.core.job import Identity, Job, StageOutput
from pipeline.core.places import JobPaths
from pipeline.core.shards import entry_of
from pipeline.core.store import Store

PRINT = "a" * 64
TEXTS = {"parts/一.txt": "铁", "scores.json": "[]"}
STEPS = ("_sweep", "_append", "write_json", "_move")


def begin(store: Store, folder: Path, *, fresh: bool = False) -> Job:
    attempt, draft = store.begin("clean", PRINT, fresh=fresh)
    return Job(
        Identity("clean", 1, "documents", "x:y", PRINT, {}, 1, attempt), Inputs(), JobPaths(draft, *[folder] * 3)
    )


def work(job: Job, scores: str = "[]") -> StageOutput:
    for path, text in (TEXTS | {"scores.json": scores}).items():
        (job.folder / path).parent.mkdir(exist_ok=True)
        if not (job.folder / path).exists():
            (job.folder / path).write_text(text, encoding="utf-8")
    return StageOutput([entry_of(job.folder, path) for path in TEXTS], {})


def failing(monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException, *, after: bool) -> None:
    """Let a step of the publication fail before or after it is done."""
    done: Callable[..., Any] = getattr(local, step)

    def call(*arguments: Any) -> None:
        if after:
            done(*arguments)
        raise error

    monkeypatch.setattr(local, step, call)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))], ids=repr)
def test_a_publication_that_fails_anywhere_is_done_by_the_next_attempt(
    tmp_path: Path, step: str, error: BaseException, after: bool
) -> None:
    store = Store(tmp_path)
    job = begin(store, tmp_path)
    outcome = work(job)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(type(error)):
        failing(patch, step, error, after=after)
        store.publish(job, outcome)
    published = store.find("clean", PRINT)
    assert (published is not None) == (step == "_move" and after)
    assert store.has_draft("clean", PRINT)
    again = begin(store, tmp_path)
    taken = {path for path in TEXTS if (again.folder / path).exists()}
    assert taken == (set() if published else set(TEXTS)), "finished files are taken over"
    artifact = store.publish(again, work(again))
    assert {path: artifact.file(path).read_text(encoding="utf-8") for path in TEXTS} == TEXTS
    assert not store.has_draft("clean", PRINT)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_published_files_are_as_readable_as_the_umask_says(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        store = Store(tmp_path)
        work(begin(store, tmp_path))
        job = begin(store, tmp_path)
        artifact = store.publish(job, work(job))
    finally:
        os.umask(before)
    paths = [path for path in artifact.folder("").rglob("*") if path.is_file()]
    assert len(paths) == len(TEXTS) + 2 and {path.stat().st_mode & 0o777 for path in paths} == {mode}
