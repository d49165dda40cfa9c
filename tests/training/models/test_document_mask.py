"""Rows of several documents under a mask are read as each document alone is: scores, losses and gradients."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from training.models.base import Model, build
from training.models.document_mask import DocumentMask, _padded
from training.models.layers import IGNORE
from training.models.saved import load, save

SIZES = ((5, 33, 10), (48,), (1, 1, 46), (7, 41))  # documents of four rows of 48 tokens
SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("gpt", {"shape": "llama"}), ("gpt", {"shape": "gpt2"}), ("gpt", {"shape": "qwen3", "kv_heads": 2}),
    ("bert", {"dropout": 0.0}),
]  # fmt: skip


def documents_of(sizes: tuple[tuple[int, ...], ...] = SIZES) -> Tensor:
    """Where in its row each token's document begins: B, T."""
    rows = []
    for row in sizes:
        starts = [sum(row[:at]) for at in range(len(row))]
        rows.append(torch.repeat_interleave(torch.tensor(starts), torch.tensor(row)))
    return torch.stack(rows)


def model_of(family: str, options: dict[str, Any]) -> Model:
    torch.manual_seed(0)
    model = build(family, {"layers": 2, "heads": 4, "width": 32, **options}, vocabulary=50, context=48)
    for parameter in model.parameters():  # far from the start, where every score is about the same
        torch.nn.init.normal_(parameter, 0.5 if parameter.dim() == 1 else 0.0, 0.2)
    return model.eval()


@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize(("family", "options"), SHAPES, ids=["llama", "gpt2", "qwen3", "bert"])
def test_a_document_of_a_row_has_the_scores_it_has_alone(family: str, options: dict[str, Any], bf16: bool) -> None:
    model, tokens = model_of(family, options), torch.randint(0, 50, (4, 48))
    precision = torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext()
    with torch.no_grad(), precision:
        together: Tensor = model.logits(tokens, documents=documents_of())  # type: ignore[call-arg]
        unmasked = model.logits(tokens)
        for b, row in enumerate(SIZES):
            first = 0
            for size in row:
                alone = model.logits(tokens[b : b + 1, first : first + size])[0]
                part = together[b, first : first + size]
                error = (part - alone).norm() / alone.norm()
                assert error < (0.02 if bf16 else 1e-5), f"row {b}, document at {first}: {error:.5f}"
                first += size
    assert not torch.allclose(together[0, 5:], unmasked[0, 5:], atol=0.1), "the mask changes something"


@pytest.mark.parametrize(("family", "options"), SHAPES, ids=["llama", "gpt2", "qwen3", "bert"])
def test_loss_and_gradients_are_the_sums_over_documents_alone(family: str, options: dict[str, Any]) -> None:
    tokens, targets = torch.randint(0, 50, (4, 48)), torch.randint(0, 50, (4, 48))
    targets[2, :3] = IGNORE
    model = model_of(family, options).double()
    loss = model(tokens, targets, documents=documents_of())  # type: ignore[call-arg]
    loss.backward()
    together = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    alone = torch.zeros((), dtype=torch.double)
    for b, row in enumerate(SIZES):
        for first, size in zip([sum(row[:at]) for at in range(len(row))], row, strict=True):
            part = slice(first, first + size)
            alone = alone + model(tokens[b : b + 1, part], targets[b : b + 1, part])
    alone.backward()
    assert loss.item() == pytest.approx(alone.item(), rel=1e-6)
    for name, parameter in model.named_parameters():
        if name in together and parameter.grad is not None:
            # the angles of RoPE are fp32, so that its differences of places are exact to 1e-7 alone
            assert (together[name] - parameter.grad).norm() < 1e-5 * parameter.grad.norm() + 1e-9, name


@pytest.mark.parametrize("causal", [True, False])
def test_flex_attention_and_the_groups_compute_what_a_full_mask_does(causal: bool) -> None:
    torch.manual_seed(1)
    q, k, v = (torch.randn(4, 2, 48, 16) for _ in range(3))
    mask = DocumentMask(documents_of(), causal=causal)

    def rows(q: Tensor, k: Tensor, v: Tensor, beyond: Tensor | None) -> Tensor:
        shown = None if beyond is None else beyond[:, None, None]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=shown, is_causal=causal)

    exact = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.visible()[:, None])
    assert torch.allclose(mask.attend(q, k, v, rows), exact, atol=1e-5)
    assert torch.allclose(mask.flex(q, k, v), exact, atol=1e-5)


def test_positions_restart_at_each_document() -> None:
    positions = DocumentMask(documents_of(), causal=True).positions
    assert positions[0].tolist() == [*range(5), *range(33), *range(10)] and positions[1].tolist() == list(range(48))


def test_rows_of_one_document_are_attended_to_as_without_a_mask() -> None:
    model, tokens = model_of("gpt", {"shape": "gpt2"}), torch.randint(0, 50, (2, 48))
    with torch.no_grad():
        masked = model.logits(tokens, documents=torch.zeros(2, 48, dtype=torch.long))  # type: ignore[call-arg]
        assert torch.equal(masked, model.logits(tokens))


def test_few_lengths_occur_and_none_is_padded_much() -> None:
    sizes = torch.arange(1, 5000)
    padded = _padded(sizes)
    assert (padded >= sizes).all() and len(padded.unique()) < 60
    assert ((padded - sizes)[sizes > 256] <= sizes[sizes > 256] / 8 + 1).all() and padded[255] == 256


def test_a_saved_model_knows_that_documents_were_masked(tmp_path: Any) -> None:
    model = model_of("gpt", {})
    save(model, tmp_path / "without")
    assert "document_mask" not in (tmp_path / "without" / "config.json").read_text()
    model.document_mask = True
    save(model, tmp_path / "with")
    assert load(tmp_path / "with").document_mask and not load(tmp_path / "without").document_mask
