"""Prompts taken from held-out documents: the beginning of a document's own text, whatever the tokenizer keeps of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.tokenizers.base import TokenizerOptions
from pipeline.tokenizers.word_level import WordLevel
from pipeline.tokenizers.wordpiece import WordPiece
from training.evaluation.generate import GenerationTokenizer
from training.evaluation.held_out import HeldOut
from training.evaluation.samples import OPENING_TOKENS, openings

KINDS = {
    "bytes": None,
    "every word": WordLevel(TokenizerOptions(min_count=1)),
    "few words": WordLevel(TokenizerOptions(min_count=30)),
    "pieces": WordPiece(),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_an_opening_is_how_a_documents_own_text_begins(make_corpus: Callable[..., Any], kind: str) -> None:
    corpus = make_corpus(8, family="gru", tokenizer=KINDS[kind])
    prompts = openings(HeldOut.of(corpus.inputs), 2)
    assert [language for _, language in prompts] == ["en", "en", "unknown", "zh", "zh"]
    for prompt, language in prompts:
        texts = [text for text, text_language in corpus.held_out if (text_language or "unknown") == language]
        assert prompt and any(text.startswith(prompt) for text in texts)
        assert "<unk>" not in prompt and "[UNK]" not in prompt


@pytest.mark.parametrize("kind", ["few words", "pieces"])
def test_an_opening_has_whole_words_and_no_more_tokens_than_planned(make_corpus: Callable[..., Any], kind: str) -> None:
    corpus = make_corpus(8, family="gru", tokenizer=KINDS[kind])
    held_out = HeldOut.of(corpus.inputs)
    reference = GenerationTokenizer.read(held_out.tokenizer).reference
    (first, language), *_ = openings(held_out, 1)
    text = next(text for text, _ in corpus.held_out if text.startswith(first))
    assert language == "en" and text[len(first)] in " .\n"
    assert 1 < len(reference.encode_text(first)) <= OPENING_TOKENS
