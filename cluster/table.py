"""A plain table for the console: columns aligned, figures to the right, a wide character counted as its two cells."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

FIGURE = re.compile(r"–|[-–]?[\d.,]+( ?[%\w/]+)?")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The lines of a table; a column of nothing but figures is aligned to the right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(cells, column)) for column in columns]
    right = [bool(rows) and all(FIGURE.fullmatch(cell) for cell in column[1:]) for column in columns]
    return "\n".join(_line(row, widths, right) for row in (header, *rows))


def cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for text, width, to_right in zip(row, widths, right, strict=True):
        space = " " * (width - cells(text))
        padded.append(space + text if to_right else text + space)
    return "  ".join(padded).rstrip()
