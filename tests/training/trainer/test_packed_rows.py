"""Rows as a memory-mapped array: what Parquet holds, written once however many ask for it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from training.trainer.packed_rows import open_rows

CPU = torch.device("cpu")
OPEN = """
import sys
from pathlib import Path
from training.trainer import packed_rows
expand, calls = packed_rows._expand, []
packed_rows._expand = lambda *arguments: (calls.append(1), expand(*arguments))
rows = packed_rows.open_rows([Path(p) for p in sys.argv[2:]], length=16, name="train-x", scratch=Path(sys.argv[1]))
print(len(calls), len(rows), int(rows.tokens.sum()))
"""


def test_rows_are_those_of_the_shards_in_order(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    files = inputs["tokens"].files("train/")
    rows = open_rows(files, length=16, name="train-x", scratch=tmp_path)
    exact = [row for path in files for row in pq.read_table(path)["tokens"].to_pylist()]
    assert len(rows) == len(exact) == 101
    tokens, lengths = rows.take(np.array([100, 0, 73]))
    assert lengths.tolist() == [len(exact[number]) for number in (100, 0, 73)]
    for row, length, number in zip(tokens, lengths, (100, 0, 73), strict=True):
        assert row[:length].tolist() == exact[number]
    assert lengths[0] == 5 and not tokens[0, 5:].any(), "the short row is filled up with zeros that do not count"


def test_a_number_below_nought_is_a_row_without_tokens(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    rows = open_rows(inputs["tokens"].files("validation/"), length=16, name="validation-x", scratch=tmp_path)
    assert rows.take(np.array([0, -1]))[1].tolist() == [16, 0]


def test_processes_that_start_together_write_it_once(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    files = map(str, inputs["tokens"].files("train/"))
    command = [sys.executable, "-c", OPEN, str(tmp_path), *files]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [process.communicate()[0].split() for process in started]
    assert sorted(output[0] for output in printed) == ["0", "0", "1"]
    assert len({tuple(output[1:]) for output in printed}) == 1


def test_a_full_disk_is_told_before_it_is_a_crash(
    inputs: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StageFailed, match="too little disk"):
        open_rows(inputs["tokens"].files("train/"), length=16, name="train-x", scratch=tmp_path)
    monkeypatch.undo()
    assert len(open_rows(inputs["tokens"].files("train/"), length=16, name="train-x", scratch=tmp_path)) == 101


def test_no_rows_are_told(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="there are no rows to train on"):
        open_rows([], length=16, name="train-x", scratch=tmp_path)
