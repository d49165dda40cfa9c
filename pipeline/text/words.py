"""Defines units, words and sentences for every language. All other code uses these definitions.

A unit is a Han character (kana, Hangul, Thai alike), or a word in scripts written with spaces: a run of letters, digits
and underscores that holds a letter or a digit; an apostrophe or gershayim belongs to it between two letters or digits,
a middle dot between two l. A combining mark belongs to the character before it, in every script. Units are compared
folded: lower case, and full-width and other compatibility forms replaced (`unicode.fold_point`). A word is a unit,
except in Han: there it is a word of jieba (`chinese_words`), which segments each run of Han characters separately.
These functions are the reference for one document; `pipeline.kernels` computes the same for columns.
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

# function words by language. A rule that needs a list is skipped and counted for a language without one.
FUNCTION_WORDS: Mapping[str, tuple[str, ...]] = {
    "en": ("the", "be", "to", "of", "and", "that", "have", "with"),  # Rae et al. 2021, A.1.1
    "zh": chinese.FUNCTION_WORDS,
}


def units(text: str) -> list[str]:
    """The folded units of a text, in order."""
    return [fold(text[start:end]) for start, end in spans(text)]


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield the position of each unit in code points, [start, end)."""
    start = -1
    has_content = False
    marks_end = 0
    for at, character in enumerate(text):
        kind = kind_of(character)
        if at < marks_end or (kind == MID_LETTER and start >= 0 and joins(text, at)):
            continue
        if kind in (LETTER, DIGIT, CONNECTOR):
            start = at if start < 0 else start
            has_content = has_content or kind != CONNECTOR
            continue
        if has_content:
            yield start, at
        start = -1
        has_content = False
        if kind == UNIT:
            marks_end = end_of_marks(text, at + 1)
            yield at, marks_end
    if has_content:
        yield start, len(text)


def joins(text: str, at: int) -> bool:
    """Whether the mid-letter character text[at], which follows a word, belongs to it.

    The middle dot does only in Catalan, between two l (col·lecció); in Chinese it separates the parts of a name.
    """
    if text[at] == MIDDLE_DOT:
        return text[at - 1] in "lL" and text[at + 1 : at + 2] in ("l", "L")
    return at + 1 < len(text) and kind_of(text[at + 1]) in (LETTER, DIGIT)


def end_of_marks(text: str, at: int) -> int:
    """The end of the marks from text[at] on, `at` if there are none. Invisible connectors may precede a mark."""
    end = at
    for place in range(at, len(text)):
        flags = int(tables().classes[ord(text[place])])
        if not flags & KIND or not flags & MARK:
            break
        if flags & KIND == LETTER:
            end = place + 1
    return end


def words(text: str, *, folded: bool = True) -> list[str]:
    """The words of a text in order, without punctuation; folded like units, or as written with `folded=False`.

    A Han character with a combining mark is a word by itself, because jieba does not handle marks.

    About 1 MB of Chinese per CPU-second; `pipeline.kernels.column.words` is the fast version for columns.
    Raises: UserError at the first Han character when jieba is not installed.
    """
    result: list[str] = []
    run = ""
    run_end = -1
    for start, end in spans(text):
        if is_han(text[start]) and end == start + 1:
            run = run + text[start] if start == run_end else _append_han_words(run, folded, result) + text[start]
            run_end = end
        else:
            run = _append_han_words(run, folded, result)
            result.append(fold(text[start:end]) if folded else text[start:end])
    _append_han_words(run, folded, result)
    return result


def _append_han_words(run: str, folded: bool, result: list[str]) -> str:
    """Append the words of a run of Han characters to `result`. Returns the empty run."""
    if run:
        result += chinese_words.words_of_run(fold(run) if folded else run)
    return ""


def is_han(character: str) -> bool:
    return kind_of(character) == UNIT and int(tables().scripts[ord(character)]) == NUMBER["Hani"]


def fold(unit: str) -> str:
    """The form in which units are compared."""
    return "".join(chr(point) for character in unit for point in fold_point(ord(character)))


def kind_of(character: str) -> int:
    """LETTER, DIGIT, UNIT … of `pipeline.text.unicode`."""
    return int(tables().classes[ord(character)]) & KIND


def sentences(text: str) -> list[str]:
    """Split after sentence ends and at line breaks. Punctuation is kept, white space around a sentence is removed.

    ASCII punctuation ends a sentence only before white space or the end, so that 3.14 and example.org are not split.
    """
    result: list[str] = []
    start = 0
    for at, character in enumerate(text):
        ends = bool(tables().classes[ord(character)] & SENTENCE_END)
        following = text[at + 1 : at + 2]
        if character == "\n" or (ends and (not character.isascii() or not following or is_blank(following))):
            result.append(text[start : at + 1].strip())
            start = at + 1
    result.append(text[start:].strip())
    return [sentence for sentence in result if sentence]


def is_blank(character: str) -> bool:
    return kind_of(character) in (SPACE, NEWLINE)
