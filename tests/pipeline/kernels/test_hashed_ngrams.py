"""The language model of hashed n-grams: bits against a plain reference with stupid backoff, and its fixed memory."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from pipeline.kernels.column import buffers
from pipeline.kernels.folded_text import folded_scratch
from pipeline.kernels.hashed_ngrams import STEPS, count_ngrams, measure_bits, to_logarithms
from pipeline.text.unicode import tables

ORDER = 5
TRAINING = ["the river runs past the old station", "今天天气很好我们去图书馆看书今天我们看天气"]


def bits_of(training: list[str], texts: list[str], *, bits: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bits and code points of texts, and the totals of the counts."""
    counts, totals = np.zeros(1 << bits, np.uint32), np.zeros(2, np.int64)
    data, offsets = buffers(pa.array(training, pa.large_string()))
    points = folded_scratch(10_000)
    rows = np.arange(len(training))
    count_ngrams(data, offsets, rows, tables(), ORDER, points, counts, totals)
    total = 1 + round(math.log2(totals[0]) * STEPS)
    data, offsets = buffers(pa.array(texts, pa.large_string()))
    out = np.empty((len(texts), 2), np.int64)
    rows = np.arange(len(texts))
    measure_bits(data, offsets, rows, tables(), ORDER, points, to_logarithms(counts), total, out)
    return out[:, 0] / STEPS, out[:, 1], totals


def reference(training: list[str], text: str) -> float:
    """The bits of a text in lower case without repeated white space; n-grams are counted exactly."""
    counts: Counter[str] = Counter()
    total = 0
    for each in training:
        padded = f" {each} "
        total += len(padded)
        for i in range(len(padded)):
            counts.update(padded[i - k : i + 1] for k in range(min(ORDER, i + 1)))
    padded, bits = f" {text} ", 0.0
    for i in range(len(padded)):
        most = min(ORDER, i + 1)
        sizes = [k for k in range(1, most + 1) if counts[padded[i - k + 1 : i + 1]]]
        if not sizes:
            bits += ORDER * -math.log2(0.4) + math.log2(total)
            continue
        size = max(sizes)
        context = counts[padded[i - size + 1 : i]] if size > 1 else total
        bits -= math.log2(counts[padded[i - size + 1 : i + 1]] / context * 0.4 ** (most - size))
    return bits


@pytest.mark.parametrize("text", ["the station runs", "the queen", "我们看书", "今天下雨", "x今y天", "ζ"])
def test_bits_are_those_of_stupid_backoff_over_exact_counts(text: str) -> None:
    measured, points, _ = bits_of(TRAINING, [text])
    assert points[0] == len(text) + 2
    assert measured[0] == pytest.approx(reference(TRAINING, text), abs=2 * points[0] / STEPS)


def test_text_like_the_training_text_is_less_surprising() -> None:
    measured, points, _ = bits_of(TRAINING, ["the old river", "qzx vwk jjqz", "我们看天气", "齉龘爩鱻麤"])
    mean = measured / points
    assert mean[0] < mean[1] and mean[2] < mean[3]


def test_case_width_and_white_space_do_not_matter() -> None:
    measured, _, _ = bits_of(TRAINING, ["the old station", "THE  Old\n\nｓｔａｔｉｏｎ", "看书", "看书\n"])
    assert measured[0] == measured[1] and measured[2] == measured[3]


def test_counting_ends_when_half_of_the_table_is_used() -> None:
    texts = ["".join(chr(0x4E00 + (i * 7919 + n) % 20000) for i in range(200)) for n in range(50)]
    _, _, totals = bits_of(texts, ["书"], bits=12)
    assert 1 << 11 <= totals[1] < (1 << 11) + ORDER and totals[0] < 50 * 202


def test_a_document_has_the_same_bits_alone_and_after_others() -> None:
    together, _, _ = bits_of(TRAINING, ["the river", "今天天气", "the river"])
    alone, _, _ = bits_of(TRAINING, ["今天天气"])
    assert together[0] == together[2] and together[1] == alone[0]


def test_a_blank_text_has_no_code_points() -> None:
    _, points, _ = bits_of(TRAINING, ["", " \n"])
    assert points.tolist() == [0, 0]
