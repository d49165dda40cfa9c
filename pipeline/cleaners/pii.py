"""Replaces or counts the personal data of a text, by the rules of `pipeline.pii`: e-mail, telephones, cards …

A match becomes the placeholder of its kind (`<EMAIL>`), the same for every match, so nothing depends on the order of
documents. How often each kind was found is a signal of the document; the rules of the filter `pii` read these, and the
action `drop` is such a rule. 37 to 68 MB of text a CPU-second (tests/benchmarks/bench_pii.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cleaners.base import Cleaned, Cleaner
from pipeline.core.config import Section
from pipeline.kernels.column import buffers
from pipeline.pii.finder import Finder, Match
from pipeline.pii.section import Pii as Options
from pipeline.pii.section import signal_of

MOST_PASSES = 8
TOTAL = "pii"  # the signal of all kinds together


class PersonalData(Cleaner):
    """Finds the kinds of its section, and replaces those whose action is not `count`."""

    Options = Options

    def __init__(self, options: Section) -> None:
        super().__init__(options)
        section = cast(Options, options)
        self.kinds = section.kinds
        self.finder = Finder(section.kinds)
        self.allowed = {value.lower().encode() for value in section.allow}
        self.placeholders = {
            kind: section.placeholder_of(kind).encode() for kind in section.kinds if section.action_of(kind) != "count"
        }

    def signal_names(self) -> Sequence[str]:
        return [TOTAL, *(signal_of(kind) for kind in self.kinds)]

    def clean(self, text: pa.Array) -> pa.Array:
        return self.clean_and_measure(text).text

    def clean_and_measure(self, text: pa.Array) -> Cleaned:
        """The text with placeholders, and the number of matches of each kind in each document."""
        signals = {signal_of(kind): np.zeros(len(text)) for kind in self.kinds}
        rows = np.arange(len(text))
        current = text
        # a placeholder may free its neighbour, a number that was part of a longer one: until nothing changes
        for number in range(MOST_PASSES):
            part = current if len(rows) == len(text) else current.take(pa.array(rows))
            matches = self._find(part)
            replaced = [match for match in matches if match.kind in self.placeholders]
            for match in replaced if number else matches:
                signals[signal_of(match.kind)][rows[match.document]] += 1
            if not replaced:
                break
            part = self._replace(part, replaced)
            if len(rows) == len(text):
                current = part
            else:
                mask = np.zeros(len(text), np.bool_)
                mask[rows] = True
                current = pc.replace_with_mask(current, pa.array(mask), part)
            rows = rows[np.unique([match.document for match in replaced])]
        return Cleaned(current, {TOTAL: np.sum(list(signals.values()), axis=0), **signals})

    def _find(self, text: pa.Array) -> list[Match]:
        matches = self.finder.find(text)
        if not self.allowed:
            return matches
        data, _ = buffers(text)
        return [match for match in matches if not self._is_allowed(data[match.begin : match.end].tobytes())]

    def _is_allowed(self, value: bytes) -> bool:
        value = value.lower()
        return value in self.allowed or value[value.rfind(b"@") :] in self.allowed

    def _replace(self, text: pa.Array, matches: Sequence[Match]) -> pa.Array:
        data, offsets = buffers(text)
        view = memoryview(data.data)
        pieces: list[memoryview | bytes] = []
        growth = np.zeros(len(offsets), np.int64)  # growth[d + 1]: by how many bytes document d grows
        at = int(offsets[0])
        for match in matches:
            placeholder = self.placeholders[match.kind]
            pieces += (view[at : match.begin], placeholder)
            growth[match.document + 1] += len(placeholder) - (match.end - match.begin)
            at = match.end
        pieces.append(view[at : int(offsets[-1])])
        ends = offsets - offsets[0] + np.cumsum(growth)
        return pa.LargeStringArray.from_buffers(len(text), pa.py_buffer(ends), pa.py_buffer(b"".join(pieces)))
