"""A row read back as text: its words and its sentences, by tokens, in English and Chinese."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.text import words
from pipeline.tokenizers.subword import Reference
from training.objectives import marks
from training.objectives.reading import Reader


@pytest.fixture(scope="session")
def reader(tokenizer: Path) -> Reader:
    return Reader(tokenizer, marks.read(tokenizer).special)


def groups(reader: Reader, reference: Reference, ids: list[int]) -> list[str]:
    """The text of each word of a row."""
    goes_on = reader.read(np.array(ids)).goes_on
    found: list[list[int]] = []
    for token, on in zip(ids, goes_on.tolist(), strict=True):
        if on:
            found[-1].append(token)
        else:
            found.append([token])
    return [reference.decode(part) for part in found]


def test_the_pieces_of_an_english_word_are_one(reader: Reader, reference: Reference) -> None:
    text = "The stationmaster's naïve café doesn't remember 3 things."
    found = groups(reader, reference, reference.encode_text(text))
    assert [part.strip() for part in found] == [
        "The", "stationmaster's", "naïve", "café", "doesn't", "remember", "3", "things", ".",
    ]  # fmt: skip


def test_a_character_is_never_parted(reader: Reader, reference: Reference) -> None:
    ids = reference.encode_text("鑫森淼焱垚 😀 ok")  # none of them learned: a token a byte
    assert [part.strip() for part in groups(reader, reference, ids)][-2:] == ["😀", "ok"]
    assert all("\ufffd" not in part for part in groups(reader, reference, ids))


def test_special_tokens_part_words_and_sentences(reader: Reader, reference: Reference) -> None:
    end = reference.end_of_text
    ids = [*reference.encode_text("river"), end, *reference.encode_text("river")]
    found = reader.read(np.array(ids))
    at = ids.index(end)
    assert not found.goes_on[at] and not found.goes_on[at + 1]
    assert found.begins[0] and found.begins[at + 1] and not found.begins[at]


@pytest.mark.parametrize(
    "text",
    [
        "It is 3.14 at example.org. She said so! Did she?\nYes",
        "今天天气很好。我们去图书馆看书！真的？好。",
        "Mixed 中文。And English. 再来一句",
    ],
)
def test_sentences_begin_where_the_words_module_splits_them(reader: Reader, reference: Reference, text: str) -> None:
    ids = reference.encode_text(text)
    starts = [*np.flatnonzero(reader.read(np.array(ids)).begins), len(ids)]
    found = [reference.decode(ids[a:b]).strip() for a, b in zip(starts, starts[1:], strict=False)]
    assert found == words.sentences(text)


def test_a_row_that_begins_inside_a_character_is_read(reader: Reader, reference: Reference) -> None:
    ids = reference.encode_text("鑫鑫 river.")
    assert len(ids) > 4
    for cut in range(1, 4):
        found = reader.read(np.array(ids[cut:]))
        assert not found.goes_on[0] and len(found.goes_on) == len(ids) - cut


def test_an_empty_row_is_read(reader: Reader) -> None:
    found = reader.read(np.zeros(0, np.int64))
    assert len(found.goes_on) == len(found.begins) == 0
