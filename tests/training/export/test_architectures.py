"""A model of any architecture goes back to the folder that `transformers` knows it by, in both kinds of head."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from pipeline.tokenizers.reference_encoder import load
from training.export.base import ExportSource
from training.export.huggingface import Huggingface
from training.export.section import Huggingface as Options
from training.models.base import build
from training.models.saved import save

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
CAUSAL: list[dict[str, Any]] = [
    {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2},
    {"model_type": "llama", **SMALL, "tie_word_embeddings": False},
    {"model_type": "qwen3", **SMALL, "num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": True},
    {"model_type": "mixtral", **SMALL, "num_key_value_heads": 2, "num_local_experts": 3},
]
# one in the everyday tests: its head is tied, the last ones' parts are renamed by the library as it writes them
EVERY = [pytest.param(one, marks=[] if at == 2 else [pytest.mark.long]) for at, one in enumerate(CAUSAL)]
MASKED: dict[str, Any] = {"model_type": "bert", **SMALL}


def source_of(corpus: Any, folder: Path, options: dict[str, Any], *added: str) -> ExportSource:
    """The corpus under another model; its tokenizer with more special tokens."""
    source = ExportSource.of(corpus.inputs)
    if added:
        tokenizer = json.loads(source.tokenizer.read_text())
        plain, first = tokenizer["added_tokens"][0], load(source.tokenizer).vocabulary
        tokenizer["added_tokens"] += [{**plain, "id": first + at, "content": word} for at, word in enumerate(added)]
        folder.mkdir()
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        source = dataclasses.replace(source, tokenizer=folder / "tokenizer.json")
    torch.manual_seed(5)
    model = build("hf", options, vocabulary=load(source.tokenizer).vocabulary, context=32)
    save(model, folder)
    return dataclasses.replace(source, model=folder)


@pytest.mark.parametrize("config", EVERY, ids=lambda config: config["model_type"])
def test_the_export_is_the_folder_of_its_architecture(corpus: Any, tmp_path: Path, config: dict[str, Any]) -> None:
    source, export = source_of(corpus, tmp_path / "model", {"config": config}), Huggingface(Options())
    names = export.write(source, tmp_path / "a")
    export.check(source, tmp_path / "a")
    export.write(source, tmp_path / "b")
    for name in names:
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes()
        assert str(tmp_path).encode() not in content and b"transformers_version" not in content
    written = json.loads((tmp_path / "a" / "config.json").read_text())
    assert written["model_type"] == config["model_type"] and written["eos_token_id"] == 0


def test_a_masked_model_fills_gaps_there(corpus: Any, tmp_path: Path) -> None:
    options = {"config": MASKED, "head": "masked"}
    source, export = source_of(corpus, tmp_path / "model", options, "[PAD]", "[MASK]"), Huggingface(Options())
    assert "generation_config.json" not in export.write(source, tmp_path / "a")
    export.check(source, tmp_path / "a")
    tokenizer_config = json.loads((tmp_path / "a" / "tokenizer_config.json").read_text())
    assert (tokenizer_config["mask_token"], tokenizer_config["pad_token"], tokenizer_config["eos_token"]) == (
        "[MASK]",
        "[PAD]",
        "<|endoftext|>",
    )
    assert json.loads((tmp_path / "a" / "config.json").read_text())["architectures"] == ["BertForMaskedLM"]


def test_continued_training_ends_in_the_folder_it_began_with(corpus: Any, tmp_path: Path) -> None:
    export = Huggingface(Options())
    export.write(source_of(corpus, tmp_path / "first", {"config": CAUSAL[2]}), tmp_path / "a")
    export.write(source_of(corpus, tmp_path / "second", {"folder": str(tmp_path / "a")}), tmp_path / "b")
    for name in ("config.json", "model.safetensors", "generation_config.json", "tokenizer_config.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    with safe_open(tmp_path / "b" / "model.safetensors", framework="pt") as weights:
        assert "lm_head.weight" not in weights.keys() and weights.metadata() == {"format": "pt"}  # noqa: SIM118
