"""The validation split as rows (what is scored) and as documents (what the score is told of).

Rows are those of training: `length` tokens, cut from the stream wherever they end, each scored once from its first
token on; a document that crosses a border is scored in both rows, and the first token of a row is never predicted.
Memory: one row group of tokens, and the ids of the held-out documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.core.shards import batches, rows
from pipeline.core.stage import Inputs
from pipeline.tokenizers import token_bytes

# the language of a document that has none, as the pack stage counts it; in scores, null is all languages together
UNKNOWN = "unknown"
Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """A packed row: its tokens, and the spans [start, end) of the documents it holds."""

    tokens: Tokens
    spans: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Document:
    """A held-out document whole again, as its tokens spell it. `spans`: in how many rows it lies; `predicted_*`: what
    is scored of it; `inked_bytes`: those that are no white space. What is unknown spells nothing."""

    id: str
    spans: int
    text: bytes
    predicted_tokens: int
    predicted_bytes: int
    spelled_bytes: int
    inked_bytes: int


@dataclass(frozen=True)
class HeldOut:
    """The validation split of a tokens artifact, and the documents' languages; paths alone, so it travels anywhere."""

    row_files: tuple[Path, ...]
    document_files: tuple[Path, ...]
    tokenizer: Path

    @classmethod
    def of(cls, inputs: Inputs) -> HeldOut:
        """From a job's inputs."""
        row_files, document_files = inputs.one("tokens").files("validation/"), inputs.files("documents", "parts/")
        return cls(tuple(row_files), tuple(document_files), inputs.one("tokenizer").file("tokenizer.json"))

    def to_dict(self) -> dict[str, Any]:
        return {
            "row_files": [str(path) for path in self.row_files],
            "document_files": [str(path) for path in self.document_files],
            "tokenizer": str(self.tokenizer),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> HeldOut:
        row_files, document_files = (tuple(map(Path, value[name])) for name in ("row_files", "document_files"))
        return cls(row_files, document_files, Path(value["tokenizer"]))

    @cached_property
    def pieces(self) -> token_bytes.TokenBytes:
        return token_bytes.load(self.tokenizer)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Rows a file, from the footers."""
        return tuple(rows(path) for path in self.row_files)

    @property
    def row_count(self) -> int:
        return sum(self.sizes)

    @cached_property
    def length(self) -> int:
        """Tokens a row; only the last may be shorter."""
        return max(len(row.tokens) for row in self.rows(0, 2))

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[Row]:
        """The rows [start, stop) in their order; files outside are not opened."""
        stop, at = self.row_count if stop is None else stop, 0
        for path, size in zip(self.row_files, self.sizes, strict=True):
            if at < stop and at + size > start:
                yield from _rows_of(path, start - at, stop - at)
            at += size

    def documents(self, *, unpredicted: Literal["first", "last"] = "first") -> Iterator[Document]:
        """The documents in their order, put together from the rows they lie in.

        `unpredicted`: which token of a row nothing predicts; for who reads from the end of a row it is the last.
        """
        held: list[Tokens] = []
        predicted: list[Tokens] = []
        name, ends = None, False  # ends: whether the last token so far is predicted
        for row in self.rows():
            low, high = (1, len(row.tokens)) if unpredicted == "first" else (0, len(row.tokens) - 1)
            for document, start, end in row.spans:
                if name is not None and document != name:
                    yield self._document(name, held, predicted, ends=ends)
                    held, predicted = [], []
                name, ends = document, max(start, low) < end <= high
                held.append(row.tokens[start:end])
                predicted.append(row.tokens[max(start, low) : min(end, high)])
        if name is not None:
            yield self._document(name, held, predicted, ends=ends)

    def _document(self, name: str, spans: Sequence[Tokens], parts: Sequence[Tokens], *, ends: bool) -> Document:
        """`parts`: what is predicted of each span; `ends`: with the last token of all."""
        tokens, predicted = np.concatenate(spans), np.concatenate(parts)
        # the last token ends the document; the same id earlier is text that spells the special token
        ended = tokens[-1] == self.pieces.end_of_text
        size = int(self._sizes[predicted].sum())
        if ended and ends:
            size -= int(self._sizes[self.pieces.end_of_text])
        whole = tokens[:-1] if ended else tokens
        spelled, inked = int(self._sizes[whole].sum()), int(self._inked[whole].sum())
        return Document(name, len(spans), self.pieces.text(whole), len(predicted), size, spelled, inked)

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        return self.pieces.sizes

    @cached_property
    def _inked(self) -> NDArray[np.int64]:
        """The bytes of each token without white space."""
        spelled = self.pieces.spelled
        inked = np.fromiter((len(b"".join(text.split())) for text in spelled), np.int64, len(spelled))
        return np.where(self._sizes > 0, inked, 0)

    @cached_property
    def language_of(self) -> dict[str, str]:
        """The language of each held-out document; reads the id and language columns alone, a row group at a time."""
        wanted = list(dict.fromkeys(span[0] for row in self.rows() for span in row.spans))
        ids, found = pa.array(wanted, pa.string()), dict[str, str]()
        for path in self.document_files:
            for batch in batches(path, ["id", "language"]):
                chosen = batch.filter(pc.is_in(batch["id"], value_set=ids))
                languages = pc.fill_null(chosen["language"], UNKNOWN).to_pylist()
                found.update(zip(chosen["id"].to_pylist(), languages, strict=True))
        return {name: found.get(name, UNKNOWN) for name in wanted}


def _rows_of(path: Path, start: int, stop: int) -> Iterator[Row]:
    at = 0
    for batch in batches(path, ["tokens", "documents"]):
        first, last = max(start - at, 0), min(stop - at, len(batch))
        at += len(batch)
        if first < last:
            yield from _rows_in(batch.slice(first, last - first))


def _rows_in(batch: pa.Table) -> Iterator[Row]:
    for tokens, spans in zip(batch["tokens"], batch["documents"], strict=True):
        values = tokens.values.to_numpy(zero_copy_only=False).astype(np.int64)
        yield Row(values, tuple((span["id"], span["start"], span["end"]) for span in spans.as_py()))
