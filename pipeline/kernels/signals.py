"""The signals: named measures of a document, computed from the counts of the kernels.

Numerators and denominators are integers, so a value is a single division of IEEE doubles: the same bits on every
machine. A ratio with denominator 0 is 0. A signal that needs a word list is NaN for a language without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from pipeline.kernels import lines, ngrams, passes, units
from pipeline.text import words
from pipeline.text.language import fallbacks
from pipeline.text.unicode import fold_point

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NAMES = (
    "characters",  # code points
    "units",  # words, and single characters of scripts without spaces
    "own_units",  # share of units that are such single characters
    "mean_unit_length",  # code points in units / units
    "letter_units",  # units that hold a letter / units
    "hash_signs",  # "#" / units
    "ellipses",  # "..." and "…" / units
    "function_words",  # distinct function words of the document's language; NaN without a list
    "upper_letters",  # upper-case letters / letters
    "broken_characters",  # code points of misread UTF-8 / code points
    "unit_concentration",  # probability that two random units of the document are equal (Simpson 1949)
    "lines",  # that are not blank
    "bullet_lines",  # / lines
    "ellipsis_lines",  # / lines
    "duplicate_lines",  # second and later occurrences / lines
    "duplicate_line_characters",  # / code points of all lines, without line breaks and white space at their ends
    "paragraphs",
    "duplicate_paragraphs",
    "duplicate_paragraph_characters",
    *(f"top_{n}gram_characters" for n in ngrams.TOP),  # of the most frequent, all occurrences / code points in units
    *(f"duplicate_{n}gram_characters" for n in ngrams.DUPLICATE),  # second and later, each once / code points in units
)


def compute_signals(counts: passes.DocumentCounts, list_indices: Ints) -> dict[str, Floats]:
    """Compute the signals, in the order of NAMES. `list_indices` is the result of `function_word_lists`."""
    unit, line, repeat = counts.units.T, counts.lines.T, counts.repeats.T
    n = unit[units.UNITS]
    count = line[lines.LINES]
    signals: dict[str, Floats] = {
        "characters": unit[units.CHARACTERS].astype(np.float64),
        "units": n.astype(np.float64),
        "own_units": _ratio(unit[units.OWN_UNITS], n),
        "mean_unit_length": _ratio(unit[units.UNIT_CHARACTERS], n),
        "letter_units": _ratio(unit[units.LETTER_UNITS], n),
        "hash_signs": _ratio(unit[units.HASH_SIGNS], n),
        "ellipses": _ratio(unit[units.ELLIPSES], n),
        "function_words": np.where(list_indices >= 0, repeat[ngrams.LISTED].astype(np.float64), np.nan),
        "upper_letters": _ratio(unit[units.UPPER], unit[units.LETTERS]),
        "broken_characters": _ratio(unit[units.BROKEN], unit[units.CHARACTERS]),
        "unit_concentration": _ratio(repeat[ngrams.PAIRS], n * (n - 1)),
        "lines": count.astype(np.float64),
        "bullet_lines": _ratio(line[lines.BULLET_LINES], count),
        "ellipsis_lines": _ratio(line[lines.ELLIPSIS_LINES], count),
        "duplicate_lines": _ratio(line[lines.DUPLICATE_LINES], count),
        "duplicate_line_characters": _ratio(line[lines.DUPLICATE_LINE_CHARACTERS], line[lines.LINE_CHARACTERS]),
        "paragraphs": line[lines.PARAGRAPHS].astype(np.float64),
        "duplicate_paragraphs": _ratio(line[lines.DUPLICATE_PARAGRAPHS], line[lines.PARAGRAPHS]),
        "duplicate_paragraph_characters": _ratio(
            line[lines.DUPLICATE_PARAGRAPH_CHARACTERS], line[lines.LINE_CHARACTERS]
        ),
    }
    for n_units in ngrams.TOP:
        share = _ratio(repeat[n_units], unit[units.UNIT_CHARACTERS])
        # overlapping occurrences count completely: "ha ha ha" holds "ha ha" twice
        signals[f"top_{n_units}gram_characters"] = np.minimum(share, 1.0)
    for n_units in ngrams.DUPLICATE:
        signals[f"duplicate_{n_units}gram_characters"] = _ratio(repeat[n_units], unit[units.UNIT_CHARACTERS])
    return signals


def _ratio(part: Ints, total: Ints) -> Floats:
    return np.divide(part, total, out=np.zeros(len(part)), where=total > 0)


def function_word_lists(languages: Sequence[str | None] | None, documents: int) -> Ints:
    """For every document the index of the function-word list of its language, −1 (the last, an empty one) for none."""
    names = list(words.FUNCTION_WORDS)
    index_of: dict[str | None, int] = {None: -1}
    for tag in set(languages or ()):
        index_of[tag] = next((names.index(name) for name in fallbacks(tag) if name in words.FUNCTION_WORDS), -1)
    return np.array([index_of[tag] for tag in languages or [None] * documents], np.int64).reshape(documents)


@cache
def word_lists() -> npt.NDArray[np.uint64]:
    """A row for each list, and an empty one: the hashes of its words, then zeros."""
    lists = [sorted({unit_hash(word) for word in listed}) for listed in words.FUNCTION_WORDS.values()]
    table = np.zeros((len(lists) + 1, max(map(len, lists)) + 1), np.uint64)
    for row, hashes in zip(table, lists, strict=False):
        row[: len(hashes)] = hashes
    return table


def unit_hash(unit: str) -> int:
    """The hash of a unit in the kernels: FNV-1a over its folded code points, then `mix`."""
    mask = (1 << 64) - 1
    value = 14695981039346656037
    for character in unit:
        for point in fold_point(ord(character)):
            value = (value ^ point) * 1099511628211 & mask
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ value >> 33) * factor & mask
    return value ^ value >> 33
