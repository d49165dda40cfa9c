"""BERT's WordPiece with a memory: the library sees each piece of text once. Use it through `verified_encoder`.

A text is cut where BERT's split must cut too (`kernels.memo`), so what becomes of a piece does not depend on what
stands beside it. Texts that spell an added token which is not special go to the library whole. The memory is emptied
when it is full: it takes 60 MB at most.
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
AT_ONCE = 500
MOST_PIECES, MOST_BYTES = 1 << 19, 1 << 24


class CachedWordPiece(Encoder):
    """A tokenizer.json of the kind that `verified_encoder` lets through, one a thread."""

    def __init__(self, json_text: str) -> None:
        self._reference = ReferenceEncoder(json_text)
        tree = escaped_specials.escape_specials(json.loads(json_text))
        self._library = tokenizers.Tokenizer.from_str(escaped_specials.to_json_text(tree))
        # a piece of fewer bytes than a word may have characters is not cut again: half the time without that split
        self._limit = long_runs.limit_of(BERT_SPLIT, tree["pre_tokenizer"]) or 0
        self._short = tokenizers.Tokenizer.from_str(
            escaped_specials.to_json_text({**tree, "pre_tokenizer": {"type": BERT_SPLIT}})
        )
        self._ordinary = "|".join(re.escape(token["content"]) for token in tree["added_tokens"] if not token["special"])
        # no text spells it, so it can stand between pieces that are encoded together: twice as fast as one by one
        separators = {token["id"]: token["content"] for token in tree["added_tokens"] if token["special"]}
        self._separator = next(token for token in separators if token != self._reference.unknown)
        self._between = separators[self._separator]
        self._forget()

    def _forget(self) -> None:
        self._memo = memo.empty_memo(MOST_PIECES, MOST_BYTES)
        self._ids, self._ends = np.empty(0, np.uint32), np.zeros(1, np.int64)

    def encode(self, column: pa.LargeStringArray) -> Encoded:
        if not self._ordinary:
            return self._encode(column)
        whole = pc.match_substring_regex(column, self._ordinary).to_numpy(zero_copy_only=False)
        if not whole.any():
            return self._encode(column)
        parts = [self._encode(column.filter(pa.array(~whole))), self._reference.encode(column.filter(pa.array(whole)))]
        return _merged(parts, np.argsort(np.argsort(whole, kind="stable"), kind="stable"))

    def _encode(self, column: pa.LargeStringArray) -> Encoded:
        """As much as the memory holds, then the rest with an empty one; a text too large for that by the library."""
        parts, done = [], 0
        while done < len(column):
            rest, fresh = column.slice(done), not self._memo.state[memo.PIECES]
            found = self._encode_known(rest)
            if not len(found) and fresh:
                found = self._reference.encode(rest.slice(0, 1))
            parts.append(found)
            done += len(found)
            if done < len(column):
                self._forget()
        return _joined(parts)

    def _encode_known(self, column: pa.LargeStringArray) -> Encoded:
        """The first documents of a column, as many as the memory has room for."""
        data, offsets = columns.buffers(column)
        numbers, number_ends = np.empty(int(offsets[-1] - offsets[0]) + 1, np.int32), np.zeros(len(offsets), np.int64)
        done = memo.number_pieces(data, offsets, self._memo, numbers, number_ends)
        self._learn()
        sizes = np.diff(self._ends)
        ids = np.empty(int(sizes[numbers[: number_ends[done]]].sum()), np.uint32)
        ends = np.zeros(done + 1, np.int64)
        memo.join_ids(numbers, number_ends[: done + 1], self._ids, self._ends, ids, ends)
        return Encoded(ids, ends)

    def _learn(self) -> None:
        """Ask the library for the pieces that are new."""
        _, borders, text, state = self._memo
        known, number = len(self._ends) - 1, int(state[memo.PIECES])
        if number == known:
            return
        pieces = [text[borders[at] : borders[at + 1]].tobytes() for at in range(known, number)]
        groups = [pieces[at : at + AT_ONCE] for at in range(0, len(pieces), AT_ONCE)]
        ids = np.concatenate([self._encode_pieces(group) for group in groups])
        separates = ids == self._separator
        self._ids = np.concatenate([self._ids, ids[~separates]])
        # how many ids of pieces stand before each separator
        self._ends = np.concatenate([self._ends, self._ends[-1] + np.cumsum(~separates)[separates]])

    def _encode_pieces(self, pieces: list[bytes]) -> NDArray[np.uint32]:
        """Their ids, with a separator after each piece."""
        library = self._short if max(map(len, pieces)) < self._limit else self._library
        text = self._between.join(piece.decode() for piece in pieces) + self._between
        return encode_by(library, pa.array([text], pa.large_string())).ids


def _joined(parts: list[Encoded]) -> Encoded:
    if len(parts) == 1:
        return parts[0]
    sizes = np.concatenate([np.diff(part.offsets) for part in parts]) if parts else np.empty(0, np.int64)
    ids = np.concatenate([part.ids for part in parts]) if parts else np.empty(0, np.uint32)
    return Encoded(ids, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


def _merged(parts: list[Encoded], order: NDArray[np.int64]) -> Encoded:
    """The documents of several parts, laid end to end and then taken in an order."""
    whole = _joined(parts)
    chosen = [whole.document(int(at)) for at in order]
    ends = np.concatenate([[0], np.cumsum([len(one) for one in chosen])]).astype(np.int64)
    return Encoded(np.concatenate(chosen), ends)
