"""Every augmentation: randomness by keys alone, rows that never grow, refusals before any work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.config import Component
from pipeline.core.errors import UserError
from training.augment.base import Augmentation
from training.augment.specials import problem, required
from training.keyed_rng import keys

NAMES = ["token_dropout", "sentence_shuffling", "span_corruption", "fill_in_the_middle"]
KEYS = keys(7, 3, np.arange(6))
Build = Callable[..., Augmentation]


def augmented(augmentation: Augmentation, rows: Any, row_keys: Any = KEYS) -> tuple[Any, Any]:
    tokens, lengths = augmentation.rows(*rows, row_keys)
    return augmentation.inputs(tokens, lengths, row_keys), lengths


@pytest.mark.parametrize("name", NAMES)
def test_two_workers_augment_as_one_does(name: str, build: Build, rows: Any) -> None:
    augmentation = build(name, share=0.7)
    expected, lengths = augmented(augmentation, rows)
    for part in (slice(0, 3), slice(3, 6)):
        local, local_lengths = augmented(build(name, share=0.7), (rows[0][part], rows[1][part]), KEYS[part])
        assert np.array_equal(local, expected[part]) and np.array_equal(local_lengths, lengths[part])
    assert not np.array_equal(augmented(augmentation, rows, keys(7, 4, np.arange(6)))[0], expected), (
        "other draws in another step"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_share_of_almost_zero_changes_nothing(name: str, build: Build, rows: Any) -> None:
    before = rows[0].copy()
    tokens, lengths = augmented(build(name, share=1e-12), rows)
    assert np.array_equal(tokens, before) and np.array_equal(lengths, rows[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_row_never_grows_and_the_arguments_are_not_changed(name: str, build: Build, rows: Any) -> None:
    before, lengths_before = rows[0].copy(), rows[1].copy()
    tokens, lengths = augmented(build(name, share=0.999), rows)
    assert tokens.shape == before.shape and tokens.dtype == np.int64 and not np.array_equal(tokens, before)
    assert (lengths <= before.shape[1]).all() and lengths[4] == 0
    assert np.array_equal(rows[0], before) and np.array_equal(rows[1], lengths_before)


@pytest.mark.parametrize("name", ["span_corruption", "fill_in_the_middle"])
def test_a_tokenizer_without_the_sentinel_tokens_is_refused(name: str, build: Build, rows: Any, plain: Path) -> None:
    with pytest.raises(UserError, match="Add them to tokenizer.specials"):
        augmented(build(name, path=plain), rows)


def test_missing_special_tokens_are_reported_without_a_tokenizer() -> None:
    spans = Component(name="span_corruption", options={"share": 0.5, "corrupted": 0.15, "mean_span": 3.0})
    middle = Component(name="fill_in_the_middle", options={})
    assert len(required(spans, length=256)) == 13 and required(Component(name="token_dropout"), length=256) == []
    assert problem([middle, spans], [*required(middle, length=64), *required(spans, length=64)], length=64) is None
    assert problem([spans], required(spans, length=64), length=256) == (
        "span_corruption of rows of 256 tokens writes <|span_0|> … <|span_12|>, and the tokenizer has no <|span_3|>. "
        "Add them to tokenizer.specials."
    )
    assert "has no <|fim_prefix|>" in (problem([middle], [], length=64) or "")


def test_the_refusal_loads_nothing_heavy() -> None:
    code = (
        "import sys, training.augment.specials, training.augment.section\n"
        "heavy = {'torch', 'tokenizers', 'numba', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
