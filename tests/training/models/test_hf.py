"""Architectures of `transformers`: what is read, what is refused, and that a saved one needs nothing of its folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from pipeline.core.errors import UserError
from training.models import saved
from training.models.base import Model, build
from training.models.layers import IGNORE
from training.models.sections.hf import Hf, fingerprint_of, folder_problem, tokenizer_problem, vocabulary_problem

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
GPT2 = {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2}
CAUSAL: list[dict[str, Any]] = [
    GPT2,
    {"model_type": "llama", **SMALL, "num_key_value_heads": 1, "tie_word_embeddings": False},
    {"model_type": "qwen3", **SMALL, "num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": True},
    {"model_type": "bert", **SMALL, "is_decoder": True},
]
MASKED: list[dict[str, Any]] = [
    {"model_type": "bert", **SMALL},
    {"model_type": "roberta", **SMALL, "max_position_embeddings": 18, "pad_token_id": 1},
    {"model_type": "distilbert", "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24},
]
HEADS = [("causal", config) for config in CAUSAL] + [("masked", config) for config in MASKED]
each = pytest.mark.parametrize(("head", "config"), HEADS, ids=[f"{h}-{c['model_type']}" for h, c in HEADS])


def create_model(head: str, config: dict[str, Any], **sizes: int) -> Model:
    torch.manual_seed(3)
    return build("hf", {"config": config, "head": head}, **{"vocabulary": 50, "context": 16, **sizes}).eval()


def folder_of(model: Any, path: Path) -> Path:
    model.write(path)
    return path


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    """A folder as `save_pretrained` leaves it."""
    return folder_of(create_model("causal", GPT2), tmp_path / "their model")


@each
def test_a_saved_model_is_the_same_model_without_its_folder(head: str, config: dict[str, Any], tmp_path: Path) -> None:
    theirs = folder_of(create_model(head, config), tmp_path / "theirs")
    model = build("hf", {"folder": str(theirs), "head": head}, vocabulary=50, context=16).eval()
    described = json.dumps(model.saved_config())
    assert str(tmp_path) not in described and "_name_or_path" not in described and "transformers" not in described
    saved.save(model, tmp_path / "ours")
    shutil.rmtree(theirs)
    tokens = torch.randint(0, 50, (2, 16))
    again = saved.load(tmp_path / "ours")
    assert torch.equal(again.logits(tokens), model.logits(tokens))
    assert again.saved_config() == model.saved_config()
    assert torch.equal(again.logits(tokens), create_model(head, config).logits(tokens)), "and that of the folder"


@each
def test_the_loss_is_that_of_the_logits(head: str, config: dict[str, Any]) -> None:
    model = create_model(head, config)
    tokens, targets = torch.randint(0, 50, (2, 16)), torch.randint(0, 50, (2, 16))
    targets[0, 5:] = IGNORE
    for smoothing in (0.0, 0.1):
        flat, more = model.logits(tokens).flatten(0, 1), {"label_smoothing": smoothing}
        exact = F.cross_entropy(flat, targets.flatten(), reduction="sum", **more)
        assert model(tokens, targets, **more).item() == pytest.approx(exact.item(), rel=1e-6)


@each
def test_what_lies_behind_a_row_changes_nothing_before(head: str, config: dict[str, Any]) -> None:
    model, tokens, lengths = create_model(head, config), torch.randint(2, 50, (2, 16)), torch.tensor([16, 5])
    changed = tokens.clone()
    changed[1, 5:] = 49
    more = {"lengths": lengths} if head == "masked" else {}
    assert torch.allclose(model.logits(tokens, **more)[1, :5], model.logits(changed, **more)[1, :5], atol=1e-6)
    assert model.hidden(tokens).shape == (2, 16, 16)


@each
def test_every_parameter_learns_and_has_a_kind(head: str, config: dict[str, Any]) -> None:
    model = create_model(head, config).train()
    tokens = torch.arange(32).view(2, 16)
    model(tokens, tokens).backward()
    kinds = model.kinds()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert kinds[name] == "vector" or parameter.dim() == 2
    token_weights = {id(model.inner.get_input_embeddings().weight), id(model.inner.get_output_embeddings().weight)}  # type: ignore[union-attr, operator]
    assert all(kinds[name] == "embedding" for name, p in model.named_parameters() if id(p) in token_weights)
    embedding: Tensor = model.inner.get_input_embeddings().weight.grad  # type: ignore[union-attr, operator]
    assert embedding[:32].abs().sum(1).all(), "a padding token of the library's is a token like others"


def test_a_part_that_no_logit_depends_on_stays_as_it_came() -> None:
    small = {"embedding_size": 16, **SMALL, "q_groups": 2, "k_groups": 2, "v_groups": 2}
    model = create_model("masked", {"model_type": "squeezebert", **small})
    stay = sorted(name for name, parameter in model.named_parameters() if not parameter.requires_grad)
    assert stay == ["inner.transformer.pooler.dense.bias", "inner.transformer.pooler.dense.weight"]


def test_sizes_that_are_not_written_are_those_of_the_data() -> None:
    inner: Any = create_model("causal", {"model_type": "llama", **SMALL}, context=24).inner
    assert (inner.config.vocab_size, inner.config.max_position_embeddings) == (50, 24)


def test_a_padded_vocabulary_never_shows(tmp_path: Path) -> None:
    model = create_model("causal", {**GPT2, "vocab_size": 64})
    assert model.logits(torch.zeros(1, 3, dtype=torch.long)).shape == (1, 3, 50)
    assert vocabulary_problem(64, 50) is None and vocabulary_problem(50, 50) is None
    assert "of each other" in (vocabulary_problem(63, 50) or "") and vocabulary_problem(48, 50) is not None
    assert vocabulary_problem(151_936, 151_665) is None, "Qwen 3"
    assert vocabulary_problem(1000, 600) is not None


def test_the_fingerprint_of_a_folder_is_what_it_holds(gpt2: Path, tmp_path: Path) -> None:
    section = Hf(folder=str(gpt2))
    fingerprint = fingerprint_of(section)
    assert sorted(fingerprint) == ["config.json", "model.safetensors"]
    moved = shutil.copytree(gpt2, tmp_path / "elsewhere")
    assert fingerprint_of(Hf(folder=str(moved))) == fingerprint
    (moved / "README.md").write_text("words")
    assert fingerprint_of(Hf(folder=str(moved))) == fingerprint
    (moved / "config.json").write_text("{}")
    assert fingerprint_of(Hf(folder=str(moved))) != fingerprint
    assert fingerprint_of(Hf(config=GPT2)) == {}


def test_a_folder_with_code_pickles_or_nothing_is_refused_before_work(gpt2: Path, tmp_path: Path) -> None:
    assert folder_problem(gpt2) is None
    config = json.loads((gpt2 / "config.json").read_text())
    assert "is missing" in (folder_problem(tmp_path) or "")
    for more, words in (
        ({"auto_map": {"AutoConfig": "evil.Config"}}, "code of its own"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        ({"model_type": None}, "names no model_type"),
    ):
        (gpt2 / "config.json").write_text(json.dumps({**config, **more}))
        assert words in (folder_problem(gpt2) or "")
        with pytest.raises(UserError, match=words):
            build("hf", {"folder": str(gpt2)}, vocabulary=50, context=16)
    (gpt2 / "config.json").write_text(json.dumps(config))
    (gpt2 / "model.safetensors").rename(gpt2 / "pytorch_model.bin")
    assert "a pickle is never opened" in (folder_problem(gpt2) or "")


def test_a_folder_goes_with_its_own_tokenizer_alone(gpt2: Path, tmp_path: Path) -> None:
    own, foreign = gpt2 / "tokenizer.json", tmp_path / "tokenizer.json"
    own.write_text(json.dumps({"model": {"vocab": {"a": 0, "中": 1}}}))
    assert "Write tokenizer: {kind: file, path: " in (tokenizer_problem(gpt2, kind="bpe", path=None) or "")
    assert tokenizer_problem(gpt2, kind="file", path=str(gpt2)) is None
    foreign.write_text(json.dumps({"model": {"vocab": {"a": 0, "国": 1}}}))
    assert "other pieces" in (tokenizer_problem(gpt2, kind="file", path=str(foreign)) or "")
    foreign.write_bytes(own.read_bytes())
    assert tokenizer_problem(gpt2, kind="file", path=str(foreign)) is None


def test_a_folder_without_its_head_is_refused(gpt2: Path) -> None:
    inner: Any = create_model("masked", MASKED[0]).inner
    inner.bert.save_pretrained(gpt2)
    with pytest.raises(UserError, match="is no complete masked model"):
        build("hf", {"folder": str(gpt2), "head": "masked"}, vocabulary=50, context=16)


@pytest.mark.parametrize(
    ("config", "head", "words"),
    [
        ({"model_type": "gpt22"}, "causal", "no model_type 'gpt22'. Did you mean 'gpt2'?"),
        ({**GPT2, "n_layers": 2}, "causal", "gpt2 has no 'n_layers'. Did you mean 'n_layer'?"),
        ({**GPT2, "n_embd": "wide"}, "causal", "cannot create a causal gpt2 from it"),
        ({**GPT2, "vocab_size": 99}, "causal", "99 tokens and the tokenizer 50"),
        ({**GPT2, "n_positions": 8}, "causal", "16 tokens, and this gpt2 has positions for 8"),
        ({**MASKED[1], "max_position_embeddings": 16}, "masked", "has positions for 14"),
        ({"model_type": "bert", **SMALL}, "causal", "sees the tokens it should predict. Write is_decoder: true"),
        (GPT2, "masked", "cannot create a masked gpt2"),
    ],
)
def test_a_config_that_does_not_fit_is_one_sentence(config: dict[str, Any], head: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        create_model(head, config)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"config": GPT2, "folder": "x"}, {"config": {"n_embd": 3}}])
def test_one_of_config_and_folder_is_written(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="write one of config|needs model_type"):
        Hf.model_validate(options)


def test_the_same_seed_draws_the_same_weights() -> None:
    first, second = create_model("causal", CAUSAL[1]).state_dict(), create_model("causal", CAUSAL[1]).state_dict()
    assert list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)
