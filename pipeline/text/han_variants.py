"""Which Han characters are written only in simplified, only in traditional, and only in Cantonese text.

Simplified: in the character set of the mainland (GB 2312) and not in that of Taiwan (Big5). Traditional: among the
5,401 frequent characters of Big5 and not in GB 2312. The codecs of Python hold both sets, and they never change.
Measured on raw-mixed: all 3,962 simplified documents, the classics and 2,424 old poems among them, and every
traditional one are told apart (`tests/benchmarks/bench_language.py`).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from pipeline.text import unicode
from pipeline.text.scripts import NUMBER, SCRIPTS

# numbers of the classes of Han characters beside those of the scripts; neutral ones stay Hani
SIMPLIFIED = len(SCRIPTS)
TRADITIONAL = SIMPLIFIED + 1
CANTONESE = SIMPLIFIED + 2
CLASSES = SIMPLIFIED + 3

# written for Cantonese words; other Chinese text hardly has them
_CANTONESE = "嘅咗喺嚟佢哋唔冇啲咁嗰嘢冚瞓攞揾嘥噉啱喎㗎諗"
_FREQUENT_BIG5 = range(0xA4, 0xC7)  # lead bytes


@cache
def letter_classes() -> unicode.Bytes:
    """Code point → its script, or one of the classes above; for the kernel `count_scripts`. 1.1 MB, built in 20 ms."""
    classes = unicode.tables().scripts.copy()
    for point in range(0x4E00, 0xA000):
        simplified = _encoded(point, "gb2312")
        traditional = _encoded(point, "big5")
        if simplified and not traditional:
            classes[point] = SIMPLIFIED
        elif traditional and not simplified and traditional[0] in _FREQUENT_BIG5:
            classes[point] = TRADITIONAL
    classes[[ord(character) for character in _CANTONESE]] = CANTONESE
    classes.flags.writeable = False
    return classes


HAN = np.array([NUMBER["Hani"], SIMPLIFIED, TRADITIONAL, CANTONESE])


def _encoded(point: int, codec: str) -> bytes:
    return chr(point).encode(codec, "ignore")
