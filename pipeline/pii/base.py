"""A rule for one kind of personal data: where to look, a pattern of linear time, and a check of what it matched.

Windows are bytes of UTF-8 in which full-width forms are ASCII. Han letters are no word characters: a number or an
address may follow them directly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.pii.section import Kind

Check = Callable[[bytes, int, int], int]
"""(window, start, end) of a match → where it ends, at most `end`; 0 if it is none."""

BEFORE, AFTER = 80, 64  # bytes of a window around its gates, for most groups
CONTEXT = 60  # bytes before a match in which a word may say what it is

_ADDRESS = re.compile(rb"(?:[A-Za-z][A-Za-z0-9+.-]{0,15}://|www\.)[!-~]*\Z")
_GLUED_BEFORE = re.compile(rb"(?:[0-9A-Za-z_]|[0-9][.,:-]|[0-9][.,] |[#=&%$][.-]?)\Z")
_GLUED_AFTER = re.compile(rb"[0-9A-Za-z_]|[.,:-][0-9]|[ ]?%")


@dataclass(frozen=True)
class PiiRule:
    """`groups`: the gates behind which it is tried. A group of the pattern, if there is one, is what is personal."""

    kind: Kind
    groups: Sequence[int]
    pattern: str
    check: Check


def stands_alone(window: bytes, start: int, end: int) -> bool:
    """Whether a number is no part of a longer one, of a word, of a decimal or of a parameter."""
    return not _GLUED_BEFORE.search(window[max(0, start - 3) : start]) and not _GLUED_AFTER.match(window[end : end + 3])


def in_address(window: bytes, start: int) -> bool:
    """Whether a number is part of a URL: ids of pages look like telephone numbers."""
    return bool(_ADDRESS.search(window[max(0, start - BEFORE) : start]))


def in_row(window: bytes, start: int, end: int) -> bool:
    """Whether other numbers stand beside it, one space away, as in a table."""
    return window[max(0, start - 2) : start].strip(b" \t").isdigit() or window[end : end + 2].strip(b" \t").isdigit()


def digits_of(text: bytes) -> str:
    return "".join(chr(byte) for byte in text if 48 <= byte <= 57)


def before(window: bytes, start: int) -> str:
    """The text before a match, as far as a word that says what it is may stand."""
    return window[max(0, start - CONTEXT) : start].decode("utf-8", "ignore")
