"""What a stage's process says of a limit of the machine: one sentence, with what to do before it is run again."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from cluster import child
from cluster.process import ProcessExit, failure_message

ORDER: dict[str, Any] = {
    "identity": {"stage": "pack"}, "place": {"folder": "work/draft"}, "resources": {"workers": 4},
}  # fmt: skip


@pytest.mark.parametrize(
    ("number", "problem", "remedy"),
    [
        (errno.ENOSPC, "no space left on the disk", "Free space (work/数据)"),
        (errno.EDQUOT, "no space left on the disk", "Free space (work/数据)"),
        (errno.EROFS, "the file system is read-only", "Make work/数据 writable"),
        (errno.EFBIG, "a file grew beyond the largest size that is allowed", "Raise the limit (ulimit -f)"),
        (errno.ENOMEM, "out of memory", "Use fewer workers than 4, or raise the limit (ulimit -v)"),
    ],
)
def test_a_limit_of_the_machine_is_one_sentence(number: int, problem: str, remedy: str) -> None:
    said = child._unexpected_error(ORDER, OSError(number, os.strerror(number), "work/数据"))
    assert said.startswith(f"pack: {problem} (") and f". {remedy}, then run the same command again: " in said
    assert "\n" not in said


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("std::bad_alloc"), OSError(errno.ENOMEM, "fork")])
def test_memory_is_recognised_whoever_ran_out_of_it(error: Exception) -> None:
    assert child._unexpected_error(ORDER, error).startswith("pack: out of memory")


@pytest.mark.parametrize("shortage", list(child.EXIT_CODES))
def test_a_stage_that_cannot_write_what_was_missing_says_it_by_its_exit_code(shortage: Any, tmp_path: Any) -> None:
    ended = ProcessExit(child.EXIT_CODES[shortage], 0, 0.0, 0.0)
    said = failure_message("pack", ended, tmp_path / "log.txt", workers=1, oom_kills=0)
    assert child.sentence(shortage, "", folder=tmp_path, workers=1) in said


def test_an_abort_without_a_shortage_stays_a_crash(tmp_path: Any) -> None:
    (tmp_path / "log.txt").write_text("free(): invalid pointer\n")
    said = failure_message("pack", ProcessExit(-6, 0, 0.0, 0.0), tmp_path / "log.txt", workers=1, oom_kills=0)
    assert "crashed in native code (SIGABRT)" in said
