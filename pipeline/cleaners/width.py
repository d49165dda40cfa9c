"""Replaces forms of characters: full-width letters and digits, punctuation beside Chinese, or all compatibility forms.

- `letters: half`: full-width letters and digits become ASCII (Ａ１ → A1); half-width kana become full-width ones.
- `punctuation: chinese`: an ASCII comma, semicolon, colon, exclamation or question mark that follows a Han character
  becomes the Chinese one, and a full stop at the end of a line; `ascii`: the Chinese ones become ASCII everywhere.
- `nfkc: true`: normal form KC of everything; it also changes ， to , and ﬁ to fi, so it is off.

Everything else stays. Idempotent.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.cleaners.base import Cleaner
from pipeline.cleaners.section import Width as WidthSection

if TYPE_CHECKING:
    import polars as pl

CHINESE_MARKS = "，；：！？。、（）【】“”‘’《》"
ASCII_MARKS = ",;:!?.,()[]\"\"''<>"
FULL_WIDTH = "[Ａ-Ｚａ-ｚ０-９｡-ﾟ]"
AFTER_HAN = {",": "，", ";": "；", ":": "：", "!": "！", r"\?": "？"}


class Width(Cleaner):
    """Applies the replacements that its options name."""

    Options = WidthSection
    options: WidthSection

    def clean(self, text: pa.Array) -> pa.Array:
        import polars as pl

        column = pl.Series(text)
        if self.options.nfkc:
            column = column.str.normalize("NFKC")
        if self.options.letters == "half":
            column = _replace_where(column, FULL_WIDTH, _half_width())
        if self.options.punctuation == "ascii":
            column = _replace_where(column, f"[{CHINESE_MARKS}]", dict(zip(CHINESE_MARKS, ASCII_MARKS, strict=True)))
        if self.options.punctuation == "chinese":
            for mark, chinese in AFTER_HAN.items():
                column = column.str.replace_all(rf"(\p{{Han}}){mark}", f"${{1}}{chinese}")
            column = column.str.replace_all(r"(?m)(\p{Han})\.$", "${1}。")
        return column.to_arrow().cast(pa.large_string())


def _replace_where(series: pl.Series, pattern: str, replacements: dict[str, str]) -> pl.Series:
    """Replace characters, in the texts that match the pattern."""
    needed = series.str.contains(pattern)
    if not needed.any():
        return series
    replaced = series.filter(needed).str.replace_many(list(replacements), list(replacements.values()), leftmost=True)
    return series.scatter(needed.arg_true(), replaced)


@cache
def _half_width() -> dict[str, str]:
    """Full-width letters and digits, and half-width kana: the longest first, since a mark of voice joins its kana."""
    kana = [chr(point) for point in range(0xFF61, 0xFFA0)]
    voiced = [letter + mark for letter in kana for mark in "ﾞﾟ" if len(unicodedata.normalize("NFKC", letter + mark)) == 1]
    wide = [
        chr(point)
        for start, end in (("０", "９"), ("Ａ", "Ｚ"), ("ａ", "ｚ"))
        for point in range(ord(start), ord(end) + 1)
    ]
    return {form: unicodedata.normalize("NFKC", form) for form in (*voiced, *kana, *wide)}
