"""The filter `encoding`: runs of invisible characters, private-use and unassigned ones, and UTF-8 that was read as GBK.

`invisible_characters` is the share of code points in runs of two or more zero-width, directional or tag characters, and
of all private-use, unassigned and control characters. Single joiners and marks of direction are not counted: Persian,
the scripts of India, Arabic and emoji need them; so do short runs in long texts, since it is a share.
`misread_characters` is the share of code points that UTF-8 becomes when it is read as GBK (锟斤拷, 鐨, 锛). Two regular
expressions of Polars for each text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filters.base import Filter, Floats, Rule
from pipeline.filters.limits import Limits, Thresholds

if TYPE_CHECKING:
    import polars as pl

INVISIBLE = (
    r"[\u{200B}-\u{200F}\u{202A}-\u{202E}\u{2060}-\u{206F}\u{FEFF}\u{00AD}\u{034F}\u{115F}\u{1160}\u{17B4}\u{17B5}"
    r"\u{3164}\u{FFA0}\u{180B}-\u{180E}\u{FE00}-\u{FE0F}\u{E0000}-\u{E0FFF}]{2,}"
)
NO_CHARACTER = r"[\u{E000}-\u{F8FF}\u{F0000}-\u{10FFFF}\p{Cn}\x00-\x08\x0B\x0E-\x1F\x7F-\u{9F}]"
MISREAD = r"锟斤拷|[鐨銆锛涓鏄鍦鎴杩鍜涔鍙浠鐢鏈璇閫鎵绗鍥鈥]"


class WrongCharacterLimits(Thresholds):
    """Limits of shares of code points, in every language."""

    MEASURES: ClassVar[bool] = True
    max_invisible_characters: Limits = {"words": 0.02, "characters": 0.02}
    max_misread_characters: Limits = {"words": 0.05, "characters": 0.05}


class WrongCharacters(Filter):
    """See the docstring of this file."""

    Options = WrongCharacterLimits

    def signal_names(self) -> Sequence[str]:
        return ["invisible_characters", "misread_characters"]

    def signals(self, documents: pa.Table) -> dict[str, Floats]:
        import polars as pl

        text = pl.Series(documents["text"].combine_chunks())
        characters = text.str.len_chars().to_numpy()
        counts = {
            "invisible_characters": _count(text, f"{INVISIBLE}|{NO_CHARACTER}"),
            "misread_characters": _count(text, MISREAD),
        }
        return {
            name: np.divide(part, characters, out=np.zeros(len(characters)), where=characters > 0)
            for name, part in counts.items()
        }

    def rules(self) -> Sequence[Rule]:
        return [self.rule(f"max_{name}", name) for name in self.signal_names()]


def _count(series: pl.Series, pattern: str) -> npt.NDArray[np.int64]:
    """Code points in matches of the pattern, which are looked for in texts that have one."""
    counts = np.zeros(len(series), np.int64)
    matching = series.str.contains(pattern).fill_null(False)
    rows = matching.arg_true().to_numpy()
    if len(rows):
        selected = series.gather(rows)
        left = selected.str.replace_all(pattern, "").str.len_chars().to_numpy()
        counts[rows] = selected.str.len_chars().to_numpy().astype(np.int64) - left
    return counts
