"""Counting lines and paragraphs and their duplicates."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels.column import measure

LINES = st.lists(
    st.sampled_from(["", "  ", "a", "b", " a ", "- item", "•", "-x", " -y", "中文", "　中文", "wait...", "等…", "…\t"])
)


def signals(text: str) -> dict[str, float]:
    return {name: float(values[0]) for name, values in measure(pa.array([text], pa.large_string())).items()}


def share(part: int, total: int) -> float:
    return part / total if total else 0.0


def repeated(items: list[str]) -> list[str]:
    return [item for item, count in Counter(items).items() for _ in range(count - 1)]


@settings(max_examples=150, deadline=None)
@given(LINES)
def test_lines_are_counted_as_by_the_reference(lines: list[str]) -> None:
    full = [line.strip() for line in lines if line.strip()]
    paragraphs = [[]] if full else []
    for line in "\n".join(lines).strip().split("\n"):
        if line.strip():
            paragraphs[-1].append(line.strip())
        elif paragraphs and paragraphs[-1]:
            paragraphs.append([])
    joined = ["\n".join(paragraph) for paragraph in paragraphs]
    size = sum(map(len, full))
    measured = signals("\n".join(lines))
    assert measured["lines"] == len(full) and measured["paragraphs"] == len(joined)
    assert measured["duplicate_lines"] == share(len(repeated(full)), len(full))
    assert measured["duplicate_line_characters"] == share(len("".join(repeated(full))), size)
    assert measured["duplicate_paragraphs"] == share(len(repeated(joined)), len(joined))
    repeated_characters = sum(len(paragraph.replace("\n", "")) for paragraph in repeated(joined))
    assert measured["duplicate_paragraph_characters"] == share(repeated_characters, size)
    assert measured["ellipsis_lines"] == share(sum(line.endswith(("...", "…")) for line in full), len(full))


def test_blank_lines_are_not_counted() -> None:
    measured = signals("\n".join(["a", "b", "a", "", "", "a"]))
    assert (measured["lines"], measured["duplicate_lines"]) == (4, 2 / 4)


@pytest.mark.parametrize(
    ("line", "bullet"),
    [("- item", 1), ("-item", 1), ("  - item", 1), ("  -5 degrees", 0), ("• 项目", 1), ("　• 项目", 1), ("text - x", 0),
     ("*", 1), ("1. item", 0)],
)  # fmt: skip
def test_a_bullet_starts_a_line_or_precedes_white_space(line: str, bullet: float) -> None:
    assert signals(line)["bullet_lines"] == bullet


def test_a_line_of_ten_megabytes_is_one_line() -> None:
    assert signals("中文 and words " * 700_000)["lines"] == 1
