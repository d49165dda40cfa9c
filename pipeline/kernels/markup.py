"""How deep and how large the markup of a page is, before a parser sees it: parsers take quadratic time over both.

One pass over the bytes as an HTML tokenizer goes: tags, quoted values, comments, the raw text of scripts and styles.
Cost: 400 MB per CPU-second.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.kernels.compiler import inlined, kernel
from pipeline.text.unicode import Bytes

TAG_BYTES, ATTRIBUTES, DEPTH, ELEMENTS = 0, 1, 2, 3
"""Indices into the result: the longest tag in bytes, the most attributes of a tag, the depth, the elements."""
FNV_OFFSET, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def name_hash(name: bytes) -> int:
    """The hash by which the kernel knows the name of an element."""
    value = int(FNV_OFFSET)
    for byte in name:
        value = (value ^ byte) * int(FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return value


# elements that have no end tag, or whose end tag is often left out; they are not counted as open
_SINGLE = (
    b"area base br col embed hr img input link meta param source track wbr p li dt dd tr td th tbody thead tfoot"
    b" option optgroup colgroup rt rp html body head"
).split()
SINGLE = np.array(sorted(name_hash(name) for name in _SINGLE), np.uint64)
# what is within them is text up to their own end tag
_RAW = b"script style textarea title xmp iframe noembed noframes".split()
RAW = np.array(sorted(name_hash(name) for name in _RAW), np.uint64)
BLOCK = np.uint64(name_hash(b"div"))


@inlined
def _is_letter(byte: int) -> bool:
    return 97 <= byte | 32 <= 122


@inlined
def _is_space(byte: int) -> bool:
    return byte == 32 or 9 <= byte <= 13


@inlined
def _is_in(names: npt.NDArray[np.uint64], name: np.uint64) -> bool:
    return bool(names[min(int(np.searchsorted(names, name)), len(names) - 1)] == name)


@kernel
def measure_markup(
    data: Bytes, single: npt.NDArray[np.uint64], raw: npt.NDArray[np.uint64], out: npt.NDArray[np.int64]
) -> None:
    """Set out to the measures of the page `data`, in the order of the indices above.

    `at`: the current byte; `name`: hash of the element's name in lower case; `raw_name`: that of the script or style
    that is open, else 0; `depth`: elements that are open.
    """
    size, at, depth, raw_name = len(data), 0, 0, np.uint64(0)
    while at < size:
        if data[at] != 60:  # <
            at += 1
            continue
        start = at
        if raw_name == 0 and at + 3 < size and data[at + 1] == 33 and data[at + 2] == 45 and data[at + 3] == 45:
            at = _end_of_comment(data, at + 2)
            continue
        closing = at + 1 < size and data[at + 1] == 47
        at += 2 if closing else 1
        if at >= size or not _is_letter(data[at]):
            continue
        name = FNV_OFFSET
        while at < size and not _is_space(data[at]) and data[at] != 62 and data[at] != 47:
            byte = data[at]
            if raw_name != 0 and byte == 60:  # or a script full of "<" would be read again from each of them
                break
            name = (name ^ np.uint64(byte | 32 if 65 <= byte <= 90 else byte)) * FNV_PRIME
            at += 1
        if raw_name != 0:
            if not closing or name != raw_name:
                at = start + 1
                continue
            raw_name = np.uint64(0)
        at, attributes, empty = _end_of_tag(data, at)
        out[TAG_BYTES] = max(out[TAG_BYTES], at - start)
        out[ATTRIBUTES] = max(out[ATTRIBUTES], attributes)
        if closing:
            if depth and not _is_in(single, name):
                depth -= 1
            continue
        out[ELEMENTS] += 1
        if not empty and _is_in(raw, name):
            raw_name = name
        if _is_in(single, name) or (empty and name != BLOCK):
            continue
        depth += 1
        out[DEPTH] = max(out[DEPTH], depth)


@inlined
def _end_of_comment(data: Bytes, at: int) -> int:
    """The byte after `-->` or `--!>`, or the end of the page."""
    while at + 2 < len(data):
        if data[at] == 45 and data[at + 1] == 45:
            if data[at + 2] == 62:
                return at + 3
            if data[at + 2] == 33 and at + 3 < len(data) and data[at + 3] == 62:
                return at + 4
        at += 1
    return len(data)


@inlined
def _end_of_tag(data: Bytes, at: int) -> tuple[int, int, bool]:
    """The byte after the tag, its number of attributes, and whether it ends with `/>`.

    `value`: an equals sign was read, so a quote begins a value; elsewhere a quote is part of a name.
    """
    attributes, value, name = 0, False, False
    while at < len(data):
        byte = data[at]
        if byte == 62:
            return at + 1, attributes, data[at - 1] == 47
        if value and (byte == 34 or byte == 39):
            at += 1
            while at < len(data) and data[at] != byte:
                at += 1
            value = name = False
        elif byte == 61 and name:
            value = True
        elif _is_space(byte) or byte == 47:
            name = value and name
        else:
            if not name:
                attributes += 1
                name = True
            elif value:
                while at + 1 < len(data) and not _is_space(data[at + 1]) and data[at + 1] != 62:
                    at += 1
                value = name = False
        at += 1
    return len(data), attributes, False
