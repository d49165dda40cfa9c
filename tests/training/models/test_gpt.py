"""The transformer family: its shapes, that it looks back alone, and that a saved model is the same model."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors import safe_open

from pipeline.core.errors import UserError
from training.models.base import build
from training.models.layers import IGNORE
from training.models.saved import load, save
from training.models.sections.gpt import Gpt

SHAPES = ["llama", "qwen3", "gpt2"]
SMALL = {"layers": 2, "heads": 4, "width": 32}
SAVE = """
import sys, torch
from pathlib import Path
from training.models.base import build
from training.models.saved import save
torch.manual_seed(3)
save(build("gpt", {"layers": 2, "heads": 4, "width": 32}, vocabulary=50, context=16), Path(sys.argv[1]))
"""


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_position_has_a_score_for_every_token(shape: str, tied: bool) -> None:
    model = build("gpt", {"shape": shape, **SMALL, "tied": tied}, vocabulary=50, context=16)
    for rows, length in ((1, 1), (3, 16)):
        tokens = torch.zeros(rows, length, dtype=torch.long)
        scores, loss = model.logits(tokens), model(tokens, tokens)
        assert scores.shape == (rows, length, 50) and scores.dtype == torch.float32
        assert loss.shape == () and loss.dtype == torch.float32


@pytest.mark.parametrize("shape", SHAPES)
def test_reading_on_from_what_was_read_gives_the_same_scores(shape: str) -> None:
    torch.manual_seed(0)
    model = build("gpt", {"shape": shape, **SMALL}, vocabulary=50, context=16).eval()
    tokens, cache = torch.randint(0, 50, (2, 16)), model.cache()
    parts = [model.logits(tokens[:, :10], cache), *(model.logits(tokens[:, i : i + 1], cache) for i in range(10, 16))]
    assert torch.allclose(torch.cat(parts, 1), model.logits(tokens), atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_model_never_looks_ahead(shape: str) -> None:
    torch.manual_seed(0)
    model = build("gpt", {"shape": shape, **SMALL, "kv_heads": 4 if shape == "gpt2" else 2}, vocabulary=50, context=16)
    tokens = torch.randint(0, 50, (2, 16))
    changed = tokens.clone()
    changed[:, 9:] = (changed[:, 9:] + 1) % 50
    before, after = model.logits(tokens), model.logits(changed)
    assert torch.equal(before[:, :9], after[:, :9]) and not torch.allclose(before[:, 9:], after[:, 9:])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_loss_is_that_of_the_logits(shape: str) -> None:
    model = build("gpt", {"shape": shape, **SMALL, "tied": shape == "gpt2"}, vocabulary=50, context=16)
    tokens, targets = torch.randint(0, 50, (2, 16)), torch.randint(0, 50, (2, 16))
    targets[0, 5:] = IGNORE
    loss = torch.nn.functional.cross_entropy(model.logits(tokens).flatten(0, 1), targets.flatten(), reduction="sum")
    assert model(tokens, targets).item() == pytest.approx(loss.item(), rel=1e-5)


def test_every_parameter_has_the_kind_its_optimizer_needs() -> None:
    kinds = build("gpt", {"shape": "gpt2", **SMALL}, vocabulary=50, context=16).kinds()
    assert kinds["embed.weight"] == kinds["positions.weight"] == "embedding"
    assert kinds["blocks.0.attention.query.weight"] == kinds["blocks.1.mlp.down.weight"] == "matrix"
    assert kinds["norm.weight"] == kinds["blocks.0.mlp.up.bias"] == "vector"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"shape": "llama"}, "llama"),
        ({"shape": "qwen3"}, "qwen3"),
        ({"shape": "gpt2"}, "gpt2"),
        ({"shape": "gpt2", "bias": False}, "gpt2"),
        ({"shape": "llama", "qk_norm": True}, "qwen3"),
        ({"shape": "gpt2", "mlp": "relu2", "tied": False}, "gpt2"),
        ({"shape": "llama", "mlp": "gelu"}, "arcee"),
        ({"shape": "llama", "mlp": "relu2", "bias": True}, "arcee"),
        ({"shape": "llama", "bias": True}, "llama"),
        ({"shape": "llama", "logit_cap": 30.0}, "vaultgemma"),
        ({"shape": "llama", "logit_cap": 30.0, "bias": True}, None),
        ({"shape": "qwen3", "bias": True}, None),
        ({"shape": "gpt2", "kv_heads": 2}, None),
    ],
)
def test_a_section_knows_which_architecture_it_is(options: dict[str, object], expected: str | None) -> None:
    assert Gpt.model_validate(options).exports_as == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 30, "heads": 4}, "width 30 is not a multiple of heads 4"),
        ({"heads": 4, "kv_heads": 3}, "heads 4 is not a multiple of kv_heads 3"),
        ({"width": 12, "heads": 4}, "rope needs an even head width, is 3"),
    ],
)
def test_widths_that_do_not_fit_are_refused(options: dict[str, int], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Gpt.model_validate(options)


def test_defaults_are_filled_so_that_a_changed_default_is_a_changed_parameter() -> None:
    section = Gpt.model_validate({"width": 256, "heads": 8})
    assert section.hidden == 704 and section.kv_heads == 8
    assert Gpt.model_validate(section.model_dump(mode="json")) == section
    assert Gpt.model_validate({"shape": "gpt2", "width": 256}).hidden == 1024


def test_options_that_came_later_leave_what_was_written_before_as_it_was() -> None:
    """A fingerprint holds these; with an option left at "as before" it must not change."""
    assert sorted(Gpt().model_dump()) == [
        "bias", "context", "dropout", "heads", "hidden", "kv_heads", "layers", "mlp", "norm", "positions", "qk_norm",
        "rope_theta", "shape", "tied", "width",
    ]  # fmt: skip
    assert Gpt(logit_cap=30.0).model_dump()["logit_cap"] == 30.0


@pytest.mark.parametrize(
    "options",
    [
        {"shape": "llama", "kv_heads": 1},
        {"shape": "qwen3", "tied": False},
        {"shape": "gpt2"},
        {"shape": "llama", "mlp": "relu2", "logit_cap": 2.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_gradient_is_that_of_finite_differences(options: dict[str, object], smoothing: float) -> None:
    torch.manual_seed(2)
    small = {"layers": 1, "heads": 2, "width": 8, "hidden": 6}
    model = build("gpt", {**options, **small}, vocabulary=5, context=4).double()
    for parameter in model.parameters():  # far from zero, where a cap or a squared ReLU bends
        torch.nn.init.normal_(parameter, 0.5 if parameter.dim() == 1 else 0.0, 0.5)
    tokens, targets = torch.tensor([[1, 4, 0, 2], [3, 3, 1, 0]]), torch.tensor([[4, 0, 2, IGNORE], [3, 1, 0, 2]])
    names, weights = zip(*model.named_parameters(), strict=True)

    def loss(*values: torch.Tensor) -> torch.Tensor:
        more = {"label_smoothing": smoothing}
        value = torch.func.functional_call(model, dict(zip(names, values, strict=True)), (tokens, targets), more)
        assert isinstance(value, torch.Tensor)
        return value

    assert torch.autograd.gradcheck(loss, tuple(w.detach().clone().requires_grad_() for w in weights))


@pytest.mark.parametrize("cap", [None, 2.0])
def test_a_smoothed_loss_is_that_of_pytorch_on_the_logits(cap: float | None) -> None:
    torch.manual_seed(1)
    model = build("gpt", {**SMALL, "logit_cap": cap}, vocabulary=50, context=16)
    torch.nn.init.normal_(model.embed.weight, 0.0, 0.5)  # type: ignore[union-attr, arg-type]
    tokens, targets = torch.randint(0, 50, (2, 16)), torch.randint(0, 50, (2, 16))
    targets[0, 5:] = IGNORE
    logits = model.logits(tokens).flatten(0, 1)
    assert cap is None or logits.abs().max() <= cap
    exact = torch.nn.functional.cross_entropy(logits, targets.flatten(), reduction="sum", label_smoothing=0.2)
    assert model(tokens, targets, label_smoothing=0.2).item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_saved_model_gives_the_same_logits(tmp_path: Path, shape: str) -> None:
    model = build("gpt", {"shape": shape, **SMALL}, vocabulary=50, context=16).eval()
    save(model, tmp_path)
    tokens = torch.randint(0, 50, (2, 16))
    assert torch.equal(load(tmp_path).logits(tokens), model.logits(tokens))


def test_the_same_weights_are_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-c", SAVE, str(tmp_path / name)], check=True)
        digests.add(hashlib.sha256((tmp_path / name / "model.safetensors").read_bytes()).hexdigest())
    assert len(digests) == 1
    with safe_open(tmp_path / "a" / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no saved model here"):
        load(tmp_path)
