"""BERT's WordPiece with a cache: the library encodes each piece of text once. Use it through `verified_encoder`.

A text is cut only where BERT's split must cut too (`kernels.memo`), so the ids of a piece do not depend on its
neighbours. Texts that contain an added token which is not special are encoded by the reference. A full cache is
emptied; it takes 60 MB at most.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tokenizers
from numpy.typing import NDArray

from pipeline.kernels import column as columns
from pipeline.kernels import memo
from pipeline.tokenizers import escaped_specials, long_runs
from pipeline.tokenizers.base import Encoded, Encoder
from pipeline.tokenizers.reference_encoder import ReferenceEncoder, encode_by

BERT_SPLIT = "BertPreTokenizer"
BATCH_PIECES = 500
CACHE_PIECES = 1 << 19
CACHE_BYTES = 1 << 24


class CachedWordPiece(Encoder):
    """For the tokenizer.json files that `verified_encoder` accepts; one instance per thread."""

    def __init__(self, json_text: str) -> None:
        self._reference = ReferenceEncoder(json_text)
        tree = escaped_specials.escape_specials(json.loads(json_text))
        self._library = tokenizers.Tokenizer.from_str(escaped_specials.to_json_text(tree))
        # the split of long words has nothing to do in pieces with fewer bytes than its limit: half the time without it
        self._limit = long_runs.limit_of(BERT_SPLIT, tree["pre_tokenizer"]) or 0
        self._short = tokenizers.Tokenizer.from_str(
            escaped_specials.to_json_text({**tree, "pre_tokenizer": {"type": BERT_SPLIT}})
        )
        self._ordinary = "|".join(re.escape(token["content"]) for token in tree["added_tokens"] if not token["special"])
        # no text contains it, so it can separate pieces that are encoded together: twice as fast as one by one
        separators = {token["id"]: token["content"] for token in tree["added_tokens"] if token["special"]}
        self._separator = next(token for token in separators if token != self._reference.unknown)
        self._separator_text = separators[self._separator]
        self._clear()

    def _clear(self) -> None:
        self._memo = memo.empty_memo(CACHE_PIECES, CACHE_BYTES)
        self._ids, self._ends = np.empty(0, np.uint32), np.zeros(1, np.int64)

    def encode(self, column: pa.LargeStringArray) -> Encoded:
        if not self._ordinary:
            return self._encode(column)
        has_ordinary = pc.match_substring_regex(column, self._ordinary).to_numpy(zero_copy_only=False)
        if not has_ordinary.any():
            return self._encode(column)
        cached = self._encode(column.filter(pa.array(~has_ordinary)))
        uncached = self._reference.encode(column.filter(pa.array(has_ordinary)))
        return _in_order([cached, uncached], np.argsort(np.argsort(has_ordinary, kind="stable"), kind="stable"))

    def _encode(self, column: pa.LargeStringArray) -> Encoded:
        """Encode until the cache is full, clear it, continue. A text larger than the cache goes to the reference."""
        parts: list[Encoded] = []
        done = 0
        while done < len(column):
            remaining = column.slice(done)
            was_empty = not self._memo.state[memo.PIECES]
            encoded = self._encode_cached(remaining)
            if not len(encoded) and was_empty:
                encoded = self._reference.encode(remaining.slice(0, 1))
            parts.append(encoded)
            done += len(encoded)
            if done < len(column):
                self._clear()
        return _concatenate(parts)

    def _encode_cached(self, column: pa.LargeStringArray) -> Encoded:
        """Encode the first documents of a column, as many as the cache has room for."""
        data, offsets = columns.buffers(column)
        numbers = np.empty(int(offsets[-1] - offsets[0]) + 1, np.int32)
        number_ends = np.zeros(len(offsets), np.int64)
        done = memo.number_pieces(data, offsets, self._memo, numbers, number_ends)
        self._encode_new_pieces()
        sizes = np.diff(self._ends)
        ids = np.empty(int(sizes[numbers[: number_ends[done]]].sum()), np.uint32)
        ends = np.zeros(done + 1, np.int64)
        memo.join_ids(numbers, number_ends[: done + 1], self._ids, self._ends, ids, ends)
        return Encoded(ids, ends)

    def _encode_new_pieces(self) -> None:
        """Encode the pieces that are new in the cache by the library."""
        _, borders, text, state = self._memo
        encoded = len(self._ends) - 1
        total = int(state[memo.PIECES])
        if total == encoded:
            return
        pieces = [text[borders[index] : borders[index + 1]].tobytes() for index in range(encoded, total)]
        groups = [pieces[first : first + BATCH_PIECES] for first in range(0, len(pieces), BATCH_PIECES)]
        ids = np.concatenate([self._encode_pieces(group) for group in groups])
        is_separator = ids == self._separator
        self._ids = np.concatenate([self._ids, ids[~is_separator]])
        # the number of ids of pieces before each separator
        self._ends = np.concatenate([self._ends, self._ends[-1] + np.cumsum(~is_separator)[is_separator]])

    def _encode_pieces(self, pieces: list[bytes]) -> NDArray[np.uint32]:
        """The ids of the pieces, with a separator after each."""
        library = self._short if max(map(len, pieces)) < self._limit else self._library
        text = self._separator_text.join(piece.decode() for piece in pieces) + self._separator_text
        return encode_by(library, pa.array([text], pa.large_string())).ids


def _concatenate(parts: list[Encoded]) -> Encoded:
    if len(parts) == 1:
        return parts[0]
    sizes = np.concatenate([np.diff(part.offsets) for part in parts]) if parts else np.empty(0, np.int64)
    ids = np.concatenate([part.ids for part in parts]) if parts else np.empty(0, np.uint32)
    return Encoded(ids, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


def _in_order(parts: list[Encoded], order: NDArray[np.int64]) -> Encoded:
    """The documents of several parts, concatenated and then put in an order."""
    concatenated = _concatenate(parts)
    documents = [concatenated.document(int(index)) for index in order]
    ends = np.concatenate([[0], np.cumsum([len(document) for document in documents])]).astype(np.int64)
    return Encoded(np.concatenate(documents), ends)
