"""Counts what source code has and prose has not: joined names, lines that end like code, indented lines.

About 270 MB of text per CPU-second on a busy machine, where letters are counted at 600. Addresses of web pages are
passed over, since they hold joined names too. The rule over the counts is in `pipeline.text.code`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import Integer
from pipeline.kernels.compiler import inlined, kernel
from pipeline.text.code import CODE_ENDS, INDENTED, JOINS, LINES, WORDS
from pipeline.text.unicode import Bytes

Offsets = npt.NDArray[np.int64]

LONGEST = 1 << 16  # bytes of a document that are looked at

_SPACE, _ALPHANUMERIC, _END, _JOINER, _OPENING, _URL_END = 1, 2, 4, 8, 16, 32


def _byte_classes() -> Bytes:
    """Byte → flags. `_OPENING`: what follows the joiner within an expression: a letter, a quote, a bracket."""
    classes = np.zeros(256, np.uint8)
    letters = bytes(range(ord("a"), ord("z") + 1)) + bytes(range(ord("A"), ord("Z") + 1))
    for flag, members in (
        (_SPACE, b" \t\r"), (_ALPHANUMERIC, letters + b"0123456789"), (_END, b";{}()[],:\\="), (_JOINER, b"_(=[.$"),
        (_OPENING, letters + b"_\"'()"), (_URL_END, b" \t\r\n)>\"'\\]"),
    ):  # fmt: skip
        classes[np.frombuffer(members, np.uint8)] |= np.uint8(flag)
    return classes


BYTE_CLASSES = _byte_classes()


@kernel
def count_code_shape(
    data: Bytes, offsets: Offsets, rows: npt.NDArray[np.int64], classes: Bytes, out: npt.NDArray[np.int64]
) -> None:
    """Set out[i] to the counts of document rows[i], by the indexes of `pipeline.text.code`.

    `first`: whether the line has had no character yet; `solid`: whether it has one that is no space; `last`: the flags
    of the last such byte; `inside`: whether the byte before belongs to a word.
    """
    for i in range(len(rows)):
        at = offsets[rows[i]]
        end = min(offsets[rows[i] + 1], at + LONGEST)
        lines, ends, indented, joins, words = 0, 0, 0, 0, 0
        first, solid, inside = True, False, False
        last = np.uint8(0)
        while at < end:
            byte = data[at]
            kind = classes[byte]
            if kind & _ALPHANUMERIC or byte >= 0x80:
                # every character of Han, kana, Hangul and beyond (lead bytes from 0xE3) is a word
                separate = byte >= 0xE3
                words += separate or not inside
                first, solid, inside, last = False, True, not separate, kind
            elif byte == 10:
                lines += solid
                ends += solid and last & _END != 0
                first, solid, inside = True, False, False
            elif kind & _SPACE:
                indented += first
                first, inside = False, False
            else:
                joins += inside and _joins(data, at, end, classes)
                if byte == 58 and at + 2 < end and data[at + 1] == 47 and data[at + 2] == 47:  # "://"
                    while at + 1 < end and not classes[data[at + 1]] & _URL_END:
                        at += 1
                    kind = np.uint8(0)
                first, solid, inside, last = False, True, False, kind
            at += 1
        out[i, LINES] = lines + solid
        out[i, CODE_ENDS] = ends + (solid and last & _END != 0)
        out[i, INDENTED], out[i, JOINS], out[i, WORDS] = indented, joins, words


@inlined
def _joins(data: Bytes, at: Integer, end: Integer, classes: Bytes) -> Integer:
    """Whether the byte at `at`, which follows a word, joins it to an expression: a_b, a.b, a(, a=b, a->b, a::b."""
    if at + 1 >= end:
        return False
    if classes[data[at]] & _JOINER:
        return classes[data[at + 1]] & _OPENING != 0
    pair = (data[at] == 45 and data[at + 1] == 62) or (data[at] == 58 and data[at + 1] == 58)
    return pair and at + 2 < end and classes[data[at + 2]] & _OPENING != 0
