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


def ask(made: Any, **options: Any) -> list[dict[str, Any]]:
    task, subject = Neighbours(Options(**options), 0), made.subject()
    results = [task.work(piece, subject) for piece in task.cut(subject.held_out)]
    found: list[dict[str, Any]] = task.merge(subject.held_out, results).files["neighbours.json"]
    return found


def held_out(*documents: tuple[str, str, str]) -> Any:
    """(id, language, words parted by spaces) → rows of a document each, as a HeldOut tells them."""
    rows = []
    for name, _, text in documents:
        tokens = np.array([ID[word] for word in text.split()] + [0])
        rows.append(PackedRow(tokens, (DocumentSpan(name, 0, len(tokens)),)))
    return SimpleNamespace(rows=lambda: iter(rows), language_of={name: language for name, language, _ in documents})


def test_neighbours_are_the_nearest_of_all_other_words(learn: Any) -> None:
    made = learn(WORDS, counts=(1,) * 13 + (0,))
    unit = made.vectors[:13] / np.linalg.norm(made.vectors[:13], axis=1, keepdims=True)
    found = ask(made, words=["河流", "the", "nothing"], count=3)
    assert [one["word"] for one in found] == ["河流", "the", "nothing"]
    assert found[2]["neighbours"] is None
    for one in found[:2]:
        cosines = unit @ unit[WORDS.index(one["word"])]
        best = [at for at in np.argsort(-cosines) if WORDS[at] != one["word"]][:3]
        assert [near["word"] for near in one["neighbours"]] == [WORDS[at] for at in best]
        assert [near["cosine"] for near in one["neighbours"]] == pytest.approx(cosines[best], abs=5e-5)


def test_more_neighbours_than_words_are_all_of_them(learn: Any) -> None:
    found = ask(learn(WORDS), words=["the"], count=500)
    assert len(found[0]["neighbours"]) == len(WORDS) - 1


def test_figures_are_those_of_gensim(learn: Any) -> None:
    library = pytest.importorskip("gensim.models", reason="gensim is not installed")
    made = learn([f"w{at}" for at in range(300)], width=30)
    theirs = library.KeyedVectors(30)
    theirs.add_vectors(list(made.words), made.vectors)
    (found,) = ask(made, words=["w17"])
    expected = theirs.most_similar("w17", topn=10)
    assert [one["word"] for one in found["neighbours"]] == [word for word, _ in expected]
    assert [one["cosine"] for one in found["neighbours"]] == pytest.approx([cosine for _, cosine in expected], abs=6e-5)


def test_without_words_each_language_shows_what_stands_out_in_its_documents(learn: Any) -> None:
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
    found = content_words(documents, read_vocabulary(learn(WORDS).tokenizer), 3)
    # no numbers, marks or single letters; words of most documents, or of one alone, come after all others
    assert found == [
        ("river", "en"), ("station", "en"), ("letter", "en"), ("图书馆", "zh"), ("车站", "zh"), ("河流", "zh"),
    ]  # fmt: skip
    assert found == content_words(documents, read_vocabulary(learn(WORDS).tokenizer), 3)


def test_a_corpus_of_pieces_is_shown_by_what_its_pieces_spell(corpus: Any) -> None:
    rows = HeldOut.of(corpus.inputs)
    found = content_words(rows, read_vocabulary(rows.tokenizer), 2)
    assert [language for _, language in found] == ["en", "en", "zh", "zh"]
    assert all(word.isalpha() for word, _ in found)


def test_words_that_the_vocabulary_lacks_altogether_are_told_before_work(learn: Any) -> None:
    with pytest.raises(StageFailed, match="the vocabulary has none of 没有, nothing"):
        ask(learn(WORDS), words=["没有", "nothing"])
