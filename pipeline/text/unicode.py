"""Properties of code points, from a generated table that is part of the repository (`tables.npz`, by `generate.py`).

Python, Polars and Arrow include different Unicode versions, and results must not depend on which one is installed.
Loading takes about 10 ms and 11 MB, once in a process. The entries that a text needs stay in the processor's cache.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CODE_POINTS = 0x110000
TABLE = Path(__file__).with_name("tables.npz")

# kinds: the low three bits of a class
OTHER = 0  # punctuation, symbols, controls, emoji
SPACE = 1  # white space within a line
LETTER = 2  # letters of scripts written with spaces, which form words, and combining marks of all scripts
DIGIT = 3  # digits and other numbers: part of a word, but no letter
UNIT = 4  # a unit with the marks after it: Han, kana, Hangul, bopomofo, Thai, Lao, Khmer, Myanmar
NEWLINE = 5
CONNECTOR = 6  # part of a word, but no word alone: underscore, geresh, zero-width joiners, soft hyphen, selectors
MID_LETTER = 7  # part of a word only between two letters: don't, don’t, צה״ל; the middle dot between two l: col·lecció
KIND = 7

# flags: the high five bits
UPPER = 8  # an upper- or title-case letter
FOLDS = 16  # its fold (lower case, compatibility form) is another code point, several, or none
BULLET = 32  # of kind OTHER: opens a list item
MARK = 32  # of any other kind: a combining mark (LETTER), or an invisible CONNECTOR that may stand before one
SENTENCE_END = 64  # . ! ? and their equivalents in all scripts
COMPOSES = 128  # normal form C may change a text that holds it; a text without any is in that form

# the controls U+0080 to U+009F in Windows-1252, −1 for none: in text they are that encoding misread as Latin-1, and
# browsers also decode them so (WHATWG Encoding Standard)
WINDOWS = (
    0x20AC, -1, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
    0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, -1, 0x017D, -1,
    -1, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
    0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, -1, 0x017E, 0x0178,
)  # fmt: skip

Bytes = npt.NDArray[np.uint8]
CodePoints = npt.NDArray[np.int32]


class Tables(NamedTuple):
    """Arrays over code points, as kernels take them.

    `classes`: kind and flags. `fold`: the code point to hash and compare by, or −1 − i for several: `more[i]` is their
    number, `more[i + 1:]` begins with them. `scripts`: index into `pipeline.text.scripts.SCRIPTS`.
    """

    classes: Bytes
    fold: CodePoints
    more: CodePoints
    scripts: Bytes


def expand(starts: npt.NDArray[np.int64], values: Bytes) -> Bytes:
    """Expand runs to a value for each code point: run i begins at `starts[i]` and has the value `values[i]`."""
    return np.repeat(values, np.diff(np.append(starts, CODE_POINTS)))


@cache
def tables() -> Tables:
    """The tables of this release; read-only."""
    with np.load(TABLE) as stored:
        classes = expand(stored["class_starts"], stored["class_values"])
        scripts = expand(stored["script_starts"], stored["script_values"])
        fold = np.arange(CODE_POINTS, dtype=np.int32)
        fold[stored["fold_from"]] = stored["fold_to"]
        loaded = Tables(classes, fold, stored["more"], scripts)
    for array in loaded:
        array.flags.writeable = False
    return loaded


@cache
def version() -> str:
    """The Unicode version of the tables; part of the fingerprint of what is computed with them."""
    with np.load(TABLE) as stored:
        return str(stored["version"])


def fold_point(point: int) -> list[int]:
    """The code points by which `point` is compared: lower case, in compatibility form."""
    table = tables()
    folded = int(table.fold[point])
    if folded >= 0:
        return [folded]
    at = -1 - folded
    return [int(value) for value in table.more[at + 1 : at + 1 + table.more[at]]]
