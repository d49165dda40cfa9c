"""Finds personal data in a column of text: where each match is, and of which kind.

A kernel finds gates; regular expressions of google-re2 (linear time) read the text around them; checks in Python see
only what they matched. A match depends on its document alone. Positions are bytes of the column.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import NamedTuple

import pyarrow as pa
import re2

from pipeline.kernels.column import buffers
from pipeline.kernels.gates import Gates, find_gates
from pipeline.pii.base import Check
from pipeline.pii.rules import MARGINS, RULES, words
from pipeline.pii.section import KINDS, Kind

# full-width ASCII, dashes, and spaces of other widths: what `fold` replaces by one byte of ASCII
_WIDE = re.compile(
    rb"\xef\xbc[\x81-\xbf]|\xef\xbd[\x80-\x9e]|\xe2\x80[\x80-\x95\xaf]|\xe2\x88\x92|\xc2\xa0|\xe3\x80\x80"
)
_MAY_BE_WIDE = re.compile(rb"\xef[\xbc\xbd]|\xe2[\x80\x88]|\xc2\xa0|\xe3\x80\x80")


class Match(NamedTuple):
    """Personal data at bytes [begin, end) of the column, in one document."""

    document: int
    begin: int
    end: int
    kind: Kind


class _Compiled(NamedTuple):
    """The rules of one group: a set that says in one pass which of them match, and each with its kind and check."""

    rules: re2.Set
    patterns: list[tuple[Kind, re2._Regexp, Check]]


class Finder:
    """Finds the given kinds."""

    def __init__(self, kinds: Collection[Kind]) -> None:
        self.groups = {group: _compiled(group, frozenset(kinds)) for group in MARGINS}

    def find(self, text: pa.LargeStringArray) -> list[Match]:
        """All matches, in the order of the text; they do not overlap."""
        data, offsets = buffers(text)
        view = memoryview(data.data)
        gates = find_gates(data, offsets, words())
        matches: list[Match] = []
        waiting: list[Match] = []
        document = -1
        for number, group, begin, end in _windows(gates, offsets.tolist()):
            if number != document:
                matches += _without_overlaps(waiting)
                waiting, document = [], number
            compiled = self.groups[group]
            if compiled is not None:
                waiting += _matches(bytes(view[begin:end]), compiled, number, begin)
        return matches + _without_overlaps(waiting)


@cache
def _compiled(group: int, kinds: frozenset[Kind]) -> _Compiled | None:
    rules = [rule for rule in RULES if group in rule.groups and rule.kind in kinds]
    if not rules:
        return None
    alternatives = re2.Set.SearchSet()
    for rule in rules:
        alternatives.Add(rule.pattern)
    alternatives.Compile()
    return _Compiled(alternatives, [(rule.kind, re2.compile(rule.pattern), rule.check) for rule in rules])


def _windows(gates: Gates, offsets: list[int]) -> Iterator[tuple[int, int, int, int]]:
    """(document, group, begin, end) of the text around gates; windows of one group that touch are one."""
    open_windows: dict[int, tuple[int, int]] = {}
    document = -1
    for number, begin, end, group in zip(*(array.tolist() for array in gates), strict=True):
        if number != document:
            yield from ((document, at, *window) for at, window in open_windows.items())
            open_windows, document = {}, number
        before, after = MARGINS[group]
        first, last = max(offsets[number], begin - before), min(offsets[number + 1], end + after)
        window = open_windows.get(group)
        if window is not None and first <= window[1]:
            open_windows[group] = (window[0], last)
            continue
        if window is not None:
            yield document, group, window[0], window[1]
        open_windows[group] = (first, last)
    yield from ((document, at, *window) for at, window in open_windows.items())


def _matches(window: bytes, compiled: _Compiled, document: int, begin: int) -> Iterator[Match]:
    positions = None
    if _MAY_BE_WIDE.search(window):
        window, positions = fold(window)
    for index in sorted(compiled.rules.Match(window) or ()):
        kind, pattern, check = compiled.patterns[index]
        for match in pattern.finditer(window):
            start, end = match.span(1) if pattern.groups else match.span()
            end = check(window, start, end)
            if end:
                first, last = (start, end) if positions is None else (positions[start], positions[end])
                yield Match(document, begin + first, begin + last, kind)


def fold(window: bytes) -> tuple[bytes, list[int]]:
    """The window with full-width forms, dashes and spaces as ASCII; the position that each byte had, and the end."""
    folded = bytearray()
    positions: list[int] = []
    at = 0
    for match in _WIDE.finditer(window):
        folded += window[at : match.start()]
        positions += range(at, match.start())
        folded.append(_ascii_of(match.group()))
        positions.append(match.start())
        at = match.end()
    folded += window[at:]
    positions += range(at, len(window) + 1)
    return bytes(folded), positions


def _ascii_of(sign: bytes) -> int:
    point = ord(sign.decode())
    if 0xFF01 <= point <= 0xFF5E:
        return point - 0xFEE0
    return ord("-") if 0x2010 <= point <= 0x2015 or point == 0x2212 else ord(" ")


def _without_overlaps(matches: list[Match]) -> list[Match]:
    """Of matches that overlap, the longest stays; of equally long ones the first kind in the order of KINDS."""
    kept: list[Match] = []
    for match in sorted(matches, key=lambda match: (match.begin, -match.end, KINDS.index(match.kind))):
        if not kept or match.begin >= kept[-1].end:
            kept.append(match)
        elif match.end - match.begin > kept[-1].end - kept[-1].begin:
            kept[-1] = match
    return kept
