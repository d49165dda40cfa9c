"""A row read back as text: its words and its sentences, by tokens, in English and Chinese."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.text import words
from pipeline.tokenizers.reference_encoder import ReferenceEncoder, load
from training.objectives import special_tokens
from training.objectives.boundaries import BoundaryReader, TokenBoundaries


@pytest.fixture(scope="session")
def reader(tokenizer: Path) -> BoundaryReader:
    return BoundaryReader(tokenizer, special_tokens.read(tokenizer).special)


def read_row(reader: BoundaryReader, ids: list[int]) -> TokenBoundaries:
    (boundaries,) = reader.read([np.array(ids, np.int64)])
    return boundaries


def groups(reader: BoundaryReader, reference: ReferenceEncoder, ids: list[int]) -> list[str]:
    """The text of each word of a row."""
    continues_word = read_row(reader, ids).continues_word
    words_of_row: list[list[int]] = []
    for token, on in zip(ids, continues_word.tolist(), strict=True):
        if on:
            words_of_row[-1].append(token)
        else:
            words_of_row.append([token])
    return [reference.decode(part) for part in words_of_row]


def test_the_pieces_of_an_english_word_are_one(reader: BoundaryReader, reference: ReferenceEncoder) -> None:
    text = "The stationmaster's naïve café doesn't remember 3 things."
    read_words = groups(reader, reference, reference.encode_text(text))
    assert [part.strip() for part in read_words] == [
        "The", "stationmaster's", "naïve", "café", "doesn't", "remember", "3", "things", ".",
    ]  # fmt: skip


def test_a_character_is_never_parted(reader: BoundaryReader, reference: ReferenceEncoder) -> None:
    ids = reference.encode_text("鑫森淼焱垚 😀 ok")  # none of them learned: a token a byte
    assert [part.strip() for part in groups(reader, reference, ids)][-2:] == ["😀", "ok"]
    assert all("\ufffd" not in part for part in groups(reader, reference, ids))


def test_special_tokens_end_words_and_sentences(reader: BoundaryReader, reference: ReferenceEncoder) -> None:
    end = reference.end_of_text
    ids = [*reference.encode_text("river"), end, *reference.encode_text("river")]
    boundaries = read_row(reader, ids)
    at = ids.index(end)
    assert not boundaries.continues_word[at] and not boundaries.continues_word[at + 1]
    assert boundaries.begins_sentence[0] and boundaries.begins_sentence[at + 1] and not boundaries.begins_sentence[at]


@pytest.mark.parametrize(
    "text",
    [
        "It is 3.14 at example.org. She said so! Did she?\nYes",
        "今天天气很好。我们去图书馆看书！真的？好。",
        "Mixed 中文。And English. 再来一句",
    ],
)
def test_sentences_begin_where_the_words_module_splits_them(
    reader: BoundaryReader, reference: ReferenceEncoder, text: str
) -> None:
    ids = reference.encode_text(text)
    starts = [*np.flatnonzero(read_row(reader, ids).begins_sentence), len(ids)]
    read_sentences = [reference.decode(ids[a:b]).strip() for a, b in zip(starts, starts[1:], strict=False)]
    assert read_sentences == words.sentences(text)


def test_a_row_that_begins_inside_a_character_is_read(reader: BoundaryReader, reference: ReferenceEncoder) -> None:
    ids = reference.encode_text("鑫鑫 river.")
    assert len(ids) > 4
    for cut in range(1, 4):
        boundaries = read_row(reader, ids[cut:])
        assert not boundaries.continues_word[0] and len(boundaries.continues_word) == len(ids) - cut


def test_an_empty_row_is_read(reader: BoundaryReader) -> None:
    boundaries = read_row(reader, [])
    assert len(boundaries.continues_word) == len(boundaries.begins_sentence) == 0


def test_a_chinese_word_is_that_of_jieba(reader: BoundaryReader, reference: ReferenceEncoder) -> None:
    for text in (
        "北京大学的学生在图书馆里学习语言模型。",
        "今天天气很好，我们去图书馆看书。",
        "混合 English 和中文模型",
    ):
        read_words = [part.strip() for part in groups(reader, reference, reference.encode_text(text))]
        expected_words = words.words(text, folded=False)
        # where a token holds the end of one word and the start of another, both are one
        assert "".join(read_words) == text.replace(" ", "")
        borders, own = _borders(read_words), _borders(words_and_punctuation(text, expected_words))
        assert borders <= own
    # characters that were never learned: tokens of bytes, so every word of jieba stands alone
    assert groups(reader, reference, reference.encode_text("乌鲁木齐鳄鱼")) == ["乌鲁木齐", "鳄鱼"]


def words_and_punctuation(text: str, expected_words: list[str]) -> list[str]:
    """Words, and each character between them by itself."""
    parts, at = [], 0
    for word in expected_words:
        start = text.index(word, at)
        parts += [*text[at:start].replace(" ", ""), word]
        at = start + len(word)
    return [*parts, *text[at:].replace(" ", "")]


def _borders(parts: list[str]) -> set[int]:
    return set(np.cumsum([len(part) for part in parts]).tolist())


def test_rows_are_read_together_as_they_are_alone(reader: BoundaryReader, rows: np.ndarray) -> None:
    parts = [row[: 64 - 7 * at] for at, row in enumerate(rows[:9])]
    for part, together in zip(parts, reader.read(parts), strict=True):
        alone = read_row(reader, part.tolist())
        assert np.array_equal(alone.continues_word, together.continues_word) and np.array_equal(
            alone.begins_sentence, together.begins_sentence
        )
    assert reader.read([]) == []


def test_what_stands_beside_a_row_changes_nothing_of_it(reader: BoundaryReader, reference: ReferenceEncoder) -> None:
    """Chinese anywhere in a batch means another way to find words: it must find the same."""
    draw = np.random.default_rng(3)
    chinese = np.array(reference.encode_text("安静的河流带着一封信"))
    texts = ["__ _a a' don't x_'y 3.14 ___", "naïve \u200d\u200d co\u00adop e\u0301 ไทย 한국어 あ"]
    parts = [np.array(reference.encode_text(text)) for text in texts]
    parts += [draw.integers(0, 420, 40) for _ in range(60)]
    for part in parts:
        alone = read_row(reader, part.tolist())
        beside = reader.read([chinese, part])[1]
        assert np.array_equal(alone.continues_word, beside.continues_word) and np.array_equal(
            alone.begins_sentence, beside.begins_sentence
        )


def test_pieces_of_words_make_the_same_words(wordpiece: Path) -> None:
    reader, reference = BoundaryReader(wordpiece, special_tokens.read(wordpiece).special), load(wordpiece)
    text = "The quiet river carries a letter. 北京大学的学生在图书馆里学习。"
    read_words = groups(reader, reference, reference.encode_text(text))
    own = [part.replace(" ", "").replace("##", "") for part in read_words]
    assert own == words_and_punctuation(text, words.words(text, folded=False))
    ids = reference.encode_text("Nobody has opened it. Why not? 他们每天都来。老师也来。")
    starts = [*np.flatnonzero(read_row(reader, ids).begins_sentence), len(ids)]
    sentences = [reference.decode(ids[a:b]).replace(" ", "") for a, b in zip(starts, starts[1:], strict=False)]
    # a blank before a Han character is lost in pieces of words, and with it that a sentence ends there
    assert sentences == ["Nobodyhasopenedit.", "Whynot?他们每天都来。", "老师也来。"]
