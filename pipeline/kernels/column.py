"""The door to the kernels: an Arrow column of text in, numpy arrays with a row a document out.

Runs over the column's own buffers and releases the GIL, so threads scale. Scratch is at most 30 bytes a byte of the
largest document and touched only as far as it is used, about 8. A row depends on its own text alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.kernels import edit, minhash, passes, scripts, segment, signals, units
from pipeline.kernels import words as word_passes
from pipeline.text import unicode
from pipeline.text.language import by_script
from pipeline.text.scripts import SCRIPTS

Offsets = npt.NDArray[np.int64]


def buffers(text: pa.Array | pa.ChunkedArray) -> tuple[unicode.Bytes, Offsets]:
    """The bytes of a text column, and where its documents begin and end; a null is an empty text."""
    if isinstance(text, pa.ChunkedArray):
        text = text.combine_chunks()
    if not pa.types.is_large_string(text.type):
        text = text.cast(pa.large_string())
    if not len(text):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    _, starts, data = text.buffers()
    offsets = np.frombuffer(starts, np.int64)[text.offset : text.offset + len(text) + 1]
    return np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8), offsets


def measure(text: pa.Array, languages: Sequence[str | None] | None = None) -> dict[str, npt.NDArray[np.float64]]:
    """Every signal of every document, by the names and in the order of `signals.NAMES`.

    `languages` chooses the list of function words. About 120 MB of English text a CPU-second.
    """
    data, offsets = buffers(text)
    which = signals.list_of_each(languages, len(offsets) - 1)
    counted = passes.Counted.of(len(offsets) - 1)
    room = passes.Room.of(_largest(offsets))
    passes.measure_all(data, offsets, unicode.tables(), room, signals.word_lists(), which, counted)
    return signals.of(counted, which)


def signatures(
    text: pa.Array, permutations: int, shingle: int, table: unicode.Tables | None = None
) -> npt.NDArray[np.uint32]:
    """MinHash signatures, [documents, permutations]: the share of equal columns of two rows estimates the Jaccard index
    of their sets of shingles of `shingle` units. `table`: other classes of code points than the usual."""
    data, offsets = buffers(text)
    largest = _largest(offsets)
    out = np.empty((len(offsets) - 1, permutations), np.uint32)
    multipliers, masks = minhash.permutations(permutations)
    hashes = np.empty(units.most(largest), np.uint64)
    room = units.room(largest)
    passes.sign_all(data, offsets, table or unicode.tables(), room, hashes, shingle, multipliers, masks, out)
    return out


def shingle_hashes(
    text: pa.Array, shingle: int, table: unicode.Tables | None = None
) -> tuple[Offsets, npt.NDArray[np.uint64]]:
    """Each document's set of hashed shingles, sorted: document d has hashes[ends[d]:ends[d + 1]]."""
    data, offsets = buffers(text)
    ends = np.zeros(len(offsets), np.int64)
    # address space for the worst case, not memory: pages that are not written stay empty
    hashes = np.empty(units.most(int(offsets[-1] - offsets[0])) + len(offsets), np.uint64)
    room = units.room(_largest(offsets))
    passes.shingle_all(data, offsets, table or unicode.tables(), room, shingle, hashes, ends)
    return ends, hashes[: ends[-1]].copy()


def languages(text: pa.Array) -> pa.Array:
    """What language the script of each document points to ("zh", "und-Latn" …); null without a letter."""
    data, offsets = buffers(text)
    counts = np.zeros((len(offsets) - 1, len(SCRIPTS)), np.int64)
    scripts.count_scripts(data, offsets, unicode.tables().scripts, counts)
    return pa.array(by_script(counts), pa.string())


def words(text: pa.Array) -> tuple[Offsets, Offsets, Offsets]:
    """Where the words are (`text.words.words`); returns ends, begin, stop: word i of document d, for i in
    range(ends[d], ends[d + 1]), is the bytes [begin[i], stop[i]) of its text. 117 MB of English, 22 of Chinese a
    CPU-second.

    Raises: UserError when jieba is not installed, whether there is Chinese or not.
    """
    data, offsets = buffers(text)
    largest, most = _largest(offsets), int(offsets[-1] - offsets[0]) + 1
    ends = np.zeros(len(offsets), np.int64)
    # address space for the worst case, not memory: pages that are not written stay empty
    begin, stop = np.empty(most, np.int64), np.empty(most, np.int64)
    run, room = segment.run_of(largest), word_passes.room(largest)
    word_passes.split_all(data, offsets, unicode.tables(), segment.dictionary(), run, room, begin, stop, ends)
    return ends, begin[: ends[-1]].copy(), stop[: ends[-1]].copy()


def tidy(text: pa.Array) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """The column with control characters, line ends and white space in order, and which documents hold a code point
    that normal form C may change. The column itself where nothing is to do. The rules: `pipeline.cleaners.unicode`."""
    data, offsets = buffers(text)
    plan = edit.plans()
    needs = np.empty(len(offsets) - 1, np.uint8)
    edit.look(data, offsets, plan.of, needs)
    composes = (needs & edit.COMPOSE) > 0
    if not (needs & edit.EDIT).any():
        return text, composes
    # two bytes of a misread control character become three at most
    out = np.empty(3 * int(offsets[-1] - offsets[0]) // 2 + 1, np.uint8)
    ends = np.empty(len(offsets), np.int64)
    edit.edit(data, offsets, needs, unicode.tables().classes, plan, out, ends)
    kept = pa.py_buffer(out[: ends[-1]].copy())
    return pa.LargeStringArray.from_buffers(len(text), pa.py_buffer(ends), kept), composes


def _largest(offsets: Offsets) -> int:
    return int(np.diff(offsets).max(initial=0))
