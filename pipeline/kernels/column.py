"""The interface of the kernels: takes an Arrow column of text, returns numpy arrays with a row for each document.

The kernels run over the column's own buffers and release the GIL, so threads scale. Scratch memory is at most 30 bytes
for each byte of the largest document; about 8 of them are used. A row depends on the text of its document alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.kernels import edit, minhash, passes, scripts, segment, signals, units
from pipeline.kernels import words as word_kernels
from pipeline.kernels.byte_masks import padded
from pipeline.text import unicode
from pipeline.text.language import detect_by_script
from pipeline.text.scripts import SCRIPTS

Offsets = npt.NDArray[np.int64]


def buffers(text: pa.Array | pa.ChunkedArray) -> tuple[unicode.Bytes, Offsets]:
    """The bytes of a text column and the offsets of its documents. A null counts as an empty text."""
    if isinstance(text, pa.ChunkedArray):
        text = one_array(text)
    if not pa.types.is_large_string(text.type):
        text = text.cast(pa.large_string())
    if not len(text):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    _, starts, data = text.buffers()
    offsets = np.frombuffer(starts, np.int64)[text.offset : text.offset + len(text) + 1]
    return np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8), offsets


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array. Arrow's own `combine_chunks` copies a single chunk too; that chunk may be a slice."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def measure(text: pa.Array, languages: Sequence[str | None] | None = None) -> dict[str, npt.NDArray[np.float64]]:
    """Compute every signal of every document, in the order of `signals.NAMES`.

    `languages` selects the list of function words. About 120 MB of English text per CPU-second.
    """
    data, offsets = buffers(text)
    list_indices = signals.function_word_lists(languages, len(offsets) - 1)
    counts = passes.DocumentCounts.of(len(offsets) - 1)
    scratch = passes.DocumentScratch.of(_largest(offsets))
    passes.measure_all(
        padded(data, int(offsets[-1])), offsets, unicode.tables(), scratch, signals.word_lists(), list_indices, counts
    )
    return signals.compute_signals(counts, list_indices)


def signatures(
    text: pa.Array, permutations: int, shingle: int, table: unicode.Tables | None = None
) -> npt.NDArray[np.uint32]:
    """MinHash signatures, [documents, permutations].

    The share of equal columns of two rows estimates the Jaccard index of their sets of shingles of `shingle` units.
    `table` replaces the default classes of code points.
    """
    data, offsets = buffers(text)
    largest = _largest(offsets)
    out = np.empty((len(offsets) - 1, permutations), np.uint32)
    multipliers, masks = minhash.permutations(permutations)
    hashes = np.empty(units.max_units(largest), np.uint64)
    scratch = units.scratch(largest)
    passes.sign_all(data, offsets, table or unicode.tables(), scratch, hashes, shingle, multipliers, masks, out)
    return out


def shingle_hashes(
    text: pa.Array, shingle: int, table: unicode.Tables | None = None
) -> tuple[Offsets, npt.NDArray[np.uint64]]:
    """The sorted set of shingle hashes of each document: those of document d are hashes[ends[d]:ends[d + 1]]."""
    data, offsets = buffers(text)
    ends = np.zeros(len(offsets), np.int64)
    # sized for the worst case: pages that are never written take no memory
    hashes = np.empty(units.max_units(int(offsets[-1] - offsets[0])) + len(offsets), np.uint64)
    scratch = units.scratch(_largest(offsets))
    passes.shingle_all(data, offsets, table or unicode.tables(), scratch, shingle, hashes, ends)
    return ends, hashes[: ends[-1]].copy()


def languages(text: pa.Array) -> pa.Array:
    """The language that the script of each document suggests ("zh", "und-Latn" …); null if it has no letter."""
    data, offsets = buffers(text)
    counts = np.zeros((len(offsets) - 1, len(SCRIPTS)), np.int64)
    scripts.count_scripts(data, offsets, unicode.tables().scripts, counts)
    return pa.array(detect_by_script(counts), pa.string())


def words(text: pa.Array) -> tuple[Offsets, Offsets, Offsets]:
    """The positions of the words (`text.words.words`), as three arrays: ends, begin, stop.

    Word i of document d, for i in range(ends[d], ends[d + 1]), is the bytes [begin[i], stop[i]) of its text.
    117 MB of English and 22 MB of Chinese per CPU-second.
    Raises: UserError when jieba is not installed, even if the text has no Chinese.
    """
    data, offsets = buffers(text)
    largest = _largest(offsets)
    most = int(offsets[-1] - offsets[0]) + 1
    ends = np.zeros(len(offsets), np.int64)
    # sized for the worst case: pages that are never written take no memory
    begin = np.empty(most, np.int64)
    stop = np.empty(most, np.int64)
    run = segment.han_run(largest)
    scratch = word_kernels.scratch(largest)
    word_kernels.split_all(data, offsets, unicode.tables(), segment.dictionary(), run, scratch, begin, stop, ends)
    return ends, begin[: ends[-1]].copy(), stop[: ends[-1]].copy()


def clean_text(text: pa.Array) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Clean control characters, line endings and white space by the rules of `pipeline.cleaners.unicode`.

    Returns the cleaned column, or the column itself if nothing changes, and a mask of the documents that hold a code
    point which normal form C may change.
    """
    data, offsets = buffers(text)
    edit_table = edit.edit_tables()
    needs = np.empty(len(offsets) - 1, np.uint8)
    edit.scan(data, offsets, edit_table.actions, needs)
    composes = (needs & edit.COMPOSE) > 0
    if not (needs & edit.EDIT).any():
        return text, composes
    # the two bytes of a misread control character become at most three
    out = np.empty(3 * int(offsets[-1] - offsets[0]) // 2 + 1, np.uint8)
    ends = np.empty(len(offsets), np.int64)
    edit.edit(data, offsets, needs, unicode.tables().classes, edit_table, out, ends)
    cleaned = pa.py_buffer(out[: ends[-1]].copy())
    return pa.LargeStringArray.from_buffers(len(text), pa.py_buffer(ends), cleaned), composes


def _largest(offsets: Offsets) -> int:
    return int(np.diff(offsets).max(initial=0))
