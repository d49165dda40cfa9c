"""RefinedWeb's rules for one line (Penedo et al. 2023, G.2): menus, counters, numbers, capitals, single words.

A line is flagged if most of its letters are capitals, if it has no letter, if it is a counter ("3 likes"), if it is a
single word (or at most two characters of a script without spaces), or if it has at most ten words and begins, ends, or
contains what menus do; Chinese has phrases of its own. The phrases are ours, since the paper gives examples alone.
"""

from __future__ import annotations

import numpy as np

from pipeline.kernels.byte_masks import BLOCK, count_bits, first_bits, range_mask
from pipeline.kernels.c4_lines import count_words, lower_case, scan_line, strip
from pipeline.kernels.code_points import Integer, decode
from pipeline.kernels.compiler import bare_inlined, bare_inner
from pipeline.text.unicode import KIND, LETTER, MARK, UNIT, UPPER, Bytes

SHORT_WORDS, SHORT_UNITS, SINGLE_UNITS = 10, 20, 2


def _pack(phrases: str) -> tuple[Bytes, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    encoded = [phrase.encode() for phrase in phrases.split(" | ")]
    return np.frombuffer(b"".join(encoded), np.uint8), np.cumsum([0, *map(len, encoded)])


COUNTERS, COUNTER_ENDS = _pack(
    "like | likes | share | shares | comment | comments | retweets | reposts | quotes | bookmarks | upvotes | downvotes"
    " | downloads | views | followers | replies | votes | 赞 | 人点赞 | 次阅读 | 条评论 | 阅读 | 评论 | 次浏览 | 次播放"
)
STARTS, START_ENDS = _pack(
    "sign in | sign-in | log in | login | 登录 | 登入 | 登錄 | 註冊 | 注册 | 返回顶部 | 上一篇 | 下一篇"
)
STOPS, STOP_ENDS = _pack("read more | read more... | read more… | 阅读更多 | 阅读全文 | 查看更多 | 閱讀更多 | 查看全文")
WITHIN, WITHIN_ENDS = _pack("items in cart | add to cart | 加入购物车 | 加入購物車")


@bare_inlined
def matches(data: Bytes, at: Integer, end: Integer, phrases: Bytes, begin: Integer, size: Integer) -> Integer:
    """Whether the phrase, in any case, stands at `at`."""
    if at + size > end:
        return False
    for k in range(size):  # noqa: SIM110 - numba
        if lower_case(data[at + k]) != phrases[begin + k]:
            return False
    return True


@bare_inner
def has_phrase(data: Bytes, start: Integer, end: Integer) -> Integer:
    """Whether the line begins, ends, or contains what menus do."""
    for k in range(len(START_ENDS) - 1):
        if matches(data, start, end, STARTS, START_ENDS[k], START_ENDS[k + 1] - START_ENDS[k]):
            return True
    for k in range(len(STOP_ENDS) - 1):
        size = STOP_ENDS[k + 1] - STOP_ENDS[k]
        if end - start >= size and matches(data, end - size, end, STOPS, STOP_ENDS[k], size):
            return True
    for k in range(len(WITHIN_ENDS) - 1):
        size = WITHIN_ENDS[k + 1] - WITHIN_ENDS[k]
        for at in range(start, end - size + 1):
            if matches(data, at, end, WITHIN, WITHIN_ENDS[k], size):
                return True
    return False


@bare_inner
def is_counter(data: Bytes, start: Integer, end: Integer) -> Integer:
    """Whether the line is a number and a word that is counted."""
    at = start
    while at < end and (48 <= data[at] <= 57 or data[at] == 44 or data[at] == 46):
        at += 1
    if at == start:
        return False
    while at < end and data[at] == 32:
        at += 1
    for k in range(len(COUNTER_ENDS) - 1):
        size = COUNTER_ENDS[k + 1] - COUNTER_ENDS[k]
        if at + size == end and matches(data, at, end, COUNTERS, COUNTER_ENDS[k], size):
            return True
    return False


@bare_inner
def count_letters(data: Bytes, start: Integer, end: Integer, classes: Bytes) -> tuple[Integer, Integer]:
    """The number of letters in data[start:end], and of capitals among them."""
    letters: Integer = 0
    upper: Integer = 0
    at = start
    while at < end:
        point, size = decode(data, at)
        flags = classes[point]
        if flags & MARK == 0 and (flags & KIND == LETTER or flags & KIND == UNIT):
            letters, upper = letters + 1, upper + (flags & UPPER > 0)
        at += size
    return letters, upper


@bare_inner
def count_ascii_letters(data: Bytes, start: Integer, end: Integer) -> tuple[Integer, Integer]:
    """As `count_letters`, for text of ASCII alone."""
    letters: Integer = 0
    upper: Integer = 0
    for at in range(start, end, BLOCK):
        inside = first_bits(end - at)
        capitals = range_mask(data, at, 65, 26) & inside
        letters += count_bits(capitals | range_mask(data, at, 97, 26) & inside)
        upper += count_bits(capitals)
    return letters, upper


@bare_inner
def judge_menu_line(data: Bytes, start: Integer, end: Integer, classes: Bytes) -> tuple[Integer, Integer]:
    """Whether the line in data[start:end] is flagged, and its words; 0 words for a blank line."""
    start, end = strip(data, start, end)
    if start >= end:
        return 0, 0
    pieces, beyond_ascii, _ = scan_line(data, start, end)
    units: Integer = 0
    if beyond_ascii:
        pieces, _, units = count_words(data, start, end, classes, True)
        letters, upper = count_letters(data, start, end, classes)
    else:
        letters, upper = count_ascii_letters(data, start, end)
    words = units if units > pieces else pieces
    flagged = letters == 0 or 2 * upper > letters or (pieces == 1 and units <= SINGLE_UNITS)
    if not flagged and words <= (SHORT_UNITS if units else SHORT_WORDS):
        flagged = is_counter(data, start, end) or has_phrase(data, start, end)
    return np.int64(flagged), words
