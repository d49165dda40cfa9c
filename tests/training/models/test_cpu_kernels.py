"""The fast CPU forms compute what PyTorch's own operations do: values and gradients, against float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training.models import cpu_attention, cpu_kernels
from training.models.base import build
from training.models.cpu import rows
from training.models.layers import EPS, IGNORE, Rope

AUTOCAST = torch.autocast("cpu", torch.bfloat16)


def rounded(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    """Random numbers that bf16 holds exactly, so that only the operation itself can differ."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator) * scale).to(torch.bfloat16).float()


def gradients(function: Callable[..., Tensor], *inputs: Tensor, along: Tensor | None = None) -> list[Tensor]:
    """The value of a function and its gradients, along a fixed direction where the value is no scalar."""
    leaves = [t.clone().requires_grad_(t.is_floating_point()) for t in inputs]
    value = function(*leaves)
    weighted = value if along is None else (value * along.to(value.dtype)).sum()
    weighted.backward()  # type: ignore[no-untyped-call]
    return [value.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


def assert_close(actual: list[Tensor], exact: list[Tensor], tolerance: float = 0.01) -> None:
    assert len(actual) == len(exact)
    for value, expected in zip(actual, exact, strict=True):
        error = (value.double() - expected.double()).norm() / expected.double().norm()
        assert error < tolerance, f"{error:.4f}"


@pytest.mark.parametrize("bias", [False, True])
def test_linear_has_the_gradients_of_a_matrix_product(bias: bool) -> None:
    x, w, along = rounded(3, 5, 24), rounded(40, 24, seed=1), rounded(3, 5, 40, seed=2)
    more = [rounded(40, seed=3)] if bias else []
    actual = gradients(lambda x, w, b=None: cpu_kernels.linear(x, [w], [b]), x, w, *more, along=along)
    exact = gradients(F.linear, *(t.double() for t in (x, w, *more)), along=along.double())
    assert_close(actual, exact)
    assert actual[2].dtype == torch.float32, "weights are fp32, and so are their gradients"


def test_products_side_by_side_are_those_of_each_weight() -> None:
    x, w, more, along = rounded(3, 5, 24), rounded(40, 24, seed=1), rounded(16, 24, seed=3), rounded(3, 5, 56, seed=2)
    b, c = rounded(40, seed=4), rounded(16, seed=5)
    actual = gradients(lambda x, w, more, b, c: cpu_kernels.linear(x, [w, more], [b, c]), x, w, more, b, c, along=along)

    def exact(x: Tensor, w: Tensor, more: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return torch.cat([F.linear(x, w, b), F.linear(x, more, c)], -1)

    assert_close(actual, gradients(exact, *(t.double() for t in (x, w, more, b, c)), along=along.double()))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_a_norm_of_a_sum_has_the_gradients_of_its_definition(
    bias: bool, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x, added = rounded(22, 7, 64), rounded(22, 7, 64, seed=6)
    w, b = 1 + rounded(64, seed=1, scale=0.1), rounded(64, seed=3)
    along, stream = rounded(22, 7, 64, seed=2), rounded(22, 7, 64, seed=4)
    inputs = [x, added, w, *([b] if bias else [])]

    def ours(x: Tensor, added: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        total, normed = cpu_kernels.normalized_sum(x, added.to(torch.bfloat16), w, b, EPS)
        return (total * stream).sum() + (normed * along).sum(dtype=torch.float32)

    def exact(x: Tensor, added: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        total = x + added
        normed = F.rms_norm(total, (64,), w, EPS) if b is None else F.layer_norm(total, (64,), w, b, EPS)
        return (total * stream).sum() + (normed * along).sum()

    assert_close(gradients(ours, *inputs), gradients(exact, *(t.double() for t in inputs)))


@pytest.mark.parametrize("bias", [False, True])
def test_a_norm_alone_has_the_gradients_of_its_definition(bias: bool) -> None:
    x, w, along = rounded(6, 7, 64), 1 + rounded(64, seed=1, scale=0.1), rounded(6, 7, 64, seed=2)
    more = [rounded(64, seed=3)] if bias else []
    actual = gradients(lambda x, w, b=None: cpu_kernels.normalized(x, w, b, EPS), x, w, *more, along=along)

    def exact(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        return F.rms_norm(x, (64,), w, EPS) if b is None else F.layer_norm(x, (64,), w, b, EPS)

    assert_close(actual, gradients(exact, *(t.double() for t in (x, w, *more)), along=along.double()))


def test_swiglu_has_the_gradients_of_its_definition() -> None:
    gate_up, along = rounded(3, 5, 80, scale=3.0), rounded(3, 5, 40, seed=2)
    gate_up[0, 0, :4] = torch.tensor([120.0, -120.0, 0.0, 88.5])
    actual = gradients(lambda x: cpu_kernels.swiglu(x.to(torch.bfloat16)), gate_up, along=along)

    def exact(x: Tensor) -> Tensor:
        gate, up = x.chunk(2, -1)
        return F.silu(gate) * up

    assert_close(actual, gradients(exact, gate_up.double(), along=along.double()))


def test_validation_computes_no_gradient_of_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = rounded(70, 32), torch.nn.Parameter(rounded(300, 32, seed=1, scale=0.2))
    targets = torch.arange(70)
    trained = cpu_kernels.head_loss(x, w, targets, IGNORE)

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a product for the gradient")

    monkeypatch.setattr(torch, "mm", refuse)
    with torch.no_grad():
        assert cpu_kernels.head_loss(x, w, targets, IGNORE) == trained


@pytest.mark.parametrize("rows", [1, 63, 64, 200])
def test_head_loss_has_the_value_and_gradients_of_cross_entropy(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_kernels, "LOGITS", 1)  # chunks of 64 rows, the smallest
    x, w = rounded(rows, 32), rounded(300, 32, seed=1, scale=0.2)
    targets = torch.randint(0, 300, (rows,), generator=torch.Generator().manual_seed(4))
    targets[: rows // 3] = IGNORE

    def exact(x: Tensor, w: Tensor) -> Tensor:
        return F.cross_entropy(F.linear(x, w), targets, ignore_index=IGNORE, reduction="sum")

    actual = gradients(lambda x, w: cpu_kernels.head_loss(x, w, targets, IGNORE), x, w)
    assert_close(actual, gradients(exact, x.double(), w.double()))
    assert not actual[1][: rows // 3].any(), "what is ignored has no gradient"


@pytest.mark.parametrize("cap", [None, 4.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_head_loss_smooths_and_caps_as_pytorch_does(
    smoothing: float, cap: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_kernels, "LOGITS", 1)
    x, w = rounded(150, 32), rounded(300, 32, seed=1, scale=0.5)
    targets = torch.randint(0, 300, (150,), generator=torch.Generator().manual_seed(4))
    targets[:40] = IGNORE
    more: dict[str, Any] = {"label_smoothing": smoothing}

    def exact(x: Tensor, w: Tensor) -> Tensor:
        logits = F.linear(x, w)
        logits = logits if cap is None else cap * torch.tanh(logits / cap)
        return F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum", **more)

    actual = gradients(lambda x, w: cpu_kernels.head_loss(x, w, targets, IGNORE, cap=cap, **more), x, w)
    assert_close(actual, gradients(exact, x.double(), w.double()))
    assert not actual[1][:40].any(), "what is ignored has no gradient"


def test_a_smoothed_loss_of_an_impossible_token_is_exact() -> None:
    x, w = torch.zeros(1, 32), torch.zeros(2, 32)
    x[0, 0], w[1, 0] = 80.0, 1.0
    loss = cpu_kernels.head_loss(x, w, torch.tensor([0]), IGNORE, label_smoothing=0.5)
    assert loss.item() == pytest.approx(0.75 * 80.0, rel=1e-3)


def test_head_loss_without_any_target_is_nothing() -> None:
    targets = torch.full((70,), IGNORE)
    actual = gradients(lambda x, w: cpu_kernels.head_loss(x, w, targets, IGNORE), rounded(70, 32), rounded(50, 32))
    assert not any(t.any() for t in actual)


def test_a_token_that_the_model_thinks_impossible_has_a_finite_loss() -> None:
    x, w = torch.zeros(1, 32), torch.zeros(2, 32)
    x[0, 0], w[1, 0] = 300.0, 1.0
    loss = cpu_kernels.head_loss(x, w, torch.tensor([0]), IGNORE)
    assert loss.item() == 300.0


def test_a_logit_that_is_not_a_number_is_not_hidden() -> None:
    x, w = torch.ones(3, 32), torch.zeros(40, 32)
    x[1, 0] = float("nan")
    loss = cpu_kernels.head_loss(x, w, torch.tensor([0, 1, 2]), IGNORE)
    assert loss.isnan()
    assert cpu_kernels.normalized(x, torch.ones(32), None, EPS)[1].isnan().all()


ATTENDED = [(2, 3, 3, 20), (2, 4, 2, 40), (1, 4, 1, 33), (3, 2, 2, 7)]  # rows, heads, heads of keys, tokens


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("B", "H", "K", "T"), ATTENDED)
def test_attention_by_blocks_is_causal_attention(
    B: int, H: int, K: int, T: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_attention, "BLOCK", 16)  # several blocks a row, the last one shorter
    monkeypatch.setattr(cpu_attention, "SCORES", 600)
    monkeypatch.setattr(rows, "FEWEST", 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    q = rounded(B, H, T, 16)
    k, v = (rounded(B, K, T, 16, seed=seed) for seed in (1, 2))
    along = rounded(B, T, H * 16, seed=4)
    actual = gradients(
        lambda *parts: cpu_attention.attend(*(p.to(torch.bfloat16) for p in parts)), q, k, v, along=along
    )

    def exact(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return out.transpose(1, 2).reshape(B, T, H * 16)

    assert_close(actual, gradients(exact, q.double(), k.double(), v.double(), along=along.double()), 0.02)


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("normed", [False, True])
def test_heads_are_cut_normalised_and_rotated_as_one_by_one(normed: bool, rotary: bool) -> None:
    B, T, H, K, D = 2, 9, 4, 2, 16
    joined, norms = rounded(B, T, (H + 2 * K) * D), [1 + rounded(D, seed=seed, scale=0.1) for seed in (5, 6)]
    along = rounded(B, H + 2 * K, T, D, seed=7)
    rope = Rope(D, T + 3, 10000.0)
    cos, sin = rope.angles() if rotary else (None, None)
    options = cpu_attention.HeadOptions(H, K, D, cos, sin, EPS)

    def ours(joined: Tensor, *norms: Tensor) -> Tensor:
        heads = cpu_attention.split_heads(joined.to(torch.bfloat16), options, norms or None)  # type: ignore[arg-type]
        return torch.cat(heads, 1)

    def exact(joined: Tensor, *norms: Tensor) -> Tensor:
        parts = joined.view(B, T, H + 2 * K, D).split([H, K, K], 2)
        parts = [F.rms_norm(p, (D,), w, EPS) for p, w in zip(parts, norms, strict=False)] + list(parts[len(norms) :])
        q, k, v = (part.transpose(1, 2) for part in parts)
        return torch.cat([rope.double()(q) if rotary else q, rope.double()(k) if rotary else k, v], 1)

    inputs = [joined, *(norms if normed else [])]
    assert_close(
        gradients(ours, *inputs, along=along), gradients(exact, *(t.double() for t in inputs), along=along.double())
    )


@pytest.mark.parametrize(
    "options",
    [{"shape": "llama"}, {"shape": "qwen3", "kv_heads": 2}, {"shape": "gpt2"}, {"mlp": "relu2", "logit_cap": 5.0}],
    ids=str,
)
def test_a_tuned_model_has_the_loss_and_gradients_of_the_plain_one(options: dict[str, object]) -> None:
    torch.manual_seed(1)
    model = build("gpt", {**options, "layers": 2, "heads": 4, "width": 64}, vocabulary=200, context=48)
    tokens = torch.randint(0, 200, (4, 48))
    targets = torch.roll(tokens, -1, 1)
    targets[:, -1] = IGNORE
    plain_loss = model(tokens, targets)
    plain_loss.backward()
    plain = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    with AUTOCAST:
        loss = model(tokens, targets)
    loss.backward()
    assert loss.item() == pytest.approx(plain_loss.item(), rel=1e-3)
    for name, p in model.named_parameters():
        assert p.grad is not None
        # a bias that softmax does not feel (of the keys) has a gradient of rounding errors alone
        if plain[name].norm() > 1e-3:
            assert F.cosine_similarity(p.grad.flatten(), plain[name].flatten(), dim=0) > 0.999, name


def test_the_fast_forms_apply_under_bf16_autocast_alone() -> None:
    x = torch.zeros(1)
    assert not cpu_kernels.applies_to(x)
    with AUTOCAST:
        assert cpu_kernels.applies_to(x)
        assert not cpu_kernels.applies_to(x.to("meta"))
    with torch.autocast("cpu", torch.bfloat16, enabled=False):
        assert not cpu_kernels.applies_to(x)
