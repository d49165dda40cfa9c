"""What holds for every augmentation: chance by keys alone, rows that never grow, refusals before any work."""

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
from training.augment.specials import needed, problem
from training.keyed_rng import keys

NAMES = ["token_dropout", "sentence_shuffling", "span_corruption", "fill_in_the_middle"]
KEYS = keys(7, 3, np.arange(6))
Build = Callable[..., Augmentation]


def changed(one: Augmentation, rows: Any, row_keys: Any = KEYS) -> tuple[Any, Any]:
    tokens, lengths = one.rows(*rows, row_keys)
    return one.inputs(tokens, lengths, row_keys), lengths


@pytest.mark.parametrize("name", NAMES)
def test_two_workers_make_what_one_makes(name: str, build: Build, rows: Any) -> None:
    one = build(name, share=0.7)
    whole, lengths = changed(one, rows)
    for part in (slice(0, 3), slice(3, 6)):
        mine, mine_lengths = changed(build(name, share=0.7), (rows[0][part], rows[1][part]), KEYS[part])
        assert np.array_equal(mine, whole[part]) and np.array_equal(mine_lengths, lengths[part])
    assert not np.array_equal(changed(one, rows, keys(7, 4, np.arange(6)))[0], whole), "another step, another chance"


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_is_chosen_nothing_changes(name: str, build: Build, rows: Any) -> None:
    before = rows[0].copy()
    tokens, lengths = changed(build(name, share=1e-12), rows)
    assert np.array_equal(tokens, before) and np.array_equal(lengths, rows[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_row_never_grows_and_what_was_given_stays(name: str, build: Build, rows: Any) -> None:
    before, lengths_before = rows[0].copy(), rows[1].copy()
    tokens, lengths = changed(build(name, share=0.999), rows)
    assert tokens.shape == before.shape and tokens.dtype == np.int64 and not np.array_equal(tokens, before)
    assert (lengths <= before.shape[1]).all() and lengths[4] == 0
    assert np.array_equal(rows[0], before) and np.array_equal(rows[1], lengths_before)


@pytest.mark.parametrize("name", ["span_corruption", "fill_in_the_middle"])
def test_a_tokenizer_without_the_marks_is_refused(name: str, build: Build, rows: Any, plain: Path) -> None:
    with pytest.raises(UserError, match="Add them to tokenizer.specials"):
        changed(build(name, path=plain), rows)


def test_what_a_config_lacks_is_known_without_a_tokenizer() -> None:
    spans = Component(name="span_corruption", options={"share": 0.5, "corrupted": 0.15, "mean_span": 3.0})
    middle = Component(name="fill_in_the_middle", options={})
    assert len(needed(spans, length=256)) == 13 and needed(Component(name="token_dropout"), length=256) == []
    assert problem([middle, spans], [*needed(middle, length=64), *needed(spans, length=64)], length=64) is None
    assert problem([spans], needed(spans, length=64), length=256) == (
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
