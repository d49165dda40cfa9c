"""Bits per byte of tokenizers that lose text: of the same bytes as xz, and no better for not knowing a word."""

from __future__ import annotations

import lzma
import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch

from pipeline.tokenizers.base import TokenizerOptions, TokenizerTrainer
from pipeline.tokenizers.word_level import WordLevel
from pipeline.tokenizers.wordpiece import WordPiece
from training.evaluation.base import Score, Subject
from training.evaluation.held_out import HeldOut, HeldOutDocument
from training.evaluation.own_text import NATS_PER_BYTE, OwnText, held_out_texts, own_texts, text_share
from training.evaluation.perplexity import Perplexity
from training.evaluation.section import Perplexity as Options_


class Few(TokenizerTrainer):
    """A tokenizer of few pieces, whatever is asked for."""

    def __init__(
        self, kind: Callable[[TokenizerOptions], TokenizerTrainer], pieces: int, options: TokenizerOptions
    ) -> None:
        super().__init__(options)
        self.kind, self.pieces = kind(options), pieces

    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        return self.kind.train(texts, self.pieces)


WORDS, FEW_WORDS = (Few(WordLevel, size, TokenizerOptions(min_count=1)) for size in (400, 5))
FEW_PIECES = Few(WordPiece, 40, TokenizerOptions())
FAMILIES: list[tuple[str, TokenizerTrainer, tuple[str, ...]]] = [
    ("gru", FEW_WORDS, ("",)),
    ("bilstm", FEW_WORDS, ("forward_", "backward_")),
    ("gpt", FEW_PIECES, ("",)),
    ("bert", FEW_PIECES, ("pseudo_",)),
]


def scores_of(corpus: Any) -> dict[tuple[str, str | None], Score]:
    held_out, task = HeldOut.of(corpus.inputs), Perplexity(Options_(), 0)
    subject = Subject(corpus.inputs.single("model").folder("model"), held_out, torch.device("cpu"))
    result = task.merge(held_out, [task.work(item, subject) for item in task.cut(held_out)])
    return {(score.metric, score.language): score for score in result.scores}


def inked(text: str) -> int:
    return len("".join(text.split()).encode())


@pytest.mark.parametrize(("family", "kind", "prefixes"), FAMILIES, ids=[family[0] for family in FAMILIES])
def test_xz_reads_the_documents_and_bits_are_of_their_bytes(
    make_corpus: Any, family: str, kind: TokenizerTrainer, prefixes: tuple[str, ...]
) -> None:
    corpus = make_corpus(8, family=family, tokenizer=kind)
    scores = scores_of(corpus)
    for language in ("en", "zh"):
        own = [text for text, its in corpus.held_out if its == language]
        joined = "\n".join(own).encode()
        assert scores["xz_bits_per_byte", language].value == 8 * len(lzma.compress(joined, preset=9)) / len(joined)
        for prefix in prefixes:
            # most of every text is unknown: writing it out costs most of 8 bits a byte
            assert scores[f"{prefix}bits_per_byte", language].value > 4


def test_fewer_known_words_never_look_better(make_corpus: Any) -> None:
    """A model that foresees every token: what is left is what the tokenizer lost."""
    bits = {}
    for name, kind in (("few", FEW_WORDS), ("all", WORDS)):
        corpus = make_corpus(8, family="gru", tokenizer=kind)
        held_out, task = HeldOut.of(corpus.inputs), Perplexity(Options_(), 0)
        certain = [[0.0 for _ in row.spans] for row in held_out.rows()]
        scores = task.merge(held_out, [{"xz": [(None, 1.0), ("en", 1.0), ("zh", 1.0)]}, {"forward": certain}]).scores
        bits[name] = {score.language: score.value for score in scores if score.metric == "bits_per_byte"}
    for language in ("en", "zh"):
        assert 0 < bits["all"][language] < bits["few"][language] <= 8


@pytest.mark.parametrize("text", ["One grey cat, two cats.", "今天天气很好，明天也是。", "Ｆｕｌｌ ﬁnd CAFÉ"])
def test_what_is_lost_is_counted_in_the_share_that_was_predicted(text: str) -> None:
    document = HeldOutDocument("a", 1, b"", 4, 10, 10, 10)
    assert text_share(OwnText(len(text.encode()), 10), document, 10).lost_nats == 0
    own = OwnText(len(text.encode()), inked(text))
    half = text_share(own, document, 5)
    assert half.bytes == own.bytes / 2
    assert half.lost_nats == pytest.approx(max(0, own.visible_bytes - 10) / 2 * NATS_PER_BYTE)
    nothing = text_share(own, HeldOutDocument("a", 1, b"", 4, 0, 0, 0), 0)
    assert nothing.bytes == own.bytes and nothing.lost_nats == pytest.approx(own.visible_bytes * 8 * math.log(2))


def test_byte_level_pieces_lose_nothing(corpus: Any) -> None:
    held_out = HeldOut.of(corpus.inputs)
    assert own_texts(held_out) == {}
    assert [text.decode() for text in held_out_texts(held_out)] == [text for text, _ in corpus.held_out]
