"""Analogies: the figures of gensim on the same vectors, section by section, however the work is cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import StageFailed
from training.evaluation import analogies, word_vectors
from training.evaluation.analogies import Analogies, wilson
from training.evaluation.base import Score
from training.evaluation.section import Analogies as Options

CITIES = [f"city{at}" for at in range(20)] + [f"城{at}" for at in range(20)]
LANDS = [f"land{at}" for at in range(20)] + [f"国{at}" for at in range(20)]
OTHERS = [f"other{at}" for at in range(200)]
WORDS = [word for pair in zip(CITIES, LANDS, strict=True) for word in pair] + OTHERS


def related(trained: Any) -> Any:
    """Vectors in which a land is its city and a step, and noise: some questions come right and some do not."""
    from training.models.saved import load, save

    draw = np.random.default_rng(7)
    model: Any = load(trained.folder)
    vectors = model.input.data
    step = draw.standard_normal(vectors.shape[1]).astype(np.float32)
    for at in range(len(CITIES)):
        noise = 0.9 * draw.standard_normal(len(step)).astype(np.float32)
        vectors[3 + 2 * at + 1] = vectors[3 + 2 * at] + vectors.new_tensor(step + noise)
    save(model, trained.folder)
    trained.vectors[:] = vectors[3:].numpy()
    return trained


def questions(path: Path, count: int = 150) -> Path:
    draw, lines = np.random.default_rng(3), list[str]()
    for half, name in ((slice(0, 20), "capital"), (slice(20, 40), "首都")):
        lines.append(f": {name}")
        for at in range(count):
            first, second = draw.choice(20, 2, replace=False)
            # a question may name a word twice, as some published ones do
            cities, lands = CITIES[half], LANDS[half]
            lines.append(f"{cities[first]} {lands[first]} {cities[second]} {lands[second if at % 50 else first]}")
        lines.append("nowhere land0 city1 land1")
    lines += [": unknown", "a b c d"]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def evaluate(trained: Any, files: Sequence[Path], **options: Any) -> dict[str, Score]:
    task, subject = Analogies(Options(files=[str(path) for path in files], **options), 0), trained.subject()
    results = [task.work(item, subject) for item in task.cut(subject.held_out)]
    return {score.metric: score for score in task.merge(subject.held_out, results).scores}


@pytest.mark.parametrize("restrict", [300_000, 50])
def test_figures_are_those_of_gensim_section_by_section(learn: Any, tmp_path: Path, restrict: int) -> None:
    library = pytest.importorskip("gensim.models", reason="gensim is not installed")
    trained, path = related(learn(WORDS)), questions(tmp_path / "asked.txt")
    theirs = library.KeyedVectors(trained.vectors.shape[1])
    theirs.add_vectors(list(trained.words), trained.vectors)
    accuracy, sections = theirs.evaluate_word_analogies(str(path), restrict_vocab=restrict)
    scores = evaluate(trained, [path], restrict_vocabulary=restrict)
    assert 0 < accuracy < 1 and scores["asked.txt: accuracy"].value == accuracy
    for section in sections[:-1]:
        right, total = len(section["correct"]), len(section["correct"]) + len(section["incorrect"])
        score = scores.get(f"asked.txt: accuracy: {section['section']}")
        assert (score.value, score.items) == (right / total, total) if score else total == 0
    assert scores["asked.txt: covered"].items == 303
    assert scores["asked.txt: covered"].value == scores["asked.txt: accuracy"].items / 303


def test_cutting_the_work_otherwise_changes_no_figure(
    learn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, files = related(learn(WORDS)), [questions(tmp_path / "a.txt"), questions(tmp_path / "b.txt", 70)]
    scores = evaluate(trained, files)
    monkeypatch.setattr(analogies, "ITEM_QUESTIONS", 37)
    monkeypatch.setattr(word_vectors, "BLOCK", 1000)
    assert evaluate(trained, files) == scores
    assert str(tmp_path) not in str(scores)


def test_words_are_folded_as_the_tokenizer_folds_them(learn: Any, tmp_path: Path) -> None:
    path = questions(tmp_path / "asked.txt")
    path.write_text(path.read_text(encoding="utf-8").replace("city", "City"), encoding="utf-8")
    cased, folded = learn(WORDS), learn(WORDS, lowercase=True)
    assert evaluate(cased, [path])["asked.txt: accuracy"].items == 150
    assert evaluate(folded, [path])["asked.txt: accuracy"].items == 300


def test_a_vocabulary_without_any_question_fails_before_work_and_is_never_a_zero(learn: Any, tmp_path: Path) -> None:
    trained, path = learn(OTHERS), questions(tmp_path / "asked.txt")
    task = Analogies(Options(files=[str(path)]), 0)
    with pytest.raises(StageFailed, match=r"none of the 303 questions of asked\.txt has all four words"):
        task.cut(trained.subject().held_out)


def test_words_of_a_question_that_training_never_saw_are_not_covered(learn: Any, tmp_path: Path) -> None:
    path = questions(tmp_path / "asked.txt")
    trained = learn(WORDS, counts=[0 if "城" in word else 3 for word in WORDS])
    assert evaluate(trained, [path])["asked.txt: accuracy"].items == 150
    with pytest.raises(StageFailed, match="none of the 303"):
        evaluate(learn(WORDS, counts=[3 if "other" in word else 0 for word in WORDS]), [path])


def test_wilson_is_the_published_interval() -> None:
    # Newcombe 1998 (Statistics in Medicine 17), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    for right, total, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
                                    (1, 29, 0.0061, 0.1718)):  # fmt: skip
        assert wilson(right, total) == pytest.approx((low, high), abs=5e-5)
    assert wilson(20, 20)[1] == 1.0
