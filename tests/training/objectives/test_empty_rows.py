"""Rows without tokens, which fill up the micro-batches of workers that have too few: they change no sum, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.core.config import Component
from pipeline.tokenizers.reference_encoder import load
from training import objectives
from training.engines import device
from training.models.base import build
from training.objectives.base import LossModule

NO_BF16 = device.precision("auto", torch.device("cpu")) == "fp32"
BF16 = pytest.param(True, marks=pytest.mark.skipif(NO_BF16, reason="no bf16 here"))
SMALL = {"layers": 1, "width": 16}
HEADS = {**SMALL, "heads": 2}
HF = {"config": {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2}}
CASES: list[Any] = [
    ("gpt", HEADS, "causal", {}),
    ("gpt", {**HEADS, "shape": "gpt2"}, "causal", {"label_smoothing": 0.1}),
    pytest.param("hf", HF, "causal", {}, marks=pytest.mark.long),
    *((family, SMALL, "causal", {}) for family in ("rnn", "lstm", "gru")),
    ("bilstm", SMALL, "bidirectional", {}),
    *(("bert", HEADS, "masked", {"pairs": pairs}) for pairs in ("none", "next_sentence", "sentence_order")),
    *((family, HEADS, "contrastive", {"group": 4}) for family in ("gpt", "bert")),
]


@pytest.mark.parametrize(("family", "options", "name", "chosen"), CASES, ids=lambda value: str(value)[:24])
@pytest.mark.parametrize("bf16", [False, BF16], ids=["fp32", "bf16"])
def test_empty_rows_have_no_target_no_loss_and_no_gradient(
    family: str, options: dict[str, Any], name: str, chosen: dict[str, Any], bf16: bool, tokenizer: Path,
    rows: NDArray[np.int64],
) -> None:  # fmt: skip
    torch.manual_seed(3)
    model = build(family, dict(options), vocabulary=load(tokenizer).vocabulary, context=rows.shape[1] + 3)
    objective = objectives.OBJECTIVES.create(Component(name=name, options=chosen), tokenizer)
    module = LossModule(model, objective)
    module.carries = model.carries
    batch, targets = objective.batch(rows[:4], np.zeros(4, np.int64), np.arange(4, dtype=np.uint64))
    for _ in range(2):  # the second time a state is carried into it
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = module(**batch)
        assert targets.sum() == 0 and loss.item() == 0.0
        loss.backward()
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    assert gradients, "every engine waits for gradients"
    assert [name for name, gradient in gradients.items() if gradient.count_nonzero()] == []
