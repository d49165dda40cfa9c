"""The kernel for words compared with the reference `pipeline.text.words` and with jieba."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import column, segment
from pipeline.text import chinese_words, words

ODD = "aZé1_'’ .…#\n\t中文。かｱ한ส\u0e35\u0301\u00adקl·״׳ខ\u17d2\u200d\ufe0fﬁＡ😀\x00�〇々㐀𠀀⼀豈\u3000"
# characters that are frequent in jieba's dictionary, rare ones, and ones outside its range
HAN = "的一是不了在人有我他这中国人民银行行长江大桥研究生命起源乒乓球拍卖完了𠀀㐀〇々龘䶮鿕鿖"
TEXTS = st.lists(st.text(ODD, max_size=60) | st.text(HAN, max_size=40) | st.text(max_size=40), max_size=6)
DATA = Path(os.environ.get("BLOOMERY_DATA", "../shared/data")) / "corpora" / "zh"


def texts_of(encoded: tuple[np.ndarray, np.ndarray, np.ndarray], texts: list[str]) -> list[list[str]]:
    ends, begin, stop = encoded
    data = [text.encode() for text in texts]
    return [
        [words.fold(data[d][begin[i] : stop[i]].decode()) for i in range(ends[d], ends[d + 1])]
        for d in range(len(texts))
    ]


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_words_equal_those_of_the_reference(texts: list[str]) -> None:
    spans = column.words(pa.array(texts, pa.large_string()))
    assert texts_of(spans, texts) == [words.words(text) for text in texts]


def test_a_slice_of_a_column_gives_the_words_of_its_own_texts() -> None:
    full_column = pa.array(["left out", "a b", "中国人民", "left out"], pa.large_string())
    ends, begin, stop = column.words(full_column.slice(1, 2))
    assert ends.tolist() == [0, 2, 4]
    assert begin.tolist() == [0, 2, 0, 6] and stop.tolist() == [1, 3, 6, 12]


@pytest.mark.parametrize("text", ["中国\u0301人民", "ที่นี่中国", "か\u3099中\u200d\u0301国", "col·lecció צה״ל D·E"])
def test_marks_belong_to_the_character_before_them(text: str) -> None:
    assert texts_of(column.words(pa.array([text], pa.large_string())), [text]) == [words.words(text)]


@pytest.mark.parametrize("text", ["", "a", "中", "a" * 100_000, "中" * 2_000, "中国" * 20_000, "\n" * 9])
def test_unusual_texts_are_split(text: str) -> None:
    assert texts_of(column.words(pa.array([text], pa.large_string())), [text]) == [words.words(text)]


def native_words(run: str) -> list[str]:
    han_run = segment.han_run(4 * len(run))
    han_run.points[: len(run)] = np.frombuffer(run.encode("utf-32-le"), np.int32)
    segment.segment(han_run, len(run), segment.dictionary())
    cuts = [0, *(np.flatnonzero(han_run.ends[: len(run)]) + 1).tolist()]
    return [run[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]


@settings(max_examples=300, deadline=None)
@given(
    st.text(HAN, min_size=1, max_size=50)
    | st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1)
)
def test_a_run_is_segmented_as_by_jieba(run: str) -> None:
    assert native_words(run) == chinese_words.words_of_run(run)


def test_unknown_names_are_segmented_as_by_jieba() -> None:
    run = "小明硕士毕业于中国科学院计算所后在日本京都大学深造他来到了网易杭研大厦"
    assert "杭研" in native_words(run)
    assert native_words(run) == chinese_words.words_of_run(run)


def runs_of_corpora(characters: int) -> Iterator[str]:
    for path in sorted(DATA.glob("*.jsonl.gz")):
        left = characters
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                text = "\n".join(value for value in json.loads(line).values() if isinstance(value, str))
                text, left = text[:left], left - len(text)
                yield from "".join(c if words.is_han(c) else " " for c in text).split()
                if left <= 0:
                    break


def compare(characters: int) -> None:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not there: set BLOOMERY_DATA")
    different = [run for run in runs_of_corpora(characters) if native_words(run) != chinese_words.words_of_run(run)]
    assert not different


def test_the_corpora_are_segmented_as_by_jieba() -> None:
    compare(4_000)


@pytest.mark.long
def test_the_complete_corpora_are_segmented_as_by_jieba() -> None:
    compare(1 << 40)
