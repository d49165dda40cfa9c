"""Written units: a unit with the punctuation written to it, by which exact copies are compared.

Closing punctuation belongs to the unit before it and opening punctuation to the unit after it; the white space between
two written units belongs to neither. Words with nothing but ASCII punctuation between them are one written unit: an
address, a path, half-open. A text that is cut between written units has no stray mark and no part of a character: none
begins with a combining mark, a vowel sign or a later part of a Hangul syllable, none ends within %E4%B8%AD. In code
points; the reference for `pipeline.kernels.written_units`.
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.text.unicode import KIND, MARK, UNIT, tables
from pipeline.text.words import is_blank, spans

# brackets and quotation marks that open. Of ASCII, " and ' open and close: without white space they stay before
OPENERS = "([{<¡¿«‹‘‚“„‛‟⁅⁽₍〈《「『【〔〖〘〚〝﴾︵︷︹︻︽︿﹁﹃﹇﹙﹛﹝（＜［｛｟｢"
# parts of the character before them that are no combining marks (Unicode Standard Annex 29): vowels and final
# consonants of Hangul, the vowel signs am of Thai and Lao, half-width voicing marks
ATTACHED = ((0x1160, 0x11FF), (0xD7B0, 0xD7FF), (0x0E33, 0x0E33), (0x0EB3, 0x0EB3), (0xFF9E, 0xFF9F))
# weights, in characters of scripts without spaces: tests/benchmarks/bench_substrings.py measures them with BPE
WORD = 2
LONG_WORD = 12  # every two code points more weigh as much as a character
LONG_STEP = 2


class WrittenUnit(NamedTuple):
    """[start, end) in a text, and the weight: 1 for a character, 2 for a word, more for a very long one."""

    start: int
    end: int
    weight: int


def written_units(text: str) -> list[WrittenUnit]:
    """The written units of a text, in order."""
    units: list[WrittenUnit] = []
    stop = 0  # of the unit before
    after_word = False
    for start, end in spans(text):
        before, begin = _divide(text, stop, start)
        is_word = not is_own(text[start])
        joins = after_word and is_word and _is_ascii_punctuation(text[stop:start])
        if not units:
            units.append(WrittenUnit(_skip_space(text, 0, start), end, weight(text, start, end)))
        elif joins or is_attached(text[begin]):
            units[-1] = units[-1]._replace(weight=units[-1].weight + weight(text, start, end))
        else:
            units[-1] = units[-1]._replace(end=before)
            units.append(WrittenUnit(begin, end, weight(text, start, end)))
        stop, after_word = end, is_word
    if units:
        units[-1] = units[-1]._replace(end=_find_space(text, stop, len(text)))
    return units


def weight(text: str, start: int, end: int) -> int:
    """How much the unit text[start:end] weighs."""
    if is_own(text[start]):
        return 1
    return WORD + max(0, end - start - LONG_WORD) // LONG_STEP


def is_own(character: str) -> bool:
    """Whether a unit that begins so is a character of a script without spaces."""
    return int(tables().classes[ord(character)]) & KIND == UNIT


def is_attached(character: str) -> bool:
    """Whether a character is a part of the one before it."""
    point = ord(character)
    flags = int(tables().classes[point])
    return bool(flags & KIND and flags & MARK) or any(first <= point <= last for first, last in ATTACHED)


def _divide(text: str, stop: int, start: int) -> tuple[int, int]:
    """Where what is written to the unit that ends at `stop` ends, and where what is written to the next begins."""
    space = _find_space(text, stop, start)
    if space < start:
        return space, _skip_space(text, space, start)
    opener = start
    while opener > stop and text[opener - 1] in OPENERS:
        opener -= 1
    return opener, opener


def _is_ascii_punctuation(gap: str) -> bool:
    """Whether what is between two units is ASCII punctuation, without white space."""
    return gap.isascii() and not any(map(is_blank, gap))


def _find_space(text: str, at: int, end: int) -> int:
    """The first white space in text[at:end], `end` if there is none."""
    while at < end and not is_blank(text[at]):
        at += 1
    return at


def _skip_space(text: str, at: int, end: int) -> int:
    """The end of the white space from text[at] on, at most `end`."""
    while at < end and is_blank(text[at]):
        at += 1
    return at
