"""Where words and sentences begin, over all code points of a text at once: the answers of words.py in numpy.

For callers that map borders back onto tokens. About 20 M code points a second; a test holds them against words.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    tables,
)
from pipeline.text.words import MIDDLE_DOT

Points = NDArray[np.uint32]
Flags = NDArray[np.bool_]
_ASCII = 128


def points(text: str) -> Points:
    """The code points of a text; bytes that are no UTF-8 may stand in it as lone surrogates (`surrogateescape`)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def unit_goes_on(of: Points) -> Flags:
    """Whether each code point belongs to the same unit as the one before it (`words.spans`)."""
    classes = tables().classes[of]
    kinds = classes & KIND
    attached = _attached_marks(classes)
    solid = ((kinds == LETTER) | (kinds == DIGIT)) & ~attached
    inside = solid | ((kinds == CONNECTOR) & ~attached)
    between = kinds == MID_LETTER
    between[:1] = between[-1:] = False
    is_l = (of == ord("l")) | (of == ord("L"))
    between[1:-1] &= inside[:-2] & solid[2:] & ((of[1:-1] != ord(MIDDLE_DOT)) | (is_l[:-2] & is_l[2:]))
    inside |= between
    goes_on = inside.copy()
    goes_on[1:] &= inside[:-1]
    goes_on[:1] = False
    # a run without a letter or a digit is no unit
    run = np.cumsum(~goes_on)
    holds = np.zeros(len(of) + 1, np.bool_)
    holds[run[solid]] = True
    return np.asarray((goes_on & holds[run]) | attached, np.bool_)


def _attached_marks(classes: NDArray[np.uint8]) -> Flags:
    """Whether each code point belongs to a character that is a unit by itself, as one of its marks or before one."""
    kinds = classes & KIND
    extends = (kinds != 0) & (classes & MARK != 0)
    if not (extends[1:] & (kinds[:-1] == UNIT)).any():
        return np.zeros(len(classes), np.bool_)
    places = np.arange(len(classes))
    base = np.maximum.accumulate(np.where(extends, -1, places))
    # the mark at or after each code point, the last place if there is none: that is then no mark of the same base
    marks = extends & (kinds == LETTER)
    mark = np.minimum.accumulate(np.where(marks, places, len(classes) - 1)[::-1])[::-1]
    return np.asarray(extends & (base >= 0) & (kinds[base] == UNIT) & marks[mark] & (base[mark] == base), np.bool_)


def is_han(of: Points) -> Flags:
    """Whether each code point is Han (`words.is_han`): those of which words are longer than units."""
    known = tables()
    return np.asarray((known.classes[of] & KIND == UNIT) & (known.scripts[of] == NUMBER["Hani"]), np.bool_)


def follows_space(of: Points) -> Flags:
    """Whether each code point comes right after white space within a line."""
    found = np.zeros(len(of), np.bool_)
    found[1:] = (tables().classes[of[:-1]] & KIND) == SPACE
    return found


def sentence_begins(of: Points) -> Flags:
    """Whether a sentence begins at each code point (`words.sentences`): its first that is no white space."""
    classes = tables().classes[of]
    kinds = classes & KIND
    blank = (kinds == SPACE) | (kinds == NEWLINE)
    before_blank = np.ones(len(of), np.bool_)
    before_blank[:-1] = blank[1:]
    ends = (of == ord("\n")) | (((classes & SENTENCE_END) != 0) & ((of >= _ASCII) | before_blank))
    # the sentence of a code point is the number of ends before it; it begins at its first that is not blank
    number = np.cumsum(ends) - ends
    solid = np.flatnonzero(~blank)
    found = np.zeros(len(of), np.bool_)
    if len(solid):
        own = number[solid]
        found[solid[np.flatnonzero(np.diff(own, prepend=-1))]] = True
    return found
