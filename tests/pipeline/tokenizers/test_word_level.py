"""Words as tokens: the ids and the vocabulary of plain loops, and the same bytes in every process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter as PlainCounter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.kernels import vocabulary
from pipeline.text import words as definition
from pipeline.tokenizers import adversarial, word_encoder
from pipeline.tokenizers.base import TokenizerOptions
from pipeline.tokenizers.reference_encoder import ReferenceEncoder
from pipeline.tokenizers.verified_encoder import VerifiedEncoder
from pipeline.tokenizers.word_level import WordLevel

TEXTS = [
    "The smith draws the bloom from the furnace. The smith hammers it while it's hot!",
    "铁匠从炉中取出铁块，趁热锻打。铁匠把炉渣打出去！\n炉子又热了",
    "Three smiths, 3 furnaces：１２３ 中国人民 用Python写code… snake_case\u00ad",
]
ODD = "aZé1_'’ .…#\n\t中文。！かｱ한\u0301\u00ad\u200dﬁＡ😀㐀⼀"
DRAWN = st.lists(st.text(ODD, max_size=40) | st.text("the smith铁匠炉子 .\n", max_size=40), max_size=5)

TRAIN = """
import hashlib, sys
from pipeline.tokenizers.word_level import WordLevel
texts = sys.stdin.buffer.read().decode().split("\\x1e")
print(hashlib.sha256(WordLevel().train(texts * 20, 500).encode()).hexdigest())
"""


def plain_ids(text: str, ids: dict[str, int], *, lowercase: bool = True) -> list[int]:
    """The definition, one document at a time."""
    expected_ids = []
    for sentence in definition.sentences(text):
        parts = definition.words(sentence, folded=lowercase)
        if parts:
            expected_ids += [*(ids.get(word, 1) for word in parts), 2]
    return expected_ids


def vocabulary_of(json_text: str) -> dict[str, int]:
    ids: dict[str, int] = json.loads(json_text)["model"]["vocab"]
    return ids


@pytest.fixture(scope="module")
def trained() -> str:
    return WordLevel().train(TEXTS * 5, 500)


@pytest.mark.parametrize("lowercase", [True, False])
def test_the_vocabulary_is_the_most_frequent_words_in_order(lowercase: bool) -> None:
    texts = [*TEXTS, *TEXTS[:2], "the the 铁块"]
    counts = PlainCounter(word for text in texts for word in definition.words(text, folded=lowercase))
    wanted = sorted((word for word in counts if counts[word] >= 2), key=lambda word: (-counts[word], word.encode()))
    for size in (8, 20, 500):
        json_text = WordLevel(TokenizerOptions(min_count=2, lowercase=lowercase)).train(texts, size)
        assert list(vocabulary_of(json_text)) == ["<|endoftext|>", "<unk>", "</s>", *wanted][:size]


def test_a_vocabulary_of_more_words_than_there_are_has_those_there_are() -> None:
    assert len(vocabulary_of(WordLevel(TokenizerOptions(min_count=1)).train(["铁匠 打铁 iron"], 10_000))) == 3 + 3
    assert list(vocabulary_of(WordLevel().train([], 10_000))) == ["<|endoftext|>", "<unk>", "</s>"]


def test_three_processes_learn_the_same_bytes() -> None:
    digests = set()
    for seed in range(3):
        variables = {**os.environ, "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-c", TRAIN]
        done = subprocess.run(
            command, input="\x1e".join(TEXTS).encode(), env=variables, capture_output=True, check=True
        )
        digests.add(done.stdout.decode().strip())
    assert digests == {hashlib.sha256(WordLevel().train(TEXTS * 20, 500).encode()).hexdigest()}


@settings(max_examples=100, deadline=None)
@given(DRAWN, st.booleans())
def test_ids_are_those_of_the_definition(trained: str, texts: list[str], lowercase: bool) -> None:
    json_text = trained if lowercase else trained.replace('"lowercase":true', '"lowercase":false')
    encoded = ReferenceEncoder(json_text).encode(pa.array(texts, pa.large_string()))
    assert [encoded.document(at).tolist() for at in range(len(texts))] == [
        plain_ids(text, vocabulary_of(json_text), lowercase=lowercase) for text in texts
    ]


def test_adversarial_texts_encode_as_the_definition_says(trained: str) -> None:
    texts = adversarial.texts(["</s>", "<unk>", "<|endoftext|>"])
    encoded = VerifiedEncoder(trained).encode(pa.array(texts, pa.large_string()))
    vocabulary_ids = vocabulary_of(trained)
    assert encoded.ids.tolist() == [number for text in texts for number in plain_ids(text, vocabulary_ids)]


def test_a_slice_of_a_column_encodes_alone(trained: str) -> None:
    texts_column, encoder = pa.array(TEXTS * 3, pa.large_string()), VerifiedEncoder(trained)
    assert np.array_equal(encoder.encode(texts_column.slice(4, 3)).ids, encoder.encode(pa.array((TEXTS * 3)[4:7])).ids)
    assert len(encoder.encode(texts_column.slice(0, 0))) == 0


def test_two_words_of_one_hash_stay_two_words() -> None:
    table = vocabulary.word_table(["", "iron", "铁匠"], 1)
    mask, clash = np.uint64(len(table.table) - 1), table.hash[2]
    table.table[:] = 0
    for step, word in enumerate((1, 2)):  # as if both had the hash of the second
        table.table[(clash + np.uint64(step)) & mask] = clash & vocabulary.UPPER | np.uint64(word + 1)
    encoder = word_encoder.WordEncoder(["", "iron", "铁匠"], 1, unknown=9, sentence=8, lowercase=True, segmenter="")
    encoder._vocabulary = table
    assert encoder.encode(pa.array(["铁匠 iron"], pa.large_string())).ids.tolist()[0] == 2


def test_counting_goes_on_when_its_arrays_were_full(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"word{n} 铁匠 word{n % 7} ﷺ{n}" for n in range(300)]
    expected = WordLevel(TokenizerOptions(min_count=1)).train(texts, 2_000)
    monkeypatch.setattr(word_encoder, "FIRST_WORDS", 2)
    monkeypatch.setattr(word_encoder, "FIRST_POINTS", 3)
    assert WordLevel(TokenizerOptions(min_count=1)).train(texts, 2_000) == expected


def test_special_tokens_of_ones_own_are_never_found_in_a_text() -> None:
    reference = ReferenceEncoder(
        WordLevel(TokenizerOptions(specials=("MASK", "[PAD]"), min_count=1, lowercase=False)).train(["MASK a"], 99)
    )
    assert [reference.special(name) for name in ("<unk>", "</s>", "MASK", "[PAD]", "[SEP]")] == [1, 2, 3, 4, None]
    assert reference.encode_text("MASK [PAD] a") == [1, 1, 5]


def test_a_prompt_leaves_its_last_sentence_open(trained: str) -> None:
    reference = ReferenceEncoder(trained)
    for text, ends in (
        ("the smith", 0),
        ("the smith. The", 1),
        ("铁匠打铁。", 1),
        ("the smith.\n", 1),
        ("", 0),
        ("…", 0),
    ):
        assert reference.encode_text(text).count(2) == ends
    assert reference.encode_text("the smith.") == plain_ids("the smith.", vocabulary_of(trained))


def test_ids_come_back_as_words_and_lines(trained: str) -> None:
    reference = ReferenceEncoder(trained)
    assert (
        reference.decode(reference.encode_text("The smith. 铁匠，趁热！ zyx the")) == "the smith\n铁匠趁热\n<unk> the"
    )


def test_the_library_loads_it_for_text_parted_by_blanks(trained: str) -> None:
    library, known = tokenizers.Tokenizer.from_str(trained), vocabulary_of(trained)
    for text in TEXTS:
        parted = definition.words(text)
        assert library.encode(" ".join(parted)).ids == [known.get(word, 1) for word in parted]
    assert library.encode("The SMITH’s").ids == [known["the"], 1]


def test_words_of_another_segmenter_are_refused(trained: str) -> None:
    tree: dict[str, Any] = json.loads(trained)
    tree["model"]["words"]["segmenter"] = "jieba 0.1.2, dictionary 00"
    neighbour = ReferenceEncoder(json.dumps(tree))
    assert neighbour.vocabulary == len(vocabulary_of(trained))
    with pytest.raises(UserError, match="pip install jieba==0.1.2"):
        neighbour.encode_text("铁匠")
