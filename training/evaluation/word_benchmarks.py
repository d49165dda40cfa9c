"""Benchmark files for word vectors: word pairs with a judgement, and analogy questions in sections.

Pairs (WordSim-353, WordSim-240, SimLex-999): two words and a number on each line, separated by tabs, commas or spaces;
lines that begin with # are comments, and one line of titles may come before the pairs. Analogies (the questions of
word2vec, CA8): four words on each line, and `: name` begins a section. Any other line is an error, never skipped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import UserError


@dataclass(frozen=True)
class JudgedPair:
    """Two words and how similar people found them."""

    left: str
    right: str
    judgement: float


@dataclass(frozen=True)
class AnalogyQuestion:
    """a is to b as c is to `answer`; `section` is empty where the file has none."""

    section: str
    a: str
    b: str
    c: str
    answer: str


def read_judged_pairs(path: Path) -> list[JudgedPair]:
    """The pairs of a file, in its order.

    Raises: UserError that names the first line which is not a pair, or when there is no pair at all.
    """
    pairs: list[JudgedPair] = []
    titles_allowed = True
    for number, line in _lines(path):
        if line.startswith("#"):
            continue
        pair = _parse_pair(line)
        if pair is not None:
            pairs.append(pair)
        elif not (titles_allowed and len(_fields(line)) == 3):
            raise UserError(f"{path}:{number}: not a pair of words and a number, separated by tabs: {line[:60]!r}.")
        titles_allowed = False
    if not pairs:
        raise UserError(f"{path}: holds no pairs of words.")
    return pairs


def read_questions(path: Path) -> list[AnalogyQuestion]:
    """The questions of a file, in its order.

    Raises: UserError that names the first line which is not a question, or when there is no question at all.
    """
    questions: list[AnalogyQuestion] = []
    section = ""
    for number, line in _lines(path):
        if line.startswith(":"):
            section = line[1:].strip()
            continue
        words = line.split()
        if len(words) != 4:
            raise UserError(f"{path}:{number}: not four words, nor ': ' and the name of a section: {line[:60]!r}.")
        questions.append(AnalogyQuestion(section, *words))
    if not questions:
        raise UserError(f"{path}: holds no questions of four words.")
    return questions


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
    separator = next((separator for separator in ("\t", ",") if separator in line), None)
    return [field.strip() for field in line.split(separator)]


def _parse_pair(line: str) -> JudgedPair | None:
    fields = _fields(line)
    if len(fields) != 3 or not (fields[0] and fields[1]):
        return None
    try:
        judgement = float(fields[2])
    except ValueError:
        return None
    return JudgedPair(fields[0], fields[1], judgement) if math.isfinite(judgement) else None
