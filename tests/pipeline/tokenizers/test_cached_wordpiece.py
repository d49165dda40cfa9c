"""WordPiece with a cache of pieces gives the ids of the library on every text, whatever the cache contains."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tokenizers import adversarial, cached_wordpiece
from pipeline.tokenizers.base import Encoded, TokenizerOptions
from pipeline.tokenizers.cached_wordpiece import CachedWordPiece
from pipeline.tokenizers.reference_encoder import ReferenceEncoder
from pipeline.tokenizers.verified_encoder import VerifiedEncoder, unsupported_reason
from pipeline.tokenizers.wordpiece import WordPiece

TEXTS = [
    "The smith smelts the ore, hammers the bloom and sells the smith's iron: unbelievably hot!",
    "铁匠从炉中取出铁块，把炉渣锤打出去。１２３，测试。\n㐀𠀀鿿䷀豈",
    "Café naïve Ångström [MASK] snake_case\t3.14 中文English混排<|endoftext|>",
]
ODD = st.text("aB é\u0301中鿿䷀㐀𠀀。'-_\x00\x0b\t\n\u00a0[]|<>１", max_size=40) | st.text(max_size=30)
SPELLED = st.sampled_from(["[MASK]", "<|endoftext|>", "[GAP]", "[mask]", "[UNK]", "##a"])
DRAWN = st.lists(st.lists(ODD | SPELLED, max_size=3).map("".join), max_size=5)


@pytest.fixture(scope="module", params=[False, True])
def trained(request: Any) -> str:
    return WordPiece(TokenizerOptions(specials=("[GAP]",), lowercase=request.param)).train(TEXTS * 20, 300)


def column(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def same(left: Encoded, right: Encoded) -> bool:
    return np.array_equal(left.ids, right.ids) and np.array_equal(left.offsets, right.offsets)


def test_adversarial_texts_encode_as_the_reference_does(trained: str) -> None:
    encoder, texts = VerifiedEncoder(trained), column(adversarial.texts(ReferenceEncoder(trained).specials))
    assert (encoder.fallback, encoder.name) == (None, "cache of pieces")
    assert same(encoder.encode(texts), encoder.reference.encode(texts))
    assert encoder.fallback is None


@settings(max_examples=150, deadline=None)
@given(DRAWN)
def test_any_texts_encode_as_the_reference_does(trained: str, texts: list[str]) -> None:
    assert same(CachedWordPiece(trained).encode(column(texts)), ReferenceEncoder(trained).encode(column(texts)))


def test_a_slice_and_a_second_pass_encode_as_the_first(trained: str) -> None:
    encoder, reference, texts_column = CachedWordPiece(trained), ReferenceEncoder(trained), column(TEXTS * 3)
    for _ in range(2):
        assert same(encoder.encode(texts_column.slice(4, 3)), reference.encode(column((TEXTS * 3)[4:7])))
    assert len(encoder.encode(texts_column.slice(0, 0))) == 0


@pytest.mark.parametrize(("pieces", "size"), [(40, 1 << 12), (1 << 10, 150), (1, 1), (5, 1 << 10)])
def test_a_full_memory_is_emptied_and_a_text_too_large_for_it_goes_to_the_library(
    trained: str, pieces: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_wordpiece, "CACHE_PIECES", pieces)
    monkeypatch.setattr(cached_wordpiece, "CACHE_BYTES", size)
    texts = column([*TEXTS, "", "iron", " ".join(f"word{n}" for n in range(60)), *TEXTS])
    assert same(CachedWordPiece(trained).encode(texts), ReferenceEncoder(trained).encode(texts))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("normalizer", "handle_chinese_chars"), False),
        (("normalizer", "clean_text"), False),
        (("normalizer",), None),
        (("pre_tokenizer",), {"type": "Whitespace"}),
        (("added_tokens", 0, "normalized"), True),
        (("added_tokens",), []),
    ],
)
def test_what_would_not_be_cut_so_is_refused(trained: str, path: tuple[Any, ...], value: Any) -> None:
    tree = json.loads(trained)
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    assert unsupported_reason(tree)
    assert VerifiedEncoder(json.dumps(tree)).fallback
