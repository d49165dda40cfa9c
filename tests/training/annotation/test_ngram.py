"""The annotation model `ngram`: a model for each language, scores by language, bounded memory, figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.core.errors import UserError
from tests.support.made_texts import ListedTexts, noise, prose
from training.annotation import ngram
from training.annotation.ngram import NgramPerplexity
from training.annotation.ngram_section import NgramOptions


def prepared(
    folder: Path, texts: list[tuple[str, str | None]], **changes: Any
) -> tuple[NgramPerplexity, dict[str, Any]]:
    """A model that was counted, written and loaded again, and its figures."""
    folder.mkdir(exist_ok=True)
    file = folder / "texts.jsonl"
    file.write_text('{"text": "a text"}\n', encoding="utf-8")
    options = NgramOptions.model_validate({"text": [str(file)], "table_bits": 18, "held_back": 0.2, **changes})
    reader: Any = ListedTexts(texts)
    figures = NgramPerplexity(options, 0).prepare({"text": reader}, folder / "prepared")
    scorer = NgramPerplexity(options, 0)
    scorer.load(folder / "prepared", None)
    return scorer, figures


def scores_of(scorer: NgramPerplexity, texts: list[tuple[str, str | None]]) -> np.ndarray:
    text, language = zip(*texts, strict=True)
    return scorer.score(pa.table({"text": pa.array(text, pa.large_string()), "language": pa.array(language)}))


def test_text_of_another_kind_is_more_surprising_in_both_languages(tmp_path: Path) -> None:
    scorer, _ = prepared(tmp_path, prose(1000))
    known, other = scores_of(scorer, prose(40, seed=5)), scores_of(scorer, noise(40))
    assert (known > 0).all()
    for language in (slice(0, None, 2), slice(1, None, 2)):
        assert known[language].max() < other[language].min()


def test_a_document_is_scored_by_the_model_of_its_language_or_not_at_all(tmp_path: Path) -> None:
    scorer, _ = prepared(tmp_path, prose(1000))
    text = prose(2, seed=5)[1][0]
    scores = scores_of(scorer, [(text, "zh"), (text, "en"), (text, "zh-Hant"), (text, "ja"), (text, None)])
    assert scores[0] < scores[1]
    assert np.isnan(scores[2:]).all()


def test_a_language_with_little_text_or_none_that_is_known_has_no_model(tmp_path: Path) -> None:
    texts = [*prose(1000), ("これは日本語の文章です。", "ja"), ("a text", None), ("un texte", "und-Latn")]
    _, figures = prepared(tmp_path, texts, held_back=0.01)
    assert set(figures["languages"]) == {"en", "zh"}
    assert figures["texts_without_model"] == {"ja": 1, "und-Latn": 1, "unknown": 1}


def test_only_named_languages_have_a_model(tmp_path: Path) -> None:
    _, figures = prepared(tmp_path, prose(1000), languages=["ZH"])
    assert set(figures["languages"]) == {"zh"}
    assert set(figures["texts_without_model"]) == {"en"}


def test_figures_have_the_scores_of_texts_that_were_not_counted(tmp_path: Path) -> None:
    scorer, figures = prepared(tmp_path, prose(1000))
    english = figures["languages"]["en"]
    assert english["texts"] + english["held_back"] == 500 and 50 < english["held_back"] < 150
    assert 0 < english["p1"] < english["p50"] < english["p99"]
    assert english["p1"] < np.median(scores_of(scorer, prose(40, seed=5)[::2])) < english["p99"]


def test_the_same_texts_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        prepared(tmp_path / name, prose(1000))
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "a/prepared" / file).read_bytes() == (tmp_path / "b/prepared" / file).read_bytes()


def test_bits_of_a_byte_are_those_of_a_character_divided_by_its_bytes(tmp_path: Path) -> None:
    by_character, _ = prepared(tmp_path / "a", prose(1000))
    by_byte, _ = prepared(tmp_path / "b", prose(1000), unit="byte")
    texts = prose(4, seed=5)
    sizes = [(len(text) + 2) / len(text.encode()) for text, _ in texts]  # two blanks at the ends
    assert scores_of(by_byte, texts) == pytest.approx(scores_of(by_character, texts) * sizes)


def test_too_little_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"less than 10,000 characters in every language.*en \(.* characters\), zh"):
        prepared(tmp_path, prose(20))
    with pytest.raises(UserError, match=r"und-Latn \(10 characters\).*`language` of a source"):
        prepared(tmp_path, [("une phrase", "und-Latn")])


def test_too_many_languages_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngram, "MOST_LANGUAGES", 1)
    with pytest.raises(UserError, match=r"more than 1 languages \(en, zh\).*languages: \[en, zh\]"):
        prepared(tmp_path, prose(1000))
