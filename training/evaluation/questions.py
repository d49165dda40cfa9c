"""The files that word vectors are asked from: pairs with a judgement, and analogies in sections.

Pairs (WordSim-353, WordSim-240, SimLex-999): two words and a number a line, parted by tabs, commas or spaces; lines
that begin with # say nothing, and one line of titles may stand before the pairs. Analogies (the questions of word2vec,
CA8): four words a line, and `: name` begins a section. A line that is neither is refused, never passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import UserError


@dataclass(frozen=True)
class Pair:
    """Two words and how alike people found them."""

    one: str
    other: str
    judged: float


@dataclass(frozen=True)
class Question:
    """a is to b as c is to `answer`; `section` is empty where the file has none."""

    section: str
    a: str
    b: str
    c: str
    answer: str


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file, in its order.

    Raises: UserError that names the first line which is no pair, or when there is none at all.
    """
    found: list[Pair] = []
    titles = True
    for number, line in _lines(path):
        if line.startswith("#"):
            continue
        pair = _pair(line)
        if pair is not None:
            found.append(pair)
        elif not (titles and len(_fields(line)) == 3):
            raise UserError(f"{path}:{number}: not a pair of words and a number, parted by tabs: {line[:60]!r}.")
        titles = False
    if not found:
        raise UserError(f"{path}: holds no pairs of words.")
    return found


def read_questions(path: Path) -> list[Question]:
    """The questions of a file, in its order.

    Raises: UserError that names the first line which is no question, or when there is none at all.
    """
    found: list[Question] = []
    section = ""
    for number, line in _lines(path):
        if line.startswith(":"):
            section = line[1:].strip()
            continue
        words = line.split()
        if len(words) != 4:
            raise UserError(f"{path}:{number}: not four words, nor ': ' and the name of a section: {line[:60]!r}.")
        found.append(Question(section, *words))
    if not found:
        raise UserError(f"{path}: holds no questions of four words.")
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their number."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start:,}). Convert it.") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.strip()


def _fields(line: str) -> list[str]:
    mark = next((mark for mark in ("\t", ",") if mark in line), None)
    return [field.strip() for field in line.split(mark)]


def _pair(line: str) -> Pair | None:
    fields = _fields(line)
    if len(fields) != 3 or not (fields[0] and fields[1]):
        return None
    try:
        judged = float(fields[2])
    except ValueError:
        return None
    return Pair(fields[0], fields[1], judged) if math.isfinite(judged) else None
