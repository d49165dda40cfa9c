"""Text that spells a special token is encoded as text, by the fast encoder and by the reference."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from pipeline.tokenizers.base import Encoded, TokenizerOptions, TokenizerTrainer
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.reference_encoder import ReferenceEncoder
from pipeline.tokenizers.verified_encoder import VerifiedEncoder
from pipeline.tokenizers.word_level import WordLevel
from pipeline.tokenizers.wordpiece import WordPiece

TEXTS = [
    "A manual says that <|endoftext|> ends a text and [MASK] hides a word. Then the manual goes on. </s>",
    "手册说<|endoftext|>结束一段文字，[MASK]遮住一个词，[CLS]和[SEP]分开句子。手册继续。<unk>",
    "<|endoftext|>", "[CLS] [SEP][PAD][UNK]", "<|fim_prefix|>iron铁匠 iron", "irons and iron",
]  # fmt: skip
KINDS = [
    BytePair(),
    BytePair(TokenizerOptions(specials=("[MASK]", "<|fim_prefix|>", "iron", "铁匠", " the"))),
    WordPiece(),
    WordPiece(TokenizerOptions(specials=("iron", "铁匠", "##on", "[GAP]"), lowercase=True)),
    WordLevel(TokenizerOptions(min_count=1)),
    WordLevel(TokenizerOptions(min_count=1, specials=("iron", "[MASK]"))),
]


def column(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def same(left: Encoded, right: Encoded) -> bool:
    return np.array_equal(left.ids, right.ids) and np.array_equal(left.offsets, right.offsets)


def special_ids(json_text: str) -> set[int]:
    """But those of the unknown and of a sentence's end, which stand for text."""
    return {token["id"] for token in json.loads(json_text)["added_tokens"]} - {
        ReferenceEncoder(json_text).unknown,
        ReferenceEncoder(json_text).sentence,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_gives_the_id_of_a_special_token_on_either_path(kind: TokenizerTrainer) -> None:
    json_text = kind.train(TEXTS * 20, 500)
    verified = VerifiedEncoder(json_text)
    assert verified.fallback is None
    encoded = verified.encode(column(TEXTS))
    assert not special_ids(json_text) & set(encoded.ids.tolist())
    assert same(encoded, verified.reference.encode(column(TEXTS)))


@pytest.mark.parametrize("text", TEXTS)
def test_bytes_of_text_that_spells_special_tokens_come_back(text: str) -> None:
    reference = ReferenceEncoder(BytePair(TokenizerOptions(specials=("iron", "[MASK]"))).train(TEXTS * 20, 500))
    assert reference.decode(reference.encode_text(text)) == text


def test_a_prompt_may_ask_for_special_tokens() -> None:
    json_text = BytePair(TokenizerOptions(specials=("[MASK]",))).train(TEXTS * 20, 500)
    reference = ReferenceEncoder(json_text)
    prompt = "a [MASK] <|endoftext|>"
    assert [i for i in reference.encode_prompt(prompt) if i < 2] == [1, 0]
    assert reference.encode_prompt(prompt) == tokenizers.Tokenizer.from_str(json_text).encode(prompt).ids
    assert reference.decode([0, 1]) == "<|endoftext|>[MASK]"


FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def file_of(model: Any, split: Any, special: list[str], ordinary: list[str]) -> str:
    """A tokenizer.json as others make them: special tokens first, then ordinary added ones."""
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = split
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([tokenizers.AddedToken(name, normalized=False) for name in ordinary])
    return tokenizer.to_str()


UNIGRAM = models.Unigram([("<unk>", 0.0), ("</s>", 0.0), *((c, -3.0) for c in "<>/s|abt铁匠▁")], unk_id=0)
WORDS = models.WordLevel({"</s>": 0, "<unk>": 1, "a": 2, "铁": 3}, unk_token="<unk>")


@pytest.mark.parametrize(
    ("model", "split"), [(UNIGRAM, pre_tokenizers.Metaspace()), (WORDS, pre_tokenizers.WhitespaceSplit())]
)
def test_a_piece_of_the_vocabulary_that_ends_a_text_is_found_in_no_text(model: Any, split: Any) -> None:
    reference = ReferenceEncoder(file_of(model, split, ["</s>"], []))
    end = reference.end_of_text
    for text in ("a </s> a", "</s>", "铁 </s>"):
        assert end not in reference.encode_text(text)
    assert reference.encode_text("a") and reference.special("</s>") == end


def test_ordinary_added_tokens_keep_their_ids_after_special_ones() -> None:
    tree = json.loads(BytePair().train(TEXTS * 20, 400))
    size = len(tree["model"]["vocab"])
    names = [("<|end|>", True), ("<tool>", False), ("|end|", False)]
    tree["added_tokens"] += [
        {"id": size + at, "content": name, "special": special, **FLAGS} for at, (name, special) in enumerate(names)
    ]
    verified = VerifiedEncoder(json.dumps(tree))
    assert verified.fallback is None
    texts = column(["a<tool>b", "<|end|>", "x|end|y <|endoftext|>"])
    encoded = verified.encode(texts)
    assert same(encoded, verified.reference.encode(texts))
    assert size + 1 in encoded.document(0) and size not in encoded.ids and size + 2 in encoded.document(2)


def test_words_keep_dense_ids_where_a_special_token_bears_the_name_of_one() -> None:
    tree = json.loads(WordLevel(TokenizerOptions(specials=("iron",), min_count=1)).train(["iron and coal", "iron"], 99))
    assert sorted(tree["model"]["vocab"].values()) == list(range(6))
    assert tree["model"]["vocab"]["iron"] == 3
