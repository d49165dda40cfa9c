"""The filter `blocked_words`: drops documents with words or phrases of a list for their language.

A word is compared as units (`pipeline.text.words`), so case and full-width forms do not count, and words have borders
where the script has them; in Chinese any place in the text counts, but for the exceptions: longer phrases that hold a
listed word (性 is listed, 性别 is an exception). Signals: the number of matches, and the share of units in them; not
measured where the language has no list. An entry without a letter or with a sign at an end is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.arrays import Array, load_array, save_arrays
from pipeline.core.config import Section
from pipeline.core.draft import Draft
from pipeline.core.files import read_json, write_json
from pipeline.core.job import SourceFiles
from pipeline.filters.base import Filter, Floats, Rule
from pipeline.filters.blocked_urls import FOLDER, lines_of
from pipeline.filters.blocklist_section import BLOCKED_WORDS
from pipeline.filters.blocklist_section import BlockedWords as Options
from pipeline.kernels import units
from pipeline.kernels.column import buffers, measure
from pipeline.kernels.contamination import GramIndex, Hits, Sizes, gram_keys, scan, set_bits
from pipeline.text.language import fallbacks
from pipeline.text.unicode import tables

SHARE = f"{BLOCKED_WORDS}_share"
MOST_UNITS = 64  # of an entry; a longer one is no phrase and is left out
WHOLE = Sizes(words=MOST_UNITS, characters=MOST_UNITS, min_words=1, min_characters=1)  # an entry is one n-gram
BITS_PER_ENTRY = 32
LANGUAGES = f"{BLOCKED_WORDS}.json"
ARRAYS = ("keys", "prefixes", "key_bits", "present")
ENDS = r"^[\p{L}\p{N}\p{M}](?:.*[\p{L}\p{N}\p{M}])?$"


class WordBlocklist(Filter):
    """Two rules: the number of matches, and the share of units in them."""

    Options = Options

    def __init__(self, name: str, options: Section) -> None:
        super().__init__(name, options)
        self.exceptions = cast(Options, options).exceptions
        self.lists: dict[str, tuple[GramIndex, NDArray[np.bool_]]] = {}

    def build(self, sources: Sequence[SourceFiles], folder: Path) -> None:
        languages = _languages(sources)
        for language in languages:
            label = f"{BLOCKED_WORDS}:{language}"
            paths = [file["path"] for source in sources if source["source"] == label for file in source["files"]]
            entries = pl.concat([lines.str.strip_chars() for path in paths for lines in lines_of(path)])
            words = entries.filter(entries.str.contains(ENDS)).unique()
            save_arrays(folder / FOLDER, _name(language), **_index(words, self.exceptions.get(language, [])))
        write_json(folder / FOLDER / LANGUAGES, languages)

    def load(self, draft: Draft) -> None:
        for language in read_json(draft.file(f"{FOLDER}/{LANGUAGES}")):
            arrays = [load_array(draft, f"{FOLDER}/{_name(language)}", part) for part in ARRAYS]
            is_listed = load_array(draft, f"{FOLDER}/{_name(language)}", "is_listed")
            self.lists[language] = (GramIndex(arrays[0], arrays[1], arrays[2], arrays[3], 1), is_listed)

    def signal_names(self) -> Sequence[str]:
        return [BLOCKED_WORDS, SHARE]

    def signals(self, documents: pa.Table) -> dict[str, Floats]:
        matches, share = (np.full(documents.num_rows, np.nan) for _ in range(2))
        tags = documents["language"].to_pylist()
        listed = [next((key for key in fallbacks(tag) if key in self.lists), None) for tag in tags]
        for language in sorted({key for key in listed if key is not None}):
            rows = np.flatnonzero([key == language for key in listed])
            text = documents["text"].take(pa.array(rows)).combine_chunks()
            matches[rows], share[rows] = count_matches(text, *self.lists[language])
        return {BLOCKED_WORDS: matches, SHARE: share}

    def rules(self) -> Sequence[Rule]:
        return [self.rule("max_matches", BLOCKED_WORDS), self.rule("max_share", SHARE)]


def count_matches(text: pa.LargeStringArray, index: GramIndex, is_listed: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """For each document: the number of listed words outside exceptions, and the share of its units in them."""
    data, offsets = buffers(text)
    most = units.max_units(int(offsets[-1] - offsets[0])) + len(offsets)
    hits = Hits(*(np.empty(most, np.int64) for _ in range(4)))
    scratch = units.scratch(int(np.diff(offsets).max(initial=0)))
    number = scan(data, offsets, tables(), scratch, index, hits)
    document, unit, size, key = (array[:number] for array in hits)
    listed = is_listed[key]
    counts = listed & ~_within_exceptions(document, unit, size, listed)
    matches = np.bincount(document[counts], minlength=len(text)).astype(np.float64)
    covered = np.bincount(document[counts], weights=size[counts], minlength=len(text))
    return matches, covered / np.maximum(measure(text)["units"], 1)


def _within_exceptions(
    document: NDArray[np.int64], unit: NDArray[np.int64], size: NDArray[np.int64], listed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether each hit lies within an exception that begins at or before it; hits are in the order of the text."""
    ends = np.where(listed, 0, unit + size)
    # documents one behind the other, so that the running maximum of one never reaches into the next
    step = int((unit + size).max(initial=0)) + 1
    reached = np.maximum.accumulate(np.where(listed, 0, document * step + ends)) if len(ends) else ends
    return np.asarray(document * step + unit + size <= reached)


def _index(words: pl.Series, exceptions: Sequence[str]) -> dict[str, Array]:
    """The arrays of an index of entries; an exception that is also listed is an exception."""
    keys, prefixes, sizes = _keys(words.to_list())
    exception_keys, exception_prefixes, exception_sizes = _keys(exceptions)
    unique = np.unique(np.concatenate([keys, exception_keys]))
    bits = 1 << max(10, int(len(unique) * BITS_PER_ENTRY).bit_length())
    first_bits, key_bits = np.zeros(bits // 8, np.uint8), np.zeros(bits // 8, np.uint8)
    set_bits(np.concatenate([prefixes, exception_prefixes]), first_bits)
    set_bits(unique, key_bits)
    present = np.zeros(MOST_UNITS + 1, np.uint8)
    present[np.concatenate([sizes, exception_sizes])] = 1
    is_listed = ~np.isin(unique, exception_keys)
    return {
        "keys": unique, "prefixes": first_bits, "key_bits": key_bits, "is_listed": is_listed,
        "present": present[: int(np.flatnonzero(present).max(initial=1)) + 1],
    }  # fmt: skip


def _keys(entries: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    """The key, first unit and number of units of each entry; entries without a unit and too long ones are left out."""
    data, offsets = buffers(pa.array(entries, pa.large_string()))
    most = units.max_units(int(offsets[-1] - offsets[0])) + len(entries)
    out = (np.empty(most, np.uint64), np.empty(most, np.uint64), np.empty((most, 2), np.int64))
    scratch = units.scratch(int(np.diff(offsets).max(initial=0)))
    number = gram_keys(data, offsets, tables(), scratch, WHOLE, 1, out)
    sizes = out[2][:number, 1]
    short = sizes < MOST_UNITS
    return out[0][:number][short], out[1][:number][short], sizes[short]


def _languages(sources: Sequence[SourceFiles]) -> list[str]:
    labels = {source["source"] for source in sources if source["source"].startswith(f"{BLOCKED_WORDS}:")}
    return sorted(label.partition(":")[2] for label in labels)


def _name(language: str) -> str:
    return f"{BLOCKED_WORDS}-{language}"
