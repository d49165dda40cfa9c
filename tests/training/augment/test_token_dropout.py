"""About the share of inputs is hidden, by [MASK] or end of text, and never a special token."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from training.augment.base import Augmentation
from training.keyed_rng import keys

Build = Callable[..., Augmentation]


def test_about_the_share_is_hidden_by_the_end_of_text(build: Build) -> None:
    augmentation = build("token_dropout", share=0.2)
    tokens = np.full((200, 64), 300, np.int64)
    hidden = augmentation.inputs(tokens, np.full(200, 64), keys(1, 2, np.arange(200)))
    assert set(np.unique(hidden)) == {augmentation.end_of_text, 300}
    assert abs((hidden != tokens).mean() - 0.2) < 0.02


def test_a_tokenizer_with_a_mask_hides_by_it(build: Build, tokenizer: Path, tmp_path: Path, rows: Any) -> None:
    tree = json.loads(tokenizer.read_text(encoding="utf-8"))
    tree["added_tokens"].append({**tree["added_tokens"][0], "id": 999, "content": "[MASK]"})
    (tmp_path / "tokenizer.json").write_text(json.dumps(tree), encoding="utf-8")
    augmentation = build("token_dropout", path=tmp_path / "tokenizer.json", share=0.999)
    tokens = augmentation.inputs(*rows, keys(1, 2, np.arange(6)))
    ends = rows[0] == augmentation.end_of_text
    assert ends.any() and (tokens[ends] == augmentation.end_of_text).all(), "special tokens are never hidden"
    assert (tokens[~ends] == 999).mean() > 0.99


def test_rows_and_so_targets_are_not_changed(build: Build, rows: Any) -> None:
    tokens, lengths = build("token_dropout", share=0.9).rows(*rows, keys(1, 2, np.arange(6)))
    assert tokens is rows[0] and lengths is rows[1]
