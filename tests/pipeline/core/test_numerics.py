"""The numerics class of a training that was resumed elsewhere."""

from __future__ import annotations

from pipeline.core.numerics import ModelNumerics, resumed


def test_a_training_resumed_in_the_same_class_records_no_earlier_one() -> None:
    numerics: ModelNumerics = {"device": "cpu avx2", "threads": 1}
    assert resumed(numerics, numerics, steps=5) == numerics


def test_a_training_resumed_in_another_class_records_the_steps_of_the_earlier_one() -> None:
    checkpoint: ModelNumerics = {"device": "cpu avx2", "threads": 1}
    numerics = resumed({"device": "cpu amx_bf16", "threads": 1}, checkpoint, steps=5)
    assert numerics["device"] == "cpu amx_bf16"
    assert numerics["earlier"] == [{"device": "cpu avx2", "threads": 1, "steps": 5}]


def test_earlier_classes_of_a_checkpoint_are_kept() -> None:
    checkpoint: ModelNumerics = {"device": "b", "earlier": [{"device": "a", "steps": 2}]}
    assert resumed({"device": "b"}, checkpoint, steps=4)["earlier"] == [{"device": "a", "steps": 2}]
    assert [each["device"] for each in resumed({"device": "c"}, checkpoint, steps=4)["earlier"]] == ["a", "b"]
