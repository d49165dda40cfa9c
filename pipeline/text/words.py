"""What a unit, a word and a sentence are, here and nowhere else.

A unit is a Han character (kana, Hangul, Thai alike), or a word in scripts written with spaces: a run of letters, digits
and underscores that holds a letter or a digit; an apostrophe belongs to it between two letters or digits. Units are
compared folded: lower case, full-width and other compatibility forms made plain (`unicode.fold_point`). A word is a
unit, but for Han: there it is a word of jieba (`chinese_words`), which is asked about each run of Han characters alone.
These functions are the reference, one document at a time; `pipeline.kernels` does the same to columns, natively.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.text import chinese, chinese_words
from pipeline.text.scripts import NUMBER
from pipeline.text.unicode import (
    APOSTROPHE,
    CONNECTOR,
    DIGIT,
    KIND,
    LETTER,
    NEWLINE,
    SENTENCE_END,
    SPACE,
    UNIT,
    fold_point,
    tables,
)

# Gopher's bullets and those of other public rules (Rae et al. 2021, A.1.1; dolma, NeMo-Curator)
BULLETS = "•‣⁃∙○●◦▪▫■□▶◀–-*"
SENTENCE_ENDS = ".!?" + chinese.SENTENCE_ENDS + "‼⁇⁈⁉؟۔।॥։።፧፨"

# function words by language. A language that is not here has no list: a rule that needs one is skipped and counted.
FUNCTION_WORDS: Mapping[str, tuple[str, ...]] = {
    "en": ("the", "be", "to", "of", "and", "that", "have", "with"),  # Rae et al. 2021, A.1.1
    "zh": chinese.FUNCTION_WORDS,
}


def units(text: str) -> list[str]:
    """The units of a text, folded, in order."""
    return [fold(text[start:end]) for start, end in spans(text)]


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the units are, in code points, [start, end)."""
    start, holds = -1, False
    for at, character in enumerate(text):
        kind = kind_of(character)
        if kind == APOSTROPHE and start >= 0 and at + 1 < len(text) and kind_of(text[at + 1]) in (LETTER, DIGIT):
            continue
        if kind in (LETTER, DIGIT, CONNECTOR):
            start = at if start < 0 else start
            holds = holds or kind != CONNECTOR
            continue
        if holds:
            yield start, at
        start, holds = -1, False
        if kind == UNIT:
            yield at, at + 1
    if holds:
        yield start, len(text)


def words(text: str, *, folded: bool = True) -> list[str]:
    """The words of a text in order, without punctuation; `folded` as units are, else as they are written.

    About 1 MB of Chinese a CPU-second; `pipeline.kernels.column.words` does a column natively.
    Raises: UserError at the first Han character when jieba is not installed.
    """
    found: list[str] = []
    run, run_end = "", -1
    for start, end in spans(text):
        if is_han(text[start]):
            run = run + text[start] if start == run_end else _cut(run, folded, found) + text[start]
            run_end = end
        else:
            run = _cut(run, folded, found)
            found.append(fold(text[start:end]) if folded else text[start:end])
    _cut(run, folded, found)
    return found


def _cut(run: str, folded: bool, found: list[str]) -> str:
    """Add the words of a run of Han characters; the empty run is what is left of it."""
    if run:
        found += chinese_words.words_of_run(fold(run) if folded else run)
    return ""


def is_han(character: str) -> bool:
    return kind_of(character) == UNIT and int(tables().scripts[ord(character)]) == NUMBER["Hani"]


def fold(unit: str) -> str:
    """The form by which units are compared."""
    return "".join(chr(point) for character in unit for point in fold_point(ord(character)))


def kind_of(character: str) -> int:
    """LETTER, DIGIT, UNIT … of `pipeline.text.unicode`."""
    return int(tables().classes[ord(character)]) & KIND


def sentences(text: str) -> list[str]:
    """Split after sentence ends and at line breaks; marks stay, white space around a sentence goes.

    An ASCII mark ends a sentence only before white space or the end, so that 3.14 and example.org stay whole.
    """
    found, start = [], 0
    for at, character in enumerate(text):
        ends = bool(tables().classes[ord(character)] & SENTENCE_END)
        following = text[at + 1 : at + 2]
        if character == "\n" or (ends and (not character.isascii() or not following or is_blank(following))):
            found.append(text[start : at + 1].strip())
            start = at + 1
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def is_blank(character: str) -> bool:
    return kind_of(character) in (SPACE, NEWLINE)
