"""What a worker is given crosses JSON unchanged, and holds the section as the user wrote it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training.section import Pretrain
from training.spec import TrainingSpec


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"model": {"family": "bert", "layers": 2}, "steps": {"bf16": 5, "fp32": 3}, "augment": ["token_dropout"]},
        {"model": "word2vec", "objective": {"skipgram": {"window": 3}}},
        {"init_embeddings": {"artifact": "/store/词向量", "freeze_steps": 4}, "epochs": 0.5, "init": "/store/model"},
    ],
)
def test_a_spec_is_the_same_after_it_was_json(section: dict[str, Any], tmp_path: Path) -> None:
    spec = TrainingSpec(
        stage="pretrain", section=Pretrain.model_validate(section), seed=17, threads=2, folder=tmp_path / "f",
        scratch=tmp_path / "s", metrics=tmp_path / "m", progress="", tokenizer=tmp_path / "tokenizer.json",
        vocabulary=300, length=64, train=(tmp_path / "训练.parquet",), validation=(), digest="0" * 64,
        languages={"zh": 5}, externals={"init": tmp_path / "model"},
    )  # fmt: skip
    assert TrainingSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert TrainingSpec.from_dict(replace(spec, seed=18).to_dict()) != spec
