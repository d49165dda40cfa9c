"""The interface of the kernels takes Arrow columns of every form and returns a row for each document."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.kernels.byte_masks import PADDING, padded
from pipeline.kernels.column import buffers, languages, measure, one_array, shingle_hashes, signatures
from pipeline.text.language import count_scripts, detect_by_script
from pipeline.text.unicode import tables


def column(*texts: str | None) -> pa.Array:
    return pa.array(texts, pa.large_string())


def test_an_empty_column_gives_empty_columns() -> None:
    empty = column()
    assert all(len(values) == 0 for values in measure(empty, []).values())
    assert signatures(empty, 8, 5).shape == (0, 8)
    ends, hashes = shingle_hashes(empty, 5)
    assert (ends.tolist(), len(hashes), len(languages(empty))) == ([0], 0, 0)


def test_a_chunked_column_and_small_strings_give_the_same_signals() -> None:
    texts = ["a b c", "中文", "d"]
    chunked = pa.chunked_array([column("a b c"), column("中文", "d")])
    for variant in (chunked, pa.array(texts, pa.string())):
        assert measure(variant)["units"].tolist() == measure(column(*texts))["units"].tolist() == [3, 2, 1]


def test_a_column_of_one_chunk_is_not_copied_and_a_slice_keeps_its_texts() -> None:
    chunk = pa.array(["one", "二", "three"], pa.large_string())
    assert one_array(pa.chunked_array([chunk])).buffers()[2].address == chunk.buffers()[2].address
    data, offsets = buffers(pa.chunked_array([chunk.slice(1, 1)]))
    assert bytes(data[offsets[0] : offsets[1]]).decode() == "二"
    assert one_array(pa.chunked_array([chunk, chunk])).to_pylist() == 2 * chunk.to_pylist()


def test_a_null_is_an_empty_text() -> None:
    assert measure(column("a b", None, "中"))["units"].tolist() == [2, 0, 1]


@pytest.mark.parametrize(("size", "end"), [(0, 0), (200, 200), (200, 20)])
def test_padded_text_is_read_only_so_that_a_kernel_is_compiled_once(size: int, end: int) -> None:
    data = np.arange(size, dtype=np.uint8)
    result = padded(data, end)
    assert len(result) >= end + PADDING and result[:end].tolist() == data[:end].tolist()
    assert not result.flags.writeable and data.flags.writeable


@pytest.mark.parametrize(
    ("text", "language"),
    [("Plain words.", "und-Latn"), ("今天天气", "zh"), ("今日はいい天気です", "ja"), ("안녕하세요", "ko"),
     ("Привет", "und-Cyrl"), ("สวัสดี", "und-Thai"), ("用 print() 输出变量", "zh"), ("123 …", None), ("", None)],
)  # fmt: skip
def test_the_language_is_detected_from_the_script(text: str, language: str | None) -> None:
    assert languages(column(text)).to_pylist() == [language]


def test_a_document_of_five_megabytes_is_measured() -> None:
    text = "今天天气很好。The weather is fine today, 3 times.\n" * 90_000
    signals = measure(column("short", text), ["en", "en"])
    assert signals["units"].tolist() == [1, 13 * 90_000]


def test_a_few_texts_are_detected_alike_without_the_kernel() -> None:
    texts = ["床前明月光 shines 10", "", "ภาษาไทย и кириллица 𠀀", "1234 …", "Ünïcode naïve", "かな漢字"]
    detected = detect_by_script(count_scripts(texts, tables().scripts))
    assert detected == languages(column(*texts)).to_pylist()
