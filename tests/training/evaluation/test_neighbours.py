"""Neighbours: the nearest of all words, and words of every language where none were named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import StageFailed
from training.evaluation.held_out import DocumentSpan, HeldOut, PackedRow
from training.evaluation.neighbours import Neighbours, content_words
from training.evaluation.section import Neighbours as Options
from training.evaluation.word_vectors import read_vocabulary

WORDS = ("the", "of", "3", "river", "station", "letter", "a", "的", "了", "，", "河流", "车站", "图书馆", "unseen")
ID = {word: at + 3 for at, word in enumerate(WORDS)}


def evaluate(trained: Any, **options: Any) -> list[dict[str, Any]]:
    task, subject = Neighbours(Options(**options), 0), trained.subject()
    results = [task.work(item, subject) for item in task.cut(subject.held_out)]
    rows: list[dict[str, Any]] = task.merge(subject.held_out, results).files["neighbours.json"]
    return rows


def held_out(*documents: tuple[str, str, str]) -> Any:
    """(id, language, words parted by spaces) → rows of a document each, as a HeldOut tells them."""
    rows = []
    for name, _, text in documents:
        tokens = np.array([ID[word] for word in text.split()] + [0])
        rows.append(PackedRow(tokens, (DocumentSpan(name, 0, len(tokens)),)))
    return SimpleNamespace(rows=lambda: iter(rows), language_of={name: language for name, language, _ in documents})


def test_neighbours_are_the_nearest_of_all_other_words(learn: Any) -> None:
    trained = learn(WORDS, counts=(1,) * 13 + (0,))
    unit = trained.vectors[:13] / np.linalg.norm(trained.vectors[:13], axis=1, keepdims=True)
    rows = evaluate(trained, words=["河流", "the", "nothing"], count=3)
    assert [row["word"] for row in rows] == ["河流", "the", "nothing"]
    assert rows[2]["neighbours"] is None
    for row in rows[:2]:
        cosines = unit @ unit[WORDS.index(row["word"])]
        best = [at for at in np.argsort(-cosines) if WORDS[at] != row["word"]][:3]
        assert [near["word"] for near in row["neighbours"]] == [WORDS[at] for at in best]
        assert [near["cosine"] for near in row["neighbours"]] == pytest.approx(cosines[best], abs=5e-5)


def test_more_neighbours_than_words_are_all_of_them(learn: Any) -> None:
    rows = evaluate(learn(WORDS), words=["the"], count=500)
    assert len(rows[0]["neighbours"]) == len(WORDS) - 1


def test_figures_are_those_of_gensim(learn: Any) -> None:
    library = pytest.importorskip("gensim.models", reason="gensim is not installed")
    trained = learn([f"w{at}" for at in range(300)], width=30)
    theirs = library.KeyedVectors(30)
    theirs.add_vectors(list(trained.words), trained.vectors)
    (row,) = evaluate(trained, words=["w17"])
    expected = theirs.most_similar("w17", topn=10)
    assert [neighbour["word"] for neighbour in row["neighbours"]] == [word for word, _ in expected]
    assert [neighbour["cosine"] for neighbour in row["neighbours"]] == pytest.approx(
        [cosine for _, cosine in expected], abs=6e-5
    )


def test_without_words_each_language_has_its_characteristic_words(learn: Any) -> None:
    documents = held_out(
        ("1", "en", "the river of the station the of 3 3 3 3 3"),
        ("2", "en", "the river a a a a of river the"),
        ("3", "en", "the of the letter letter letter letter letter letter"),
        ("a", "en", "of station the"),
        ("b", "en", "the of a"),
        ("4", "zh", "河流 的 车站 了 ， 的 ， ， ， 图书馆 图书馆"),
        ("5", "zh", "图书馆 的 了 ，"),
        ("6", "zh", "的 了 车站 ， 的"),
        ("c", "zh", "的 了"),
        ("7", "unknown", "the station"),
    )
    words = content_words(documents, read_vocabulary(learn(WORDS).tokenizer), 3)
    # no numbers, marks or single letters; words of most documents, or of one alone, come after all others
    assert words == [
        ("river", "en"), ("station", "en"), ("letter", "en"), ("图书馆", "zh"), ("车站", "zh"), ("河流", "zh"),
    ]  # fmt: skip
    assert words == content_words(documents, read_vocabulary(learn(WORDS).tokenizer), 3)


def test_a_corpus_of_pieces_is_shown_by_what_its_pieces_spell(corpus: Any) -> None:
    split = HeldOut.of(corpus.inputs)
    words = content_words(split, read_vocabulary(split.tokenizer), 2)
    assert [language for _, language in words] == ["en", "en", "zh", "zh"]
    assert all(word.isalpha() for word, _ in words)


def test_words_that_are_all_missing_from_the_vocabulary_are_an_error_before_work(learn: Any) -> None:
    with pytest.raises(StageFailed, match="the vocabulary has none of 没有, nothing"):
        evaluate(learn(WORDS), words=["没有", "nothing"])
