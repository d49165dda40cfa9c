"""Converts between traditional and simplified Chinese with OpenCC, never Japanese text.

`to` names OpenCC's conversion: t2s (to simplified), s2t, and those for Taiwan and Hong Kong with or without their own
words (s2tw, s2twp, s2hk, tw2s, tw2sp, hk2s …). A document in which kana are at least 2 % of Han and kana is Japanese
and stays as it is (図書館 would become 图书馆). OpenCC's dictionaries decide content, so its version is pinned. t2s and
conversions to one place are idempotent. The library sets the pace, a document at a time.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cleaners.base import Cleaner
from pipeline.cleaners.section import Chinese as ChineseSection
from pipeline.text import unicode
from pipeline.text.language import count_scripts
from pipeline.text.scripts import NUMBER

JAPANESE_SHARE = 0.02


class Chinese(Cleaner):
    """Converts every document that holds Han characters and is not Japanese."""

    Options = ChineseSection
    options: ChineseSection

    def clean(self, text: pa.Array) -> pa.Array:
        texts = text.to_pylist()
        counts = np.asarray(count_scripts(texts, unicode.tables().scripts))
        han = counts[:, NUMBER["Hani"]]
        kana = counts[:, NUMBER["Kana"]]
        converted = (han > 0) & (kana < JAPANESE_SHARE * (han + kana))
        if not converted.any():
            return text
        convert = converter(self.options.to).convert
        mask = pa.array(converted)
        chinese = [convert(item) for item, is_chinese in zip(texts, converted.tolist(), strict=True) if is_chinese]
        return pc.replace_with_mask(text, mask, pa.array(chinese, pa.large_string()))


@cache
def converter(name: str) -> Any:
    """OpenCC's converter, loaded once in a process (50 to 100 ms)."""
    from opencc import OpenCC

    return OpenCC(name)
