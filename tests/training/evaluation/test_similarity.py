"""Similarity: the figures of gensim on the same vectors, and clear words where nothing can be said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import StageFailed, UserError
from training.evaluation.base import Score
from training.evaluation.section import Similarity as Options
from training.evaluation.similarity import Similarity, interval, ranks, spearman
from training.evaluation.word_vectors import read_word_vectors

WORDS = [f"w{at}" for at in range(30)] + [f"词{at}" for at in range(30)]


def evaluate(trained: Any, files: Sequence[Path], **options: Any) -> list[Score]:
    task, subject = Similarity(Options(files=[str(path) for path in files], **options), 0), trained.subject()
    return task.merge(subject.held_out, [task.work(item, subject) for item in task.cut(subject.held_out)]).scores


def pairs(path: Path, count: int = 80, *, unknown: int = 9) -> Path:
    draw = np.random.default_rng(count)
    lines = ["# one\tother\tjudged"]
    for at in range(count):
        left, right = draw.choice(WORDS, 2, replace=False)
        lines.append(f"{'no' if at < unknown else left}\t{right}\t{draw.integers(0, 20) / 2}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("restrict", [300_000, 40])
def test_figures_are_those_of_gensim(learn: Any, tmp_path: Path, restrict: int) -> None:
    library = pytest.importorskip("gensim.models", reason="gensim is not installed")
    trained, path = learn(WORDS), pairs(tmp_path / "made.tsv")
    theirs = library.KeyedVectors(trained.vectors.shape[1])
    theirs.add_vectors(list(trained.words), trained.vectors)
    _, correlation, unknown = theirs.evaluate_word_pairs(str(path), restrict_vocab=restrict)
    value, covered = evaluate(trained, [path], restrict_vocabulary=restrict)
    assert value.value == pytest.approx(correlation.statistic, abs=1e-12)
    assert covered.value == pytest.approx(1 - unknown / 100)
    assert (value.metric, covered.metric) == ("made.tsv: spearman", "made.tsv: covered")
    assert value.items == round(covered.value * 80) and covered.items == 80


def test_each_file_has_its_own_figures_and_no_score_holds_a_path(learn: Any, tmp_path: Path) -> None:
    files = [pairs(tmp_path / "en.tsv", 40), pairs(tmp_path / "zh.tsv", 50)]
    scores = evaluate(learn(WORDS), files)
    assert [score.metric for score in scores] == [
        "en.tsv: spearman", "en.tsv: covered", "zh.tsv: spearman", "zh.tsv: covered",
    ]  # fmt: skip
    assert str(tmp_path) not in str(scores)
    low, high = scores[0].interval or (0.0, 0.0)
    assert low < scores[0].value < high


def test_a_file_of_other_words_fails_before_work_and_is_never_a_zero(learn: Any, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"0 of the 5 pairs of made\.tsv have both words"):
        evaluate(learn(WORDS), [pairs(tmp_path / "made.tsv", 5, unknown=5)])


def test_equal_values_share_their_rank() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]
    assert spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1.0)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([1, 1, 1], [4, 3, 2]) == 0.0


def test_a_word_is_like_itself_by_exactly_one(learn: Any) -> None:
    trained = learn(WORDS, width=100)
    vectors = read_word_vectors(trained.subject().model, trained.tokenizer)
    assert vectors.cosines(range(60), range(60)) == [1.0] * 60


def test_the_interval_covers_the_truth_about_nineteen_times_in_twenty() -> None:
    draw, correlation = np.random.default_rng(4), 0.4
    # of two normals that correlate by r (Pearson), Spearman's is 6/π · asin(r/2)
    truth = 6 / math.pi * math.asin(correlation / 2)
    hits = 0
    for _ in range(500):
        left, right = draw.standard_normal((2, 200))
        value = spearman(left.tolist(), (correlation * left + math.sqrt(1 - correlation**2) * right).tolist())
        low, high = interval(value, 200) or (0.0, 0.0)
        hits += low < truth < high
    assert 0.92 <= hits / 500 <= 0.98
    assert interval(0.3, 4) is None and interval(1.0, 50) is None


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two files are called a.tsv"):
        Options(files=["en/a.tsv", "zh/a.tsv"])
    with pytest.raises(ValueError):
        Options(files=[])
    assert Options(files="en/a.tsv").files == ["en/a.tsv"]


def test_a_file_of_another_format_is_refused_with_its_line(learn: Any, tmp_path: Path) -> None:
    (tmp_path / "wrong.tsv").write_text("a b c d\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"wrong\.tsv:1"):
        evaluate(learn(WORDS), [tmp_path / "wrong.tsv"])
