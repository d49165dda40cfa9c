"""The validation split as packed rows (what is scored) and as documents (what the scores are about).

The rows are those of training: `length` tokens, cut from the stream wherever they end. Each row is scored once, from
its first token on; a document that crosses a border is scored in both rows, and the first token of a row is never
predicted. Memory: one row group of tokens, and the ids of the held-out documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.core.inputs import Inputs
from pipeline.core.shards import batches, rows
from pipeline.tokenizers.token_bytes import TokenBytes
from pipeline.tokenizers.token_bytes import load as load_token_bytes

# the language of a document that has none, as the pack stage counts it; in scores, null is all languages together
UNKNOWN = "unknown"
TokenIds = NDArray[np.int64]


class DocumentSpan(NamedTuple):
    """The tokens [start, end) of a row that belong to one document."""

    document_id: str
    start: int
    end: int


@dataclass(frozen=True)
class PackedRow:
    """A packed row: its tokens, and the spans of the documents in it."""

    tokens: TokenIds
    spans: tuple[DocumentSpan, ...]

    def document_starts(self, length: int) -> TokenIds:
        """Where the document of each token begins in the row, which is filled up to `length` tokens; as
        training/models/document_mask.py has it."""
        starts = np.full(length, len(self.tokens), np.int64)
        for _, start, end in self.spans:
            starts[start:end] = start
        return starts


@dataclass(frozen=True)
class HeldOutDocument:
    """A held-out document put together from its rows, as its tokens spell it.

    `spans`: the number of rows it lies in; `predicted_*`: the part that is scored; `visible_bytes`: spelled bytes that
    are not white space. The token for unknown text counts as no bytes.
    """

    id: str
    spans: int
    text: bytes
    predicted_tokens: int
    predicted_bytes: int
    spelled_bytes: int
    visible_bytes: int


@dataclass(frozen=True)
class HeldOut:
    """The validation split of a tokens artifact, and its documents' languages."""

    row_files: tuple[Path, ...]
    document_files: tuple[Path, ...]
    tokenizer: Path

    @classmethod
    def of(cls, inputs: Inputs) -> HeldOut:
        """From a job's inputs."""
        row_files = inputs.single("tokens").files("validation/")
        document_files = inputs.files("documents", "parts/")
        return cls(tuple(row_files), tuple(document_files), inputs.single("tokenizer").file("tokenizer.json"))

    @cached_property
    def token_bytes(self) -> TokenBytes:
        return load_token_bytes(self.tokenizer)

    @cached_property
    def file_rows(self) -> tuple[int, ...]:
        """The number of rows in each file, from the Parquet footers."""
        return tuple(rows(path) for path in self.row_files)

    @property
    def row_count(self) -> int:
        return sum(self.file_rows)

    @cached_property
    def length(self) -> int:
        """Tokens of the longest row; the last one of the split, or of each source, may be shorter."""
        tables = (table for path in self.row_files for table in batches(path, ["tokens"]))
        return int(max(pc.max(pc.list_value_length(table["tokens"])).as_py() for table in tables))

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[PackedRow]:
        """The rows [start, stop) in their order; files that hold none of them are not opened."""
        stop = self.row_count if stop is None else stop
        first_row = 0
        for path, size in zip(self.row_files, self.file_rows, strict=True):
            if first_row < stop and first_row + size > start:
                yield from _rows_of_file(path, start - first_row, stop - first_row)
            first_row += size

    def documents(self, *, unpredicted: Literal["first", "last"] = "first") -> Iterator[HeldOutDocument]:
        """The documents in their order, put together from the rows they lie in.

        `unpredicted`: the token of a row that nothing predicts; the last one for a model that reads backward.
        """
        spans: list[TokenIds] = []
        predicted: list[TokenIds] = []
        current: str | None = None
        end_predicted = False  # whether the last token so far is predicted
        for row in self.rows():
            low, high = (1, len(row.tokens)) if unpredicted == "first" else (0, len(row.tokens) - 1)
            for document_id, start, end in row.spans:
                if current is not None and document_id != current:
                    yield self._document(current, spans, predicted, end_predicted=end_predicted)
                    spans = []
                    predicted = []
                current = document_id
                end_predicted = max(start, low) < end <= high
                spans.append(row.tokens[start:end])
                predicted.append(row.tokens[max(start, low) : min(end, high)])
        if current is not None:
            yield self._document(current, spans, predicted, end_predicted=end_predicted)

    def _document(
        self, document_id: str, spans: Sequence[TokenIds], predicted_spans: Sequence[TokenIds], *, end_predicted: bool
    ) -> HeldOutDocument:
        """`predicted_spans`: the predicted tokens of each span; `end_predicted`: whether the last token is one."""
        tokens = np.concatenate(spans)
        predicted = np.concatenate(predicted_spans)
        # the last token ends the document; the same id earlier is text that spells the special token
        ended = tokens[-1] == self.token_bytes.end_of_text
        predicted_bytes = int(self._token_sizes[predicted].sum())
        if ended and end_predicted:
            predicted_bytes -= int(self._token_sizes[self.token_bytes.end_of_text])
        text_tokens = tokens[:-1] if ended else tokens
        return HeldOutDocument(
            document_id, len(spans), self.token_bytes.text(text_tokens), len(predicted), predicted_bytes,
            spelled_bytes=int(self._token_sizes[text_tokens].sum()),
            visible_bytes=int(self._visible_token_sizes[text_tokens].sum()),
        )  # fmt: skip

    @cached_property
    def _token_sizes(self) -> NDArray[np.int64]:
        return self.token_bytes.sizes

    @cached_property
    def _visible_token_sizes(self) -> NDArray[np.int64]:
        return self.token_bytes.visible_sizes

    @cached_property
    def language_of(self) -> dict[str, str]:
        """The language of each held-out document, in the order of the rows.

        Only the columns id and language are read, one row group at a time.
        """
        document_ids = list(dict.fromkeys(span.document_id for row in self.rows() for span in row.spans))
        languages: dict[str, str] = {}
        for path in self.document_files:
            for batch in batches(path, ["id", "language"]):
                selected = batch.filter(pc.is_in(batch["id"], value_set=pa.array(document_ids, pa.string())))
                values = pc.fill_null(selected["language"], UNKNOWN).to_pylist()
                languages.update(zip(selected["id"].to_pylist(), values, strict=True))
        return {document_id: languages.get(document_id, UNKNOWN) for document_id in document_ids}


def _rows_of_file(path: Path, start: int, stop: int) -> Iterator[PackedRow]:
    first_row = 0
    for batch in batches(path, ["tokens", "documents"]):
        first, last = max(start - first_row, 0), min(stop - first_row, len(batch))
        first_row += len(batch)
        if first < last:
            yield from _rows_of_batch(batch.slice(first, last - first))


def _rows_of_batch(batch: pa.Table) -> Iterator[PackedRow]:
    for tokens, spans in zip(batch["tokens"], batch["documents"], strict=True):
        values = tokens.values.to_numpy(zero_copy_only=False).astype(np.int64)
        yield PackedRow(values, tuple(DocumentSpan(span["id"], span["start"], span["end"]) for span in spans.as_py()))
