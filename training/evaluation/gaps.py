"""Gaps in text: where a held-out word may be hidden, how a prompt with gaps becomes tokens, and what fills one best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.text import words
from pipeline.tokenizers import reference_encoder
from training.evaluation.held_out import HeldOut, Row
from training.evaluation.section import GAP
from training.objectives.reading import Reader, Reading
from training.objectives.special_tokens import Marks

# rows of the split in which words are sought, spread over it
ROWS = 512


@dataclass(frozen=True)
class Hidden:
    """A held-out word: the tokens [start, stop) of a row, which lie in one document."""

    row: int
    start: int
    stop: int
    document: str
    language: str

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


def hidden_words(held_out: HeldOut, marks: Marks, count: int) -> list[Hidden]:
    """`count` words of each language, evenly spread: no chance, and the same ones for every model of a tokenizer."""
    found: dict[str, list[Hidden]] = {}
    for word in _words(held_out, marks):
        found.setdefault(word.language, []).append(word)
    chosen = []
    for own in (found[language] for language in sorted(found)):
        wanted = min(count, len(own))
        chosen += [own[at * len(own) // wanted] for at in range(wanted)]
    return chosen


def _words(held_out: HeldOut, marks: Marks) -> Iterator[Hidden]:
    reader = Reader(held_out.tokenizer, marks.special)
    total = held_out.row_count
    wanted = min(total, ROWS)
    numbers = [at * total // wanted for at in range(wanted)]
    rows = [next(held_out.rows(number, number + 1)) for number in numbers]
    for number, row, reading in zip(numbers, rows, reader.read([row.tokens for row in rows]), strict=True):
        for document, first, last in row.spans:
            for start, stop in _parts(reading, first, last):
                tokens = row.tokens[start:stop]
                # neither an end of text nor punctuation
                if not np.isin(tokens, marks.special).any() and words.units(_text(held_out, tokens)):
                    yield Hidden(number, start, stop, document, held_out.language_of[document])


def _text(held_out: HeldOut, tokens: NDArray[np.int64]) -> str:
    """A row may cut a character: what is left of it is left out."""
    return held_out.pieces.text(tokens).decode("utf-8", "ignore")


def _parts(reading: Reading, first: int, last: int) -> list[tuple[int, int]]:
    """The words that begin and end within [first, last) of a row."""
    starts = np.flatnonzero(~reading.goes_on)
    stops = np.append(starts[1:], len(reading.goes_on))
    inside = (starts >= first) & (stops <= last)
    return list(zip(starts[inside].tolist(), stops[inside].tolist(), strict=True))


def asked(
    prompt: str, reference: reference_encoder.ReferenceEncoder, marks: Marks
) -> tuple[list[int], list[tuple[int, int]]]:
    """The tokens of a prompt with its marks, and where its gaps are: masks beside each other are one of that length.

    A space before a gap is the hidden word's own, as in training, where pieces begin with their space.
    """
    tokens, gaps = [marks.start], list[tuple[int, int]]()
    *parts, last = prompt.split(GAP)
    for part in parts:
        tokens += reference.encode_text(part.removesuffix(" "))
        first = gaps.pop()[0] if gaps and gaps[-1][1] == len(tokens) else len(tokens)
        tokens.append(marks.mask)
        gaps.append((first, len(tokens)))
    tokens += reference.encode_text(last)
    return [*tokens, marks.end], gaps


def best(chances: Tensor, count: int) -> list[tuple[tuple[int, ...], float]]:
    """The likeliest pieces of a gap and their probability, places as if independent. chances: places, vocabulary."""
    found: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    for place in chances:
        top = place.topk(min(count, len(place)))
        steps = list(zip(top.indices.tolist(), top.values.tolist(), strict=True))
        longer = [((*pieces, piece), before * chance) for pieces, before in found for piece, chance in steps]
        found = sorted(longer, key=lambda one: -one[1])[:count]
    return found


def around(held_out: HeldOut, row: Row, hidden: Hidden, most: int) -> tuple[str, str]:
    """A line of text with the word left out, and the word."""
    first, last = next((first, last) for name, first, last in row.spans if name == hidden.document)
    last -= int(row.tokens[last - 1] == held_out.pieces.end_of_text)
    word = _text(held_out, row.tokens[hidden.start : hidden.stop])
    space = word[: len(word) - len(word.lstrip())]
    before = _text(held_out, row.tokens[max(first, hidden.start - most) : hidden.start])
    after = _text(held_out, row.tokens[hidden.stop : min(last, hidden.stop + most)])
    gap = GAP * (hidden.stop - hidden.start)
    return f"{before}{space}{gap}{after}", word.strip()
