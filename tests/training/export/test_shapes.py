"""Every shape, under every option that a Hugging Face class knows, computes what ours computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.config import Component
from pipeline.core.errors import StageFailed
from pipeline.tokenizers.base import TokenizerOptions as Options_
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.word_level import WordLevel
from training.export import shapes
from training.export.base import ExportSource
from training.export.huggingface import Huggingface
from training.export.section import Export, shape_problem, tokenizer_problem
from training.export.section import Huggingface as Options

SHAPES: list[dict[str, Any]] = [
    {"shape": "llama", "kv_heads": 2, "tied": False, "rope_theta": 500.0, "hidden": 72},
    {"shape": "qwen3", "kv_heads": 1},
    {"shape": "gpt2"},
    {"shape": "llama", "mlp": "relu2", "kv_heads": 2},
    {"shape": "llama", "logit_cap": 3.0, "kv_heads": 2},
]
MORE: list[dict[str, Any]] = [
    {"shape": "llama"},
    {"shape": "gpt2", "bias": False, "hidden": 48},
    {"shape": "gpt2", "mlp": "relu2", "tied": False},
    {"shape": "llama", "bias": True},
    {"shape": "llama", "mlp": "gelu", "bias": True, "tied": False},
    {"shape": "llama", "logit_cap": 3.0, "tied": False},
]
EVERY = [*SHAPES, *(pytest.param(one, marks=pytest.mark.long) for one in MORE)]


@pytest.mark.parametrize("options", EVERY, ids=str)
def test_the_export_computes_what_the_saved_model_computes(
    make_corpus: Callable[..., Any], tmp_path: Any, options: dict[str, Any]
) -> None:
    source = ExportSource.of(make_corpus(6, **options).inputs)
    export = Huggingface(Options())
    export.write(source, tmp_path)
    export.check(source, tmp_path)


def test_a_changed_weight_is_found(corpus: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source, export = ExportSource.of(corpus.inputs), Huggingface(Options())
    right = shapes.weights

    def wrong(*arguments: Any) -> Any:
        result = right(*arguments)
        return {**result, "model.norm.weight": result["model.norm.weight"] * 1.001}

    monkeypatch.setattr(shapes, "weights", wrong)
    export.write(source, tmp_path)
    with pytest.raises(StageFailed, match="logits differ by"):
        export.check(source, tmp_path)


def test_a_folder_that_does_not_load_is_one_sentence(corpus: Any, tmp_path: Any) -> None:
    source, export = ExportSource.of(corpus.inputs), Huggingface(Options())
    export.write(source, tmp_path)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StageFailed, match="does not load"):
        export.check(source, tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"shape": "llama", "norm": "layer"},
        {"shape": "qwen3", "mlp": "relu2"},
        {"shape": "qwen3", "bias": True},
        {"shape": "gpt2", "logit_cap": 30.0},
        {"shape": "gpt2", "kv_heads": 2},
        {"shape": "llama", "mlp": "relu2", "logit_cap": 30.0},
        {"shape": "llama", "bias": True, "logit_cap": 30.0},
    ],
    ids=str,
)
def test_a_model_that_no_class_computes_is_refused_before_any_work(options: dict[str, Any]) -> None:
    problem = shape_problem(Export(), Component(name="gpt", options=options)) or ""
    assert "shape: llama, qwen3 or gpt2" in problem and "mlp: " in problem
    shape = {"shape": options["shape"]}
    assert shape_problem(Export(), Component(name="gpt", options=shape)) is None


def test_a_format_of_another_family_is_refused_with_those_it_has() -> None:
    problem = shape_problem(Export(), Component(name="lstm"))
    assert problem == "a lstm is not exported as huggingface. Write export.formats: [safetensors, onnx]."
    assert shape_problem(Export(formats=["safetensors"]), Component(name="lstm")) is None


def test_words_cannot_be_carried_by_a_tokenizer_of_transformers(tmp_path: Path) -> None:
    for kind in ("bpe", "wordpiece"):
        assert tokenizer_problem(Export(), kind=kind, path=None) is None
    assert "tokenizer.kind: bpe or wordpiece" in str(tokenizer_problem(Export(), kind="word", path=None))
    assert tokenizer_problem(Export(formats=["safetensors", "onnx"]), kind="word", path=None) is None
    (tmp_path / "tokenizer.json").write_text(WordLevel(Options_(min_count=1)).train(["one 今天"], 20), encoding="utf-8")
    assert tokenizer_problem(Export(), kind="file", path=str(tmp_path)) is not None
    (tmp_path / "tokenizer.json").write_text(BytePair().train(["one 今天"], 300), encoding="utf-8")
    assert tokenizer_problem(Export(), kind="file", path=str(tmp_path)) is None
