"""What a unit, a word and a sentence are, here and nowhere else.

A unit is a Han character (kana, Hangul, Thai alike), or a word in scripts written with spaces: a run of letters, digits
and underscores that holds a letter or a digit; an apostrophe or gershayim belongs to it between two letters or digits,
a middle dot between two l. A combining mark belongs to the character before it, in every script. Units are compared
folded: lower case, full-width and other compatibility forms made plain (`unicode.fold_point`). A word is a
unit, but for Han: there it is a word of jieba (`chinese_words`), which is asked about each run of Han characters alone.
These functions are the reference, one document at a time; `pipeline.kernels` does the same to columns, natively.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.text import chinese, chinese_words
from pipeline.text.scripts import NUMBER
from pipeline.text.unicode import (
    CONNECTOR,
    DIGIT,
    KIND,
    LETTER,
    MARK,
    MID_LETTER,
    NEWLINE,
    SENTENCE_END,
    SPACE,
    UNIT,
    fold_point,
    tables,
)

# Gopher's bullets and those of other public rules (Rae et al. 2021, A.1.1; dolma, NeMo-Curator)
BULLETS = "•‣⁃∙○●◦▪▫■□▶◀–-*"
MIDDLE_DOT = "\u00b7"
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
    start, holds, marked_end = -1, False, 0
    for at, character in enumerate(text):
        kind = kind_of(character)
        if at < marked_end or (kind == MID_LETTER and start >= 0 and joins(text, at)):
            continue
        if kind in (LETTER, DIGIT, CONNECTOR):
            start = at if start < 0 else start
            holds = holds or kind != CONNECTOR
            continue
        if holds:
            yield start, at
        start, holds = -1, False
        if kind == UNIT:
            marked_end = end_of_marks(text, at + 1)
            yield at, marked_end
    if holds:
        yield start, len(text)


def joins(text: str, at: int) -> bool:
    """Whether the mid-letter sign text[at], which follows a word, belongs to it.

    The middle dot does so in Catalan alone, between two l (col·lecció): in Chinese it parts the initials of a name.
    """
    if text[at] == MIDDLE_DOT:
        return text[at - 1] in "lL" and text[at + 1 : at + 2] in ("l", "L")
    return at + 1 < len(text) and kind_of(text[at + 1]) in (LETTER, DIGIT)


def end_of_marks(text: str, at: int) -> int:
    """Where the marks from text[at] on end, `at` if there are none; invisible connectors may stand before one."""
    end = at
    for place in range(at, len(text)):
        flags = int(tables().classes[ord(text[place])])
        if not flags & KIND or not flags & MARK:
            break
        if flags & KIND == LETTER:
            end = place + 1
    return end


def words(text: str, *, folded: bool = True) -> list[str]:
    """The words of a text in order, without punctuation; `folded` as units are, else as they are written.

    A Han character with a combining mark is a word by itself: jieba knows none.

    About 1 MB of Chinese a CPU-second; `pipeline.kernels.column.words` does a column natively.
    Raises: UserError at the first Han character when jieba is not installed.
    """
    found: list[str] = []
    run, run_end = "", -1
    for start, end in spans(text):
        if is_han(text[start]) and end == start + 1:
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
