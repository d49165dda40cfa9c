"""Gaps in text: which held-out words may be masked, how a prompt with gaps becomes tokens, and the best fillings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

import numpy as np
from torch import Tensor

from pipeline.text import words
from pipeline.tokenizers.reference_encoder import ReferenceEncoder
from training.evaluation.held_out import HeldOut, PackedRow, TokenIds
from training.evaluation.section import GAP
from training.objectives.boundaries import BoundaryReader, TokenBoundaries
from training.objectives.special_tokens import SpecialTokens

# rows of the split in which words are looked for, spread over it
ROWS = 512
# the ids in a gap, and their probability
Filling: TypeAlias = tuple[tuple[int, ...], float]


class MaskedWordFields(TypedDict):
    """A MaskedWord as JSON."""

    row: int
    start: int
    stop: int
    document: str
    language: str


@dataclass(frozen=True)
class MaskedWord:
    """A held-out word: the tokens [start, stop) of a row, which belong to one document."""

    row: int
    start: int
    stop: int
    document: str
    language: str

    def to_dict(self) -> MaskedWordFields:
        return {
            "row": self.row, "start": self.start, "stop": self.stop,
            "document": self.document, "language": self.language,
        }  # fmt: skip


def select_words(held_out: HeldOut, special: SpecialTokens, count: int) -> list[MaskedWord]:
    """`count` words of each language, evenly spread: not random, and the same for every model of a tokenizer."""
    by_language: dict[str, list[MaskedWord]] = {}
    for word in _words(held_out, special):
        by_language.setdefault(word.language, []).append(word)
    selected = []
    for language in sorted(by_language):
        candidates = by_language[language]
        number = min(count, len(candidates))
        selected += [candidates[at * len(candidates) // number] for at in range(number)]
    return selected


def _words(held_out: HeldOut, special: SpecialTokens) -> Iterator[MaskedWord]:
    reader = BoundaryReader(held_out.tokenizer, special.special)
    total = held_out.row_count
    sampled = min(total, ROWS)
    numbers = [at * total // sampled for at in range(sampled)]
    rows = [next(held_out.rows(number, number + 1)) for number in numbers]
    for number, row, reading in zip(numbers, rows, reader.read([row.tokens for row in rows]), strict=True):
        for document_id, first, last in row.spans:
            for start, stop in _word_spans(reading, first, last):
                tokens = row.tokens[start:stop]
                # neither an end of text nor punctuation
                if not np.isin(tokens, special.special).any() and words.units(_text(held_out, tokens)):
                    yield MaskedWord(number, start, stop, document_id, held_out.language_of[document_id])


def _text(held_out: HeldOut, tokens: TokenIds) -> str:
    """A row may cut a character: an incomplete character is left out."""
    return held_out.token_bytes.text(tokens).decode("utf-8", "ignore")


def _word_spans(reading: TokenBoundaries, first: int, last: int) -> list[tuple[int, int]]:
    """The words that begin and end within [first, last) of a row."""
    starts = np.flatnonzero(~reading.continues_word)
    stops = np.append(starts[1:], len(reading.continues_word))
    inside = (starts >= first) & (stops <= last)
    return list(zip(starts[inside].tolist(), stops[inside].tolist(), strict=True))


def encode_gaps(
    prompt: str, reference: ReferenceEncoder, special: SpecialTokens
) -> tuple[list[int], list[tuple[int, int]]]:
    """The tokens of a prompt between its special tokens, and the places of its gaps.

    Masks beside each other are one gap of that length. A space before a gap belongs to the missing word, as in
    training, where pieces begin with their space.
    """
    tokens = [special.start]
    gaps: list[tuple[int, int]] = []
    *parts, last = prompt.split(GAP)
    for part in parts:
        tokens += reference.encode_text(part.removesuffix(" "))
        first = gaps.pop()[0] if gaps and gaps[-1][1] == len(tokens) else len(tokens)
        tokens.append(special.mask)
        gaps.append((first, len(tokens)))
    tokens += reference.encode_text(last)
    return [*tokens, special.end], gaps


def likeliest_fillings(probabilities: Tensor, count: int) -> list[Filling]:
    """The likeliest ids of a gap with their probability, as if its places were independent.

    probabilities: places, vocabulary.
    """
    fillings: list[Filling] = [((), 1.0)]
    for place in probabilities:
        top = place.topk(min(count, len(place)))
        candidates = list(zip(top.indices.tolist(), top.values.tolist(), strict=True))
        longer = [((*ids, token), before * after) for ids, before in fillings for token, after in candidates]
        fillings = sorted(longer, key=lambda filling: -filling[1])[:count]
    return fillings


def text_with_gap(held_out: HeldOut, row: PackedRow, word: MaskedWord, most: int) -> tuple[str, str]:
    """A line of text, `most` tokens on each side, with the word left out; and the word."""
    first, last = next((span.start, span.end) for span in row.spans if span.document_id == word.document)
    last -= int(row.tokens[last - 1] == held_out.token_bytes.end_of_text)
    spelled = _text(held_out, row.tokens[word.start : word.stop])
    space = spelled[: len(spelled) - len(spelled.lstrip())]
    before = _text(held_out, row.tokens[max(first, word.start - most) : word.start])
    after = _text(held_out, row.tokens[word.stop : min(last, word.stop + most)])
    gap = GAP * (word.stop - word.start)
    return f"{before}{space}{gap}{after}", spelled.strip()
