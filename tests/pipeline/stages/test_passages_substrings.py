"""The finder `substrings` of passages: exact repeats go, wherever they begin and end; the first stays."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.job import Job
from pipeline.passages.windows import sizes_of
from pipeline.stages import passages_substrings
from pipeline.text.written_units import written_units
from tests.support.artifact_rows import rows_of, texts_of

ENGLISH = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated"
    " documentation files (the “Software”), to deal in the Software without restriction, including without limitation"
    " the rights to use, copy, modify and merge copies."
)
CHINESE = (
    "县级以上人民政府应当将防震减灾工作纳入本级国民经济和社会发展规划，所需经费列入财政预算。任何单位和个人都有依法参加"
    "防震减灾活动的义务。国家鼓励、引导社会组织和个人开展地震群测群防活动，对地震进行监测和预防。"
)
Run = Callable[..., Artifact]


@pytest.fixture
def run(run_passages: Run) -> Run:
    def with_substrings(
        records: Sequence[Any], *, tokens: int = 50, finders: Sequence[Any] = (), **options: Any
    ) -> Any:
        return run_passages(records, {"substrings": {"min_tokens": tokens}}, *finders, **options)

    return with_substrings


def mixed_corpus(documents: int) -> list[str]:
    """Texts of a few words, some of which hold parts of earlier ones, in English and Chinese."""
    draw = random.Random(17)
    words = (
        "the old river passes a station (where nobody waits) at night. 河流 经过 古老 的 车站， 没有 人 等待。".split()
    )
    corpus: list[str] = []
    for _ in range(documents):
        text = draw.choice(["", " "]).join(draw.choices(words, k=draw.randint(5, 60)))
        if corpus and draw.random() < 0.6:
            source = draw.choice(corpus)
            begin = draw.randrange(len(source))
            text = f"{text} {source[begin : begin + draw.randint(20, 200)]}{draw.choice(words)}"
        corpus.append(text * draw.choice([1, 1, 1, 2]))
    return corpus


def removed_by_search(corpus: Sequence[str], window: int) -> set[tuple[int, int]]:
    """(document, code point) of everything in a window that occurs before, by plain comparison."""
    seen: set[str] = set()
    removed: set[tuple[int, int]] = set()
    for document, text in enumerate(corpus):
        units = written_units(text)
        for i, first in enumerate(units):
            weight = 0
            for last in units[i:]:
                weight += last.weight
                if weight >= window:
                    if text[first.start : last.end] in seen:
                        removed |= {(document, at) for at in range(first.start, last.end)}
                    seen.add(text[first.start : last.end])
                    break
    return removed


def test_a_substring_goes_wherever_it_begins_and_its_first_copy_stays(run: Run) -> None:
    before = [
        f"A notice. {ENGLISH} The end.",
        f"本法第一条。{CHINESE}本法自公布之日起施行。",
        f"Some other words before it, {ENGLISH} and other words after it",
        f"另一部法规：{CHINESE}由主管部门解释。",
    ]
    result = run([*before, ENGLISH[:180], CHINESE[:60]])
    assert texts_of(result) == [
        before[0], before[1], "Some other words before it, and other words after it", "另一部法规：由主管部门解释。",
        ENGLISH[:180], CHINESE[:60],
    ]  # fmt: skip
    rows = rows_of(result, "removed")
    assert [(row["text"], row["copies"], row["finder"]) for row in rows] == [
        (ENGLISH, 2, "substrings"), (CHINESE, 2, "substrings"),
    ]  # fmt: skip
    assert [(row["source_id"], row["kept_source_id"]) for row in rows] == [("made-2", "made-0"), ("made-3", "made-1")]
    assert all(before[at + 2][row["start"] : row["end"]] == row["text"] for at, row in enumerate(rows))
    assert result.manifest.counts["passages"]["substrings"] == {
        "passages": 2, "documents": 2, "characters": len(ENGLISH) + len(CHINESE),
    }  # fmt: skip
    samples = rows_of(result, "samples")
    assert {sample["text"] for sample in samples} == {ENGLISH, CHINESE}
    assert all(sample["kept_text"] == sample["text"] for sample in samples)


@pytest.mark.parametrize("block_bytes", [1, 2000, 32 << 20])
def test_what_goes_equals_a_search_of_every_window(run: Run, monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    monkeypatch.setattr(passages_substrings, "BLOCK_BYTES", block_bytes)
    corpus = mixed_corpus(60)
    expected = removed_by_search(corpus, sizes_of(20).window)
    result = run(corpus, files=7, tokens=20)
    rows = rows_of(result, "removed")
    assert {
        (int(row["source_id"].removeprefix("made-")), at) for row in rows for at in range(row["start"], row["end"])
    } == expected
    assert len(expected) > 1000
    assert sum(row["end"] - row["start"] for row in rows) == len(expected)


def test_the_bytes_do_not_depend_on_the_number_of_workers(run: Run) -> None:
    corpus = mixed_corpus(40)
    digests = {run(corpus, name=str(n), workers=n, tokens=20, files=5).manifest.digest for n in (1, 3)}
    assert len(digests) == 1


@pytest.mark.parametrize("step", ["find_anchors", "select_repeated", "find_windows", "compare_windows", "find_pieces"])
def test_a_run_that_was_interrupted_in_any_step_goes_on_to_the_same_bytes(
    run: Run, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    corpus = mixed_corpus(30)
    expected = run(corpus, tokens=20, name="whole").manifest.digest
    work, calls = getattr(passages_substrings, step), []

    def interrupted(job: Job, task: Any) -> Any:
        calls.append(task.key)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return work(job, task)

    with monkeypatch.context() as patch:
        patch.setattr(passages_substrings, step, interrupted)
        with pytest.raises(BaseException):  # noqa: B017 - whatever an executor makes of an interruption
            run(corpus, tokens=20, name="again")
    assert run(corpus, tokens=20, name="again").manifest.digest == expected


def test_a_text_in_thousands_of_documents_is_a_record_for_each_block(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    compare = passages_substrings.equal_windows

    def counted(partition: np.ndarray) -> np.ndarray:
        counts.extend(np.unique(partition["a"], return_counts=True)[1])
        return compare(partition)

    monkeypatch.setattr(passages_substrings, "equal_windows", counted)
    result = run([f"{n} {ENGLISH} {CHINESE} {n}" for n in range(2000)], files=3)
    assert texts_of(result)[1:] == [f"{n} {n}" for n in range(1, 2000)]
    assert {row["copies"] for row in rows_of(result, "removed")} == {2000}
    assert max(counts) == 3


def test_documents_in_skipped_languages_neither_lose_nor_keep_a_copy(run: Run) -> None:
    records = [
        {"text": f"# {ENGLISH} x", "language": "code"},
        {"text": f"one {ENGLISH} y", "language": "en"},
        {"text": f"two {ENGLISH} z", "language": "en"},
    ]
    result = run(records)
    assert texts_of(result) == [records[0]["text"], records[1]["text"], "two z"]
    assert rows_of(result, "removed")[0]["kept_source_id"] == "made-1"


def test_substrings_and_lines_are_counted_apart(run: Run) -> None:
    line = "The old lighthouse keeper climbed the narrow stairs every evening to light the lamp."
    result = run(
        [f"{ENGLISH}\n{line}", f"new words here {ENGLISH} other\n{line}"], finders=[{"lines": {"min_words": 10}}]
    )
    assert texts_of(result)[1] == "new words here other"
    counts = result.manifest.counts["passages"]
    assert (counts["substrings"]["passages"], counts["lines"]["passages"]) == (1, 1)


def test_nothing_is_found_in_no_documents_and_in_texts_without_words(run: Run) -> None:
    assert texts_of(run([], name="none", files=1)) == []
    marks = ["----- " * 200] * 2 + ["。" * 300] * 2
    assert texts_of(run(marks, name="marks")) == marks
