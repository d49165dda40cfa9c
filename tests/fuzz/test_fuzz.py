"""A few damaged copies of every valid file; the harness finds what it is for. `make fuzz` reads 10,000 of each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.readers import READERS, jsonl
from pipeline.readers.base import BadRecord, Record
from tests.fuzz import __main__ as driver
from tests.fuzz.mutations import mutate
from tests.fuzz.read_damaged import problem_of
from tests.fuzz.valid_files import VALID_FILES

MUTATIONS = 60


@pytest.mark.parametrize("name", VALID_FILES)
def test_damaged_copies_crash_nothing_and_lose_nothing_in_silence(name: str, tmp_path: Path) -> None:
    valid = VALID_FILES[name]
    data = valid.data()
    assert problem_of(valid, data, tmp_path) == ""
    damaged = [mutate(data, name, 17, number) for number in range(MUTATIONS)]
    assert [problem for copy in damaged if (problem := problem_of(valid, copy, tmp_path))] == []


def test_every_reader_has_a_valid_file_that_is_damaged() -> None:
    assert {valid.reader for valid in VALID_FILES.values()} == set(READERS.names())


def test_damage_is_the_same_for_the_same_number() -> None:
    data = VALID_FILES["a.jsonl"].data()
    copies = [mutate(data, "a.jsonl", 17, number) for number in range(50)]
    assert copies == [mutate(data, "a.jsonl", 17, number) for number in range(50)]
    assert len(set(copies)) > 45


@pytest.mark.parametrize("defect", ["lost", "crash"])
def test_a_reader_that_loses_records_or_raises_is_found(
    defect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = jsonl.Jsonl.read

    def defective(self: Any, file: Any, *, after: int = -1) -> Iterator[Record | BadRecord]:
        for record in read(self, file, after=after):
            if record.position != 5:
                yield record
            elif defect == "crash":
                raise IndexError("list index out of range")

    monkeypatch.setattr(jsonl.Jsonl, "read", defective)
    valid = VALID_FILES["a.jsonl"]
    expected = {"lost": "another parser has 24", "crash": "IndexError"}[defect]
    assert expected in problem_of(valid, valid.data() + b"\n", tmp_path)


@pytest.mark.parametrize("defect", ["hang", "crash"])
def test_a_copy_that_hangs_or_crashes_a_process_is_noted_and_the_next_is_read(
    defect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, time\n"
        "import tests.fuzz.mutations as mutations\n"
        "whole = mutations.mutate\n"
        "def mutate(data, name, seed, number):\n"
        f"    if number == 1: {'time.sleep(600)' if defect == 'hang' else 'os.kill(os.getpid(), signal.SIGSEGV)'}\n"
        "    return whole(data, name, seed, number)\n"
        "mutations.mutate = mutate\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}:{os.environ.get('PYTHONPATH', '')}")
    # a process needs seconds to start on a busy machine: only the one that hangs is given up soon
    monkeypatch.setattr(driver, "LIMIT_S", 3.0 if defect == "hang" else 60.0)
    results = list(driver.fuzz("a.txt", 17, 0, 4))
    assert [result["number"] for result in results] == [0, 1, 2, 3]
    assert ("hung for 3 s" if defect == "hang" else "crashed with code -11") in results[1]["problem"]
    assert not any(result["problem"] for result in results if result["number"] != 1)
