"""The verified encoder gives the ids of the reference on every text, or falls back to it with a reason."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tokenizers import adversarial, gigatoken_encoder
from pipeline.tokenizers.base import Encoded, Encoder, TokenizerOptions
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.gigatoken_encoder import GigatokenEncoder
from pipeline.tokenizers.reference_encoder import ReferenceEncoder
from pipeline.tokenizers.verified_encoder import EncodersDiffer, VerifiedEncoder, unsupported_reason

TEXTS = [
    "The smith draws the bloom from the furnace and hammers the slag out of it.",
    "铁匠从炉中取出铁块，把炉渣锤打出去。１２３，测试。",
    "for bloom in furnace:\n\thammer(bloom)  # 锻打\n",
]
SPECIAL = ("<|endoftext|>",)


@pytest.fixture(scope="module")
def trained() -> str:
    return BytePair().train(TEXTS * 20, 600)


class Wrong(Encoder):
    """Right but for documents that hold `sign`, or from the call `late` on."""

    def __init__(self, json_text: str, sign: str = "", late: int = 0) -> None:
        self.reference, self.sign, self.late, self.calls = ReferenceEncoder(json_text), sign, late, 0

    def encode(self, column: pa.LargeStringArray) -> Encoded:
        encoded = self.reference.encode(column)
        self.calls += 1
        if self.calls > self.late and any(self.sign in text for text in column.to_pylist()):
            return Encoded(encoded.ids + np.uint32(1), encoded.offsets)
        return encoded


def column(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def same(left: Encoded, right: Encoded) -> bool:
    return np.array_equal(left.ids, right.ids) and np.array_equal(left.offsets, right.offsets)


def test_adversarial_texts_encode_as_the_reference_does(trained: str) -> None:
    texts = column(adversarial.texts(SPECIAL))
    assert same(GigatokenEncoder(trained).encode(texts), ReferenceEncoder(trained).encode(texts))
    encoder = VerifiedEncoder(trained)
    assert encoder.fallback is None
    assert same(encoder.encode(texts), encoder.reference.encode(texts))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=6))
def test_any_texts_encode_as_the_reference_does(trained: str, texts: list[str]) -> None:
    assert same(GigatokenEncoder(trained).encode(column(texts)), ReferenceEncoder(trained).encode(column(texts)))


SPECIALS = ("[MASK]", "<|fim_prefix|>", "<|fim_suffix|>", "铁匠", " x", "[MASK")
SPELLED = st.sampled_from([*SPECIALS, "[MAS", "<|fim_", "铁", "x", " ", "\n", "iron", "[MASK]]", "<|endoftext|>"])


@pytest.fixture(scope="module")
def with_specials() -> str:
    return BytePair(TokenizerOptions(specials=SPECIALS)).train(TEXTS * 20, 600)


def test_specials_of_ones_own_follow_the_end_of_text_and_keep_the_fast_path(with_specials: str) -> None:
    reference = ReferenceEncoder(with_specials)
    assert [reference.special(name) for name in ("<|endoftext|>", *SPECIALS)] == list(range(7))
    assert reference.encode_prompt("a铁匠[MASK]")[-2:] == [4, 1]
    encoder, texts = VerifiedEncoder(with_specials), column(adversarial.texts(SPECIALS))
    assert encoder.fallback is None
    assert same(encoder.encode(texts), reference.encode(texts))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(SPELLED | st.text(max_size=5), max_size=8).map("".join), max_size=5))
def test_texts_that_spell_specials_encode_as_the_reference_does(with_specials: str, texts: list[str]) -> None:
    assert same(
        GigatokenEncoder(with_specials).encode(column(texts)), ReferenceEncoder(with_specials).encode(column(texts))
    )


def test_a_long_run_of_one_sign_is_no_trap(trained: str) -> None:
    texts = column([sign * 50_000 for sign in ("a", " ", "中", "\n", "=", "7")])
    encoder = VerifiedEncoder(trained)
    assert same(encoder.encode(texts), encoder.reference.encode(texts))


def test_a_slice_of_a_column_encodes_alone(trained: str) -> None:
    texts_column = column(TEXTS * 3)
    encoder = VerifiedEncoder(trained)
    assert same(encoder.encode(texts_column.slice(4, 3)), encoder.reference.encode(column((TEXTS * 3)[4:7])))


def tampered(json_text: str, *path: Any, value: Any) -> str:
    tree = json.loads(json_text)
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return json.dumps(tree)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("added_tokens", 0, "single_word"), True),
        (("added_tokens", 0, "normalized"), True),
        (("pre_tokenizer", "use_regex"), False),
        (("pre_tokenizer",), None),
        (("normalizer",), {"type": "Lowercase"}),
        (("model", "dropout"), 0.1),
        (("model", "end_of_word_suffix"), "</w>"),
        (("truncation",), {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}),
    ],
)
def test_a_setting_that_the_fast_path_would_ignore_is_refused(trained: str, path: tuple[Any, ...], value: Any) -> None:
    changed = tampered(trained, *path, value=value)
    assert unsupported_reason(json.loads(changed))
    encoder = VerifiedEncoder(changed)
    assert encoder.fallback
    if path[-1] != "dropout":  # which draws lots
        assert same(encoder.encode(column(TEXTS)), ReferenceEncoder(changed).encode(column(TEXTS)))


@pytest.mark.parametrize("kind", ["WordPiece", "Unigram", "WordLevel"])
def test_other_models_than_bpe_are_refused(trained: str, kind: str) -> None:
    assert unsupported_reason(json.loads(tampered(trained, "model", "type", value=kind)))


def test_a_split_by_one_expression_is_let_through(trained: str) -> None:
    split = {"type": "Split", "pattern": {"Regex": r"\s+|\S+"}, "behavior": "Isolated", "invert": False}
    plain = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    sequence = {"type": "Sequence", "pretokenizers": [split, plain]}
    assert unsupported_reason(json.loads(tampered(trained, "pre_tokenizer", value=sequence))) is None
    removed = {**sequence, "pretokenizers": [{**split, "behavior": "Removed"}, plain]}
    assert unsupported_reason(json.loads(tampered(trained, "pre_tokenizer", value=removed)))


def test_a_fast_path_that_differs_on_adversarial_text_is_never_used(trained: str) -> None:
    encoder = VerifiedEncoder(trained, create_fast=lambda text: Wrong(text, sign="İ"))
    assert encoder.fallback and "adversarial" in encoder.fallback
    assert same(encoder.encode(column(TEXTS)), encoder.reference.encode(column(TEXTS)))


def test_a_difference_on_a_verified_document_is_an_error_from_then_on(trained: str) -> None:
    encoder = VerifiedEncoder(trained, create_fast=lambda text: Wrong(text, sign="铁匠", late=1))
    assert encoder.fallback is None
    with pytest.raises(EncodersDiffer, match="corpus"):
        encoder.encode(column(TEXTS), np.array([False, True, False]))
    with pytest.raises(EncodersDiffer, match="corpus"):
        encoder.encode(column(TEXTS[:1]))


def test_documents_that_are_not_selected_are_not_encoded_twice(trained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = VerifiedEncoder(trained)
    expected = encoder.reference.encode(column(TEXTS))
    monkeypatch.setattr(encoder.reference, "encode", None)
    assert same(encoder.encode(column(TEXTS), np.zeros(len(TEXTS), np.bool_)), expected)


def test_a_fast_path_that_breaks_is_an_error(trained: str) -> None:
    class Breaks(Wrong):
        def encode(self, column: pa.LargeStringArray) -> Encoded:
            if self.calls:
                raise RuntimeError("panicked")
            return super().encode(column)

    encoder = VerifiedEncoder(trained, create_fast=lambda text: Breaks(text, late=9))
    with pytest.raises(EncodersDiffer, match="panicked"):
        encoder.encode(column(TEXTS))


def test_a_fast_path_that_is_not_installed_is_replaced(trained: str) -> None:
    def missing(json_text: str) -> Encoder:
        raise ImportError("No module named 'gigatoken'")

    encoder = VerifiedEncoder(trained, create_fast=missing)
    assert encoder.fallback and "not installed" in encoder.fallback


def test_the_cache_is_built_anew_when_memory_has_grown(trained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gigatoken_encoder, "REBUILD_BYTES", 1)
    monkeypatch.setattr(gigatoken_encoder, "GROWTH_BYTES", -1 << 40)
    encoder = GigatokenEncoder(trained)
    first, second = encoder.encode(column(TEXTS)), encoder.encode(column(TEXTS))
    assert encoder.rebuilt == 1
    assert same(first, second)
