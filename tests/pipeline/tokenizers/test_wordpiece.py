"""WordPiece: the special tokens of BERT, the same bytes in every process, and its share of characters."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pyarrow as pa
import pytest
import tokenizers

from pipeline.tokenizers.base import TokenizerOptions
from pipeline.tokenizers.reference_encoder import ReferenceEncoder
from pipeline.tokenizers.special_tokens import BERT_SPECIALS
from pipeline.tokenizers.verified_encoder import VerifiedEncoder
from pipeline.tokenizers.wordpiece import WordPiece

TEXTS = [
    "The smith smelts the ore, hammers the bloom and sells the smith's iron: unbelievably hot!",
    "铁匠从炉中取出铁块，把炉渣锤打出去。１２３，测试。",
    "Café naïve Ångström, snake_case 3.14 中文English混排",
]
TRAIN = """
import hashlib, sys
from pipeline.tokenizers.wordpiece import WordPiece
texts = sys.stdin.buffer.read().decode().split("\\x1e")
print(hashlib.sha256(WordPiece().train(texts * 20, 300).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def trained() -> str:
    return WordPiece().train(TEXTS * 20, 300)


def test_three_processes_learn_the_same_bytes(trained: str) -> None:
    digests = set()
    for seed in range(3):
        variables = {**os.environ, "PYTHONHASHSEED": str(seed), "RAYON_NUM_THREADS": str(1 + seed % 2)}
        command = [sys.executable, "-c", TRAIN]
        done = subprocess.run(
            command, input="\x1e".join(TEXTS).encode(), env=variables, capture_output=True, check=True
        )
        digests.add(done.stdout.decode().strip())
    assert digests == {hashlib.sha256(trained.encode()).hexdigest()}


def test_special_tokens_come_first_and_are_the_only_ones_added() -> None:
    tree = json.loads(WordPiece(TokenizerOptions(specials=("[GAP]",))).train(TEXTS * 20, 300))
    special = ["<|endoftext|>", *BERT_SPECIALS, "[GAP]"]
    assert [(token["id"], token["content"], token["special"]) for token in tree["added_tokens"]] == [
        (at, name, True) for at, name in enumerate(special)
    ]
    assert sorted(tree["model"]["vocab"].values()) == list(range(len(tree["model"]["vocab"])))
    assert [name for name, at in tree["model"]["vocab"].items() if at < 7] == special


def test_pieces_of_words_and_single_han_characters(trained: str) -> None:
    library = tokenizers.Tokenizer.from_str(trained)
    assert library.encode("铁匠。", add_special_tokens=False).tokens == ["铁", "匠", "。"]
    assert library.encode("the smith").tokens == ["[CLS]", "the", "smith", "[SEP]"]
    assert library.encode("The", "the").type_ids == [0, 0, 0, 1, 1]
    assert (
        ReferenceEncoder(trained).decode(ReferenceEncoder(trained).encode_text("the smith smelts"))
        == "the smith smelts"
    )


def test_case_and_accents_stay_unless_they_are_to_go(trained: str) -> None:
    lower = ReferenceEncoder(WordPiece(TokenizerOptions(lowercase=True)).train(TEXTS * 20, 300))
    assert lower.encode_text("THE Café") == lower.encode_text("the cafe")
    cased = ReferenceEncoder(trained)
    assert cased.encode_text("THE Café") != cased.encode_text("the cafe")


def test_every_character_of_the_sample_is_known_where_there_is_room(trained: str) -> None:
    reference = ReferenceEncoder(trained)
    for text in TEXTS:
        assert reference.unknown not in reference.encode_text(text)
    assert reference.encode_text("龘") == [reference.special("[UNK]")]


def test_the_rarest_characters_go_first_where_there_is_none() -> None:
    texts = ["".join(chr(0x4E00 + at) * (200 - at) for at in range(200))]
    reference = ReferenceEncoder(WordPiece().train(texts, 100))
    known = [at for at in range(200) if reference.encode_text(chr(0x4E00 + at)) != [reference.unknown]]
    assert known == list(range(50))
    assert reference.vocabulary == 56  # there is nothing to be merged


def test_a_vocabulary_of_more_pieces_than_there_are_has_those_there_are() -> None:
    reference = ReferenceEncoder(WordPiece().train(["iron 铁"], 9_000))
    assert reference.encode_text("iron 铁") == [reference.vocabulary - 1, reference.encode_text("铁")[0]]
    assert ReferenceEncoder(WordPiece().train([], 9_000)).vocabulary == 6


def test_columns_encode_as_texts_do_with_special_tokens_spelled_among_them(trained: str) -> None:
    texts = [*TEXTS, "", "a [MASK] b<|endoftext|>[PAD]", "[UNK]"]
    encoder = VerifiedEncoder(trained)
    encoded = encoder.encode(pa.array(texts, pa.large_string()))
    assert [encoded.document(at).tolist() for at in range(len(texts))] == [
        encoder.reference.encode_text(text) for text in texts
    ]


@pytest.mark.parametrize("size", [20, 60, 120])
def test_a_vocabulary_is_never_larger_than_it_may_be(size: int) -> None:
    assert ReferenceEncoder(WordPiece().train(TEXTS * 20, size)).vocabulary == size
