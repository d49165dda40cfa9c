"""Every shape, under every option that a Hugging Face class knows, computes what ours computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.core.config import Component
from pipeline.core.errors import StageFailed
from training.export import huggingface
from training.export.base import Source
from training.export.huggingface import Huggingface
from training.export.section import Export, shape_problem
from training.export.section import Huggingface as Options

SHAPES: list[dict[str, Any]] = [
    {"shape": "llama"},
    {"shape": "llama", "kv_heads": 2, "tied": False, "rope_theta": 500.0, "hidden": 72},
    {"shape": "qwen3", "kv_heads": 1},
    {"shape": "gpt2"},
    {"shape": "gpt2", "bias": False, "hidden": 48},
]


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_the_export_computes_what_the_saved_model_computes(
    make_corpus: Callable[..., Any], tmp_path: Any, options: dict[str, Any]
) -> None:
    source = Source.of(make_corpus(6, **options).inputs)
    export = Huggingface(Options())
    export.write(source, tmp_path)
    export.check(source, tmp_path)


def test_a_changed_weight_is_found(corpus: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source, export = Source.of(corpus.inputs), Huggingface(Options())
    right = huggingface.shapes.weights

    def wrong(*arguments: Any) -> Any:
        found = right(*arguments)
        return {**found, "model.norm.weight": found["model.norm.weight"] * 1.001}

    monkeypatch.setattr(huggingface.shapes, "weights", wrong)
    export.write(source, tmp_path)
    with pytest.raises(StageFailed, match="logits differ by"):
        export.check(source, tmp_path)


def test_a_folder_that_does_not_load_is_one_sentence(corpus: Any, tmp_path: Any) -> None:
    source, export = Source.of(corpus.inputs), Huggingface(Options())
    export.write(source, tmp_path)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StageFailed, match="does not load"):
        export.check(source, tmp_path)


def test_a_model_that_no_class_computes_is_refused_before_any_work() -> None:
    mixed = Component(name="gpt", options={"shape": "llama", "norm": "layer"})
    assert "shape: llama, qwen3 or gpt2" in (shape_problem(Export(), mixed) or "")
    assert shape_problem(Export(), Component(name="gpt", options={"shape": "qwen3"})) is None
