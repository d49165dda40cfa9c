"""The kernels of passages against plain Python: lines, sentences as `text.words` defines them, cutting and joining."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels import cut
from pipeline.kernels.column import buffers
from pipeline.kernels.passages import CLOSERS, Pieces, space_for, split_pieces
from pipeline.kernels.text_hash import hash_folded
from pipeline.text.unicode import NEWLINE, SPACE, tables
from pipeline.text.words import fold, kind_of, sentences, units

TEXTS = [
    "",
    " \n\t\n",
    "One line. Another! Is 3.14 a number?\nA second line, without an end",
    "白日依山尽，黄河入海流。\n欲穷千里目，更上一层楼。\n\n王之涣",
    "他说：“好。”然后走了！？真的……（是。）\n第二 行",
    "don't stop\u3000全角　ＡＢＣ １２３\r\n---\n x\u0301e\u0301 \u0e01\u0e34 ไทย",
    "🎉🎉\n¡Hola! ¿Qué tal?\x0bmás",
]
MIXED = st.text(st.sampled_from("aB1.!?。！”』…，\n \u3000白é\u0301'_-x🎉ß"), max_size=60)


def pieces_of(texts: list[str], *, at_sentences: bool) -> tuple[list[tuple[int, str]], Pieces]:
    data, offsets = buffers(pa.array(texts, pa.large_string()))
    space = space_for(len(data), len(texts))
    number = split_pieces(data, offsets, tables(), int(at_sentences), space)
    pieces = Pieces(*(array[:number] for array in space))  # type: ignore[arg-type]
    rows = zip(pieces.document.tolist(), pieces.start.tolist(), pieces.end.tolist(), strict=True)
    return [(d, texts[d].encode()[start:end].decode()) for d, start, end in rows], pieces


def blank(character: str) -> bool:
    return kind_of(character) in (SPACE, NEWLINE)


def stripped(text: str) -> str:
    while text and blank(text[0]):
        text = text[1:]
    while text and blank(text[-1]):
        text = text[:-1]
    return text


@given(st.lists(MIXED, max_size=4))
def test_lines_are_what_stands_between_line_feeds(texts: list[str]) -> None:
    for given_texts in (texts, TEXTS):
        expected = [(d, stripped(line)) for d, text in enumerate(given_texts) for line in text.split("\n")]
        lines, pieces = pieces_of(given_texts, at_sentences=False)
        assert lines == [(d, line) for d, line in expected if line]
        assert [words + characters for words, characters in zip(pieces.words, pieces.characters, strict=True)] == [
            len(units(line)) for _, line in lines
        ]


@given(st.lists(MIXED, max_size=4))
def test_sentences_are_those_of_the_text_package_but_for_marks_after_the_end(texts: list[str]) -> None:
    closers = "".join(map(chr, CLOSERS)) + "。！…"
    for given_texts in (texts, TEXTS):
        expected = [(d, sentence) for d, text in enumerate(given_texts) for sentence in sentences(text)]
        found, _ = pieces_of(given_texts, at_sentences=True)
        with_units = [(d, sentence) for d, sentence in found if units(sentence)]
        assert [(d, units(sentence)) for d, sentence in with_units] == [
            (d, units(sentence)) for d, sentence in expected if units(sentence)
        ]
        assert not any(sentence[0] in closers and units(sentence) and before[1][-1:] in "。！…"
                       for before, (_, sentence) in zip(found, found[1:], strict=False)
                       if given_texts == TEXTS)  # fmt: skip


def test_a_paragraph_opens_after_a_blank_line() -> None:
    _, pieces = pieces_of(["a\nb\n\n \nc", "d"], at_sentences=False)
    assert pieces.opens.tolist() == [1, 0, 1, 1]


def test_the_hash_of_a_line_is_that_of_its_folded_text() -> None:
    lines = [line for text in TEXTS for line in map(stripped, text.split("\n")) if line]
    _, pieces = pieces_of(TEXTS, at_sentences=False)
    expected = np.empty((len(lines), 3), np.uint64)
    hash_folded(*buffers(pa.array(lines, pa.large_string())), tables(), expected)
    assert pieces.hash.tolist() == expected[:, 0].tolist()
    assert pieces.check.tolist() == expected[:, 1].tolist()
    _, variants = pieces_of(["Ａ  ﬁx\nA fix\na\u3000FIX"], at_sentences=False)
    assert len(set(variants.hash.tolist())) == 1
    assert fold("ﬁ") == "fi"


def cut_out(text: str, passages: list[str]) -> str:
    """The text without these passages, each the first occurrence after the one before."""
    starts, ends, at = [], [], 0
    for passage in passages:
        at = text.index(passage, at)
        starts.append(len(text[:at].encode()))
        ends.append(starts[-1] + len(passage.encode()))
        at += len(passage)
    # a document before and one behind, so that positions are not those of the column
    data, offsets = buffers(pa.array(["前", text, "x"], pa.large_string()))
    out, result = np.empty(len(data), np.uint8), np.empty(4, np.int64)
    document = np.ones(len(starts), np.int32)
    cut.cut_passages(
        data, offsets, tables().classes, document, np.array(starts, np.uint32), np.array(ends, np.uint32), out, result
    )
    first, after, last = (out[a:b].tobytes().decode() for a, b in zip(result, result[1:], strict=False))
    assert (first, last) == ("前", "x")
    return after


@pytest.mark.parametrize(
    ("text", "passages", "expected"),
    [
        ("A\nX\nB", ["X"], "A\nB"),
        ("A\n\nX\n\nB", ["X"], "A\n\nB"),
        ("A\nX\n\nB", ["X"], "A\n\nB"),
        ("A\nX\n\nY\nB", ["X", "Y"], "A\n\nB"),
        ("X\n\nB\n", ["X"], "B\n"),
        ("A\n\nX\n", ["X"], "A"),
        ("X", ["X"], ""),
        ("One. X. Two.", ["X."], "One. Two."),
        ("甲。乙。丙。", ["乙。"], "甲。丙。"),
        ("甲。乙。\n丙。", ["乙。"], "甲。\n丙。"),
        ("A\nX. B.", ["X."], "A\nB."),
        ("A\n    X. B.", ["X."], "A\n    B."),
        ("if a:\n    X\n        B", ["X"], "if a:\n        B"),
        ("X\n    B", ["X"], "    B"),
        ("A. X.\nY. B.", ["X.", "Y."], "A.\nB."),
        ("A\u3000X\u3000B", ["X"], "A\u3000B"),
    ],
)
def test_what_is_left_is_joined_as_it_was_written(text: str, passages: list[str], expected: str) -> None:
    assert cut_out(text, passages) == expected


@given(MIXED, st.data())
def test_cutting_lines_keeps_every_other_line(text: str, data: st.DataObject) -> None:
    lines = [stripped(line) for line in text.split("\n")]
    chosen = [data.draw(st.booleans()) for _ in lines]
    gone = [line for line, is_gone in zip(lines, chosen, strict=True) if is_gone and line]
    left = [line for line, is_gone in zip(lines, chosen, strict=True) if not is_gone and line]
    starts, ends, at = [], [], 0
    for raw, line, is_gone in zip(text.split("\n"), lines, chosen, strict=True):
        if is_gone and line:
            starts.append(len((text[:at] + raw[: raw.index(line)]).encode()))
            ends.append(starts[-1] + len(line.encode()))
        at += len(raw) + 1
    buffer, offsets = buffers(pa.array([text], pa.large_string()))
    out, result = np.empty(len(buffer), np.uint8), np.empty(2, np.int64)
    places = (np.zeros(len(gone), np.int32), np.array(starts, np.uint32), np.array(ends, np.uint32))
    cut.cut_passages(buffer, offsets, tables().classes, *places, out, result)
    remaining = out[: result[1]].tobytes().decode()
    assert [line for line in map(stripped, remaining.split("\n")) if line] == left


def test_positions_are_counted_in_code_points_and_quotes_are_bounded() -> None:
    data, offsets = buffers(pa.array(["前", "a白🎉b白x"], pa.large_string()))
    document = np.array([1, 1], np.int32)
    start, end = np.array([1, 9], np.uint32), np.array([8, 13], np.uint32)
    points = np.empty(2, np.int64)
    cut.to_code_points(data, offsets, document, start, points)
    assert points.tolist() == [1, 4]
    out, ends = np.empty(20, np.uint8), np.empty(3, np.int64)
    cut.quote(data, offsets, document, start, end, 1, out, ends)
    assert [out[a:b].tobytes().decode() for a, b in zip(ends, ends[1:], strict=False)] == ["白", "白"]
