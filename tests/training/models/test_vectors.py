"""Word vectors as models: a vector a word, and the same ones after saving."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from training.models.base import build
from training.models.saved import load, save
from training.models.vectors import Glove, Word2vec


@pytest.mark.parametrize("family", ["word2vec", "glove"])
def test_a_saved_model_has_the_same_vectors(family: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = build(family, {"width": 6}, vocabulary=11, context=8)
    assert isinstance(model, Word2vec | Glove)
    model.counts[:] = torch.arange(11) + 5
    save(model, tmp_path)
    loaded = load(tmp_path)
    assert isinstance(loaded, Word2vec | Glove)
    assert torch.equal(loaded.vectors(), model.vectors()) and loaded.vectors().shape == (11, 6)
    assert torch.equal(loaded.counts, model.counts) and loaded.counts.dtype == torch.int64


def test_a_word_of_glove_is_the_sum_of_its_two_vectors() -> None:
    model = build("glove", {"width": 4}, vocabulary=5, context=8)
    assert isinstance(model, Glove)
    assert torch.equal(model.vectors(), (model.input + model.output).detach())


def test_a_word_of_word2vec_begins_small_and_its_output_at_zero() -> None:
    model = build("word2vec", {"width": 4}, vocabulary=5, context=8)
    assert isinstance(model, Word2vec)
    assert model.input.abs().max() <= 0.5 / 4 and not model.output.any()
