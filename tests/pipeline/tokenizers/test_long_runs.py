"""Runs without blanks as long as a document: training takes linear time, and their text can be encoded."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from pipeline.tokenizers import long_runs
from pipeline.tokenizers.base import TokenizerOptions, TokenizerTrainer
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.verified_encoder import VerifiedEncoder
from pipeline.tokenizers.word_level import WordLevel
from pipeline.tokenizers.wordpiece import WordPiece

# alphabets of scripts written without blanks, and of sequences that are no language
ALPHABETS = {
    "th": "กขคงจฉชซดตถทนบปผพฟมยรลวสหอะาิีึืุูเแโใไ่้",
    "km": "កខគងចឆជញដណតថទធនបផពភមយរលវសហអាិីុូេែៃោំះ្",
    "lo": "ກຂຄງຈສຊຍດຕຖທນບປຜຝພຟມຢຣລວຫອຮະາິີຸູເແໂໃໄ່້",
    "my": "ကခဂငစဆဇညတထဒဓနပဖဗဘမယရလဝသဟအာိီုူေဲံ့း်္",
    "dna": "ACGT",
    "hi": "कखगघचछजझटठडढतथदधनपफबभमयरलवशसहािीुूेैोौंः्",
}


def runs(name: str, size: int, count: int = 12) -> list[str]:
    """Texts that are one run of `size` characters each."""
    letters = random.Random(name)
    return ["".join(letters.choices(ALPHABETS[name], k=size)) for _ in range(count)]


@pytest.mark.parametrize("name", sorted(ALPHABETS))
@pytest.mark.parametrize("lowercase", [False, True])
def test_wordpiece_knows_every_character_of_a_long_run_on_both_paths(name: str, lowercase: bool) -> None:
    texts = [*runs(name, 700), *runs(name, 99, 3), *runs(name, 101, 3), "ordinary words stand beside 铁匠 them"]
    json_text = WordPiece(TokenizerOptions(lowercase=lowercase)).train(texts, 400)
    verified = VerifiedEncoder(json_text)
    assert verified.fallback is None
    column = pa.array(texts, pa.large_string())
    encoded, right = verified.encode(column), verified.reference.encode(column)
    assert np.array_equal(encoded.ids, right.ids) and np.array_equal(encoded.offsets, right.offsets)
    assert verified.reference.special("[UNK]") not in encoded.ids
    library = tokenizers.Tokenizer.from_str(json_text)
    assert [library.encode(text, add_special_tokens=False).ids for text in texts] == [
        encoded.document(at).tolist() for at in range(len(texts))
    ]


def test_a_long_run_of_wordpiece_takes_time_in_its_length() -> None:
    """Tried to the letter: its pieces are those of its hundreds, each by itself."""
    (text,) = runs("th", 50_000, 1)
    reference = VerifiedEncoder(WordPiece().train(runs("th", 90), 400)).reference
    hundreds = pa.array([text[at : at + 100] for at in range(0, len(text), 100)], pa.large_string())
    assert reference.encode_text(text) == reference.encode(hundreds).ids.tolist()


def test_a_word_of_a_hundred_characters_is_whole() -> None:
    word = "".join(random.Random(7).choices("abcdefgh", k=100))
    tree = json.loads(WordPiece().train([word] * 9 + [word + "ij"] * 9, 300))
    vocabulary = tree["model"]["vocab"]
    assert word in vocabulary
    reference = VerifiedEncoder(json.dumps(tree)).reference
    assert reference.encode_text(word + "ij")[0] == vocabulary[word]
    assert reference.encode_text(word) == [vocabulary[word]]


@pytest.mark.parametrize("kind", [BytePair(), WordPiece(), WordLevel(TokenizerOptions(min_count=1))])
def test_a_run_as_long_as_a_corpus_is_trained_on_and_encoded(kind: TokenizerTrainer) -> None:
    """Twice as many letters in one word took eight times as long: the test ends, that is what it shows."""
    texts = ["Some ordinary text about a river and a stone."] * 30 + runs("dna", 100_000, 1) + ["铁" * 300_000]
    verified = VerifiedEncoder(kind.train(texts, 400))
    column = pa.array(texts, pa.large_string())
    encoded = verified.encode(column, np.ones(len(texts), np.bool_))
    assert len(encoded) == len(texts)


TEXTS = [
    "A short text.", "", "铁匠从炉中取出铁块，把炉渣锤打出去。" * 90, "word " * 900,
    "x" * 1_300, "=" * 700 + "\n" + " " * 2_000 + "end",
    "ก" * 513 + " and " + "7" * 512,
]  # fmt: skip


def lengths(texts: list[str], splitter: Any) -> list[int]:
    return [end - start for text in texts for _, (start, end) in splitter.pre_tokenize_str(text)]


@pytest.mark.parametrize(
    "splitter", [pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.BertPreTokenizer()]
)
def test_parts_are_the_text_and_hold_no_run_beyond_the_limit(splitter: Any) -> None:
    for text in TEXTS:
        parts = list(long_runs.cut([text], splitter))
        assert "".join(parts) == text
        assert max(lengths(parts, splitter), default=0) <= long_runs.TRAINING_CHARACTERS


@pytest.mark.parametrize(
    "splitter", [pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.BertPreTokenizer()]
)
def test_text_without_long_runs_stays_whole(splitter: Any) -> None:
    assert list(long_runs.cut(TEXTS[:4], splitter)) == TEXTS[:4]


def test_texts_are_cut_as_they_come() -> None:
    splitter = pre_tokenizers.BertPreTokenizer()
    tracemalloc.start()
    assert sum(map(len, long_runs.cut(("a b " * 50_000 for _ in range(40)), splitter))) == 40 * 200_000
    assert tracemalloc.get_traced_memory()[1] < 40 * 200_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "splitter", [pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.BertPreTokenizer()]
)
@given(text=st.text("ab1_-.,'(， 。铁\n\t\u0301", max_size=60))
def test_no_long_run_is_overlooked_before_a_text_is_split(splitter: pre_tokenizers.PreTokenizer, text: str) -> None:
    # a run may take the blank before it along
    is_long = any(end - start > 9 for _, (start, end) in splitter.pre_tokenize_str(text))
    parts = list(long_runs.cut([text], splitter, 8))
    assert "".join(parts) == text
    assert not is_long or len(parts) > 1
