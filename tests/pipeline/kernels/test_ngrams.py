"""Repeated n-grams: the published variants on five texts, and the signals against a plain reference."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels.column import measure
from pipeline.kernels.repetition_variants import repetition_variants
from pipeline.text import words

FIVE = (
    "aa bb cc dd ee " * 3,
    "ha " * 10,
    "one two three four five six seven eight nine ten",
    "a b c d e f a b c d e b c d e f",
    "the quick brown fox jumps over it and the quick brown fox jumps again",
)
REPETITIVE = st.lists(st.sampled_from(["a", "bb", "ccc", "中", "文", "a bb ccc a bb", "中文中文中"]), max_size=60)


def column(*texts: str) -> pa.Array:
    return pa.array(texts, pa.large_string())


def reference(text: str) -> dict[str, float]:
    units = words.units(text)
    total = sum(map(len, units)) or 1
    pairs = sum(count * (count - 1) for count in Counter(units).values())
    shares = {"unit_concentration": pairs / (len(units) * (len(units) - 1)) if len(units) > 1 else 0.0}
    for n in range(2, 11):
        grams = [tuple(units[at : at + n]) for at in range(len(units) - n + 1)]
        if n <= 4:
            shares[f"top_{n}gram_characters"] = _top(grams) / total
            continue
        earlier, covered = set(), [False] * len(units)
        for at, gram in enumerate(grams):
            if gram in earlier:
                covered[at : at + n] = [True] * n
            earlier.add(gram)
        repeated_characters = sum(len(unit) for unit, is_repeated in zip(units, covered, strict=True) if is_repeated)
        shares[f"duplicate_{n}gram_characters"] = repeated_characters / total
    return {name: min(value, 1.0) for name, value in shares.items()}


def _top(grams: list[tuple[str, ...]]) -> int:
    counts = Counter(grams)
    most = max(counts.values(), default=0)
    return max((len("".join(gram)) * most for gram, count in counts.items() if count == most > 1), default=0)


@settings(max_examples=100, deadline=None)
@given(REPETITIVE)
def test_repeats_equal_those_of_the_reference(parts: list[str]) -> None:
    text = " ".join(parts)
    measured = measure(column(text))
    expected = reference(text)
    assert {name: float(measured[name][0]) for name in expected} == expected


def test_the_three_variants_give_the_published_values() -> None:
    variants = repetition_variants(column(*FIVE), 5)
    assert variants["every"].tolist() == [30, 20, 0, 16, 42]
    assert variants["later"].tolist() == [20, 18, 0, 10, 21]
    assert variants["skipping"].tolist() == [20, 10, 0, 10, 21]
    assert variants["unit_characters"].tolist() == [30, 20, 39, 16, 56]


def test_the_top_bigram_is_counted_as_published() -> None:
    assert repetition_variants(column(*FIVE), 2)["top_count"].tolist() == [3, 9, 1, 3, 2]


def test_the_signal_is_the_variant_later_divided_by_characters_in_units() -> None:
    measured = measure(column(*FIVE))["duplicate_5gram_characters"]
    assert measured.tolist() == [20 / 30, 18 / 20, 0.0, 10 / 16, 21 / 56]


def test_a_text_without_a_repeat_has_no_top_ngram() -> None:
    assert measure(column("one two three", "一二三"))["top_2gram_characters"].tolist() == [0, 0]


def test_among_equally_frequent_ngrams_the_longest_counts() -> None:
    share = measure(column("a b x long words y a b z long words"))["top_2gram_characters"][0]
    assert share == pytest.approx(2 * len("longwords") / len("abxlongwordsyabzlongwords"))


def test_overlapping_occurrences_never_count_for_more_than_the_text() -> None:
    assert measure(column("ha ha ha"))["top_2gram_characters"][0] == 1.0


def test_words_are_not_glued_together() -> None:
    text = "ab c x y z q a bc x y z"  # without separators "abcxyz" would occur twice
    assert measure(column(text))["duplicate_5gram_characters"][0] == 0.0


def test_time_grows_with_the_text_and_not_faster() -> None:
    import time

    def seconds(text: str) -> float:
        started = time.process_time()
        measure(column(text))
        return time.process_time() - started

    measure(column("warm up"))
    for piece in ("ha ", "中文", "a" * 50 + " ", "\n"):
        small, large = seconds(piece * 50_000), seconds(piece * 400_000)
        assert large < 30 * max(small, 0.01), piece
