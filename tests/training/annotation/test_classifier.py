"""The annotation model `classifier`: what it learns, reports and refuses, and that it can be used again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipeline.core.errors import UserError
from tests.support.made_texts import ListedTexts, noise, prose
from training.annotation.classifier import QualityClassifier
from training.annotation.classifier_section import ClassifierOptions

SETS = {"good": prose(300), "bad": noise(120)}


def options_of(folder: Path, **changes: Any) -> ClassifierOptions:
    file = folder / "texts.jsonl"
    file.write_text('{"text": "a text"}\n', encoding="utf-8")
    return ClassifierOptions.model_validate({"good": [str(file)], "bad": [str(file)], "table_bits": 14, **changes})


def prepared(folder: Path, sets: dict[str, Any] = SETS, **changes: Any) -> tuple[QualityClassifier, dict[str, Any]]:
    """A classifier that has learned from the sets and was loaded again, and its figures."""
    options = options_of(folder, **{"held_back": 0.2, **changes})
    scorer = QualityClassifier(options, 0)
    texts: Any = {name: ListedTexts(texts) for name, texts in sets.items()}
    figures = scorer.prepare(texts, folder / "prepared")
    reloaded = QualityClassifier(options, 0)
    reloaded.load(folder / "prepared", None)
    return reloaded, figures


def scores_of(scorer: QualityClassifier, texts: list[tuple[str, str | None]]) -> np.ndarray:
    return scorer.score(pa.table({"text": pa.array([text for text, _ in texts], pa.large_string())}))


def test_prose_scores_high_and_noise_low_in_both_languages(tmp_path: Path) -> None:
    scorer, _ = prepared(tmp_path)
    assert (scores_of(scorer, prose(20, seed=7)) > 0.9).all()
    assert (scores_of(scorer, noise(20, seed=8)) < 0.1).all()


def test_figures_are_of_texts_that_did_not_train(tmp_path: Path) -> None:
    _, figures = prepared(tmp_path)
    texts = figures["texts"]
    assert all(texts[name]["trained_on"] + texts[name]["held_back"] == len(SETS[name]) for name in SETS)
    held = figures["held_back"]
    assert (held["good"], held["bad"]) == (texts["good"]["held_back"], texts["bad"]["held_back"])
    assert held["accuracy"] == held["auc"] == 1.0
    assert set(figures["languages"]) == {"en", "zh"}
    assert figures["scores"]["bad"]["p99"] < 0.5 < figures["scores"]["good"]["p1"]
    assert figures["thresholds"]["0.5"] == {"good_kept": 1.0, "bad_dropped": 1.0}


def test_files_in_another_order_give_the_same_bytes(tmp_path: Path) -> None:
    for name, sets in {"a": SETS, "b": {name: texts[::-1] for name, texts in SETS.items()}}.items():
        (tmp_path / name).mkdir()
        prepared(tmp_path / name, sets)
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "a/prepared" / file).read_bytes() == (tmp_path / "b/prepared" / file).read_bytes()


def test_a_small_bad_set_does_not_make_every_text_good(tmp_path: Path) -> None:
    """Where nothing is known of a text the score is near 0.5, whatever the sizes of the sets."""
    scorer, _ = prepared(tmp_path, {"good": prose(600), "bad": noise(60)})
    assert 0.2 < scores_of(scorer, [("ξψω ξψω", None)])[0] < 0.8


def test_texts_of_both_sets_are_left_out_and_counted(tmp_path: Path) -> None:
    _, figures = prepared(tmp_path, {"good": [*SETS["good"], *SETS["bad"][:10]], "bad": SETS["bad"]})
    good, bad = figures["texts"]["good"], figures["texts"]["bad"]
    assert good["in_both_sets"] == bad["in_both_sets"] == 10
    assert bad["trained_on"] + bad["held_back"] == 110


def test_every_text_of_a_set_is_accounted_for(tmp_path: Path) -> None:
    long_texts = [(f"{text} {n}" * 40, language) for n, (text, language) in enumerate(prose(2000))]
    repeated = [*long_texts, *long_texts[:5], *SETS["bad"][:3]]
    _, figures = prepared(tmp_path, {"good": repeated, "bad": SETS["bad"]}, max_mb=1, epochs=1, orders=1)
    good = figures["texts"]["good"]
    assert good["read"] == len(repeated) == sum(good[name] for name in (
        "repeated", "beyond_max_mb", "in_both_sets", "trained_on", "held_back"
    ))  # fmt: skip
    assert good["beyond_max_mb"] > 1000 and good["training_mb"] <= 1


@pytest.mark.parametrize("few", [prose(18), noise(120)[:1] * 50])
def test_a_set_with_few_different_texts_is_refused(tmp_path: Path, few: list[tuple[str, str | None]]) -> None:
    with pytest.raises(UserError, match=r"classifier\.bad has \d+ different texts.*at least 20"):
        prepared(tmp_path, {**SETS, "bad": few})


def test_equal_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="0 different texts, without 300 that are in both sets"):
        prepared(tmp_path, {"good": SETS["good"], "bad": SETS["good"]})


def test_a_blank_document_has_no_score(tmp_path: Path) -> None:
    scorer, _ = prepared(tmp_path)
    assert np.isnan(scores_of(scorer, [(" ", None)])).all()


def test_a_document_of_a_language_that_is_not_named_has_no_score(tmp_path: Path) -> None:
    scorer, _ = prepared(tmp_path, languages=["EN", "zh_TW"])
    text = prose(2)[0][0]
    tags = ["en", "zh-Hant", "zh", None]
    documents = {"text": pa.array([text] * 4, pa.large_string()), "language": pa.array(tags, pa.string())}
    assert np.isnan(scorer.score(pa.table(documents))).tolist() == [False, False, True, True]


def test_a_trained_classifier_scores_alike_from_its_folder(tmp_path: Path) -> None:
    trained, _ = prepared(tmp_path)
    again = QualityClassifier(ClassifierOptions.model_validate({"folder": str(tmp_path / "prepared")}), 0)
    ClassifierOptions.model_validate({"folder": str(tmp_path / "prepared"), "languages": ["en"]})
    assert again.prepare({}, tmp_path / "empty") == {}
    again.load(tmp_path / "empty", tmp_path / "prepared")
    texts = [*prose(6), *noise(6)]
    assert (scores_of(again, texts) == scores_of(trained, texts)).all()


def test_a_folder_whose_files_contradict_each_other_is_refused(tmp_path: Path) -> None:
    scorer, _ = prepared(tmp_path)
    config = tmp_path / "prepared" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "bits": 15}))
    with pytest.raises(UserError, match="does not hold the weights that config.json describes"):
        scorer.load(tmp_path / "prepared", None)
    config.write_text('{"architectures": ["Bert"]}')
    with pytest.raises(UserError, match="no trained classifier"):
        scorer.load(tmp_path / "prepared", None)


def test_a_folder_without_a_classifier_is_found_before_any_work(tmp_path: Path) -> None:
    assert "no config.json" in str(ClassifierOptions.folder_problem(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bad": None}, "write `good` and `bad`"),
        ({"good": None, "bad": None}, "write `good` and `bad`"),
        ({"folder": "model"}, "write `good` and `bad`"),
        ({"folder": "model", "good": None, "bad": None}, "table_bits belongs to training"),
    ],
)
def test_the_options_name_two_sets_or_a_folder(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    kept = {name: value for name, value in changes.items() if value is not None}
    removed = {name for name, value in changes.items() if value is None}
    written = options_of(tmp_path).model_dump(exclude_unset=True) | kept
    with pytest.raises(ValidationError, match=message):
        ClassifierOptions.model_validate({name: value for name, value in written.items() if name not in removed})
