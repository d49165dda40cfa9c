"""Maps training steps to documents and back, and documents to their raw files. Prints nothing.

The order of training rows is computed, never stored: from the seed, the number of rows and the step. Packed rows keep
the documents they hold. Cost: one pass over the `documents` column for a document, a few files for a step.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cluster.models import model_of_run
from cluster.run import Run, artifacts_of, inputs_of
from cluster.sections import stage_table
from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.order import TrainingAnomaly, TrainingOrder
from pipeline.core.raw import RawPosition
from pipeline.core.registry import load
from pipeline.core.shards import batches, rows
from pipeline.core.store import Store

LEAST_PREFIX = 4  # characters of an id that may stand for it
MOST_NAMED = 5
ELSEWHERE = ("validation/", "duplicates/", "rejected/")  # where else a document may be
TEXT_SHOWN = 48


@dataclass(frozen=True)
class Span:
    """A part of a packed row: a document's tokens [start, end)."""

    document: str
    start: int
    end: int


@dataclass(frozen=True)
class Occurrence:
    """A training step that saw a part of a document."""

    step: int
    row: int
    start: int
    end: int


class Trace:
    """A trained model with what it was made of.

    Raises: UserError when the run has no trained model, several and none is named, or one whose order is not known.
    """

    def __init__(self, run: Run, store: Store, of: str | None = None) -> None:
        self.run, self.store = run, store
        step, self.model = model_of_run(run, store, of)
        self.upstream = _upstream(self.model, store)
        tokens = next((artifact for artifact in self.upstream if artifact.manifest.kind == "tokens"), None)
        spec = next((candidate for candidate in stage_table() if candidate.name == step.stage), None)
        if tokens is None or spec is None or spec.order is None:
            raise UserError(f"{run.path.name}: the training rows of {step.id} are no longer in the store.")
        self.tokens = tokens
        self.order: TrainingOrder = load(spec.order)(self.model, tokens)
        self.files = tuple(tokens.files("train/"))
        self.firsts: list[int] = []  # the global number of each file's first row
        total = 0
        for file in self.files:
            self.firsts.append(total)
            total += rows(file)

    def step(self, step: int) -> list[tuple[int, tuple[Span, ...]]]:
        """The rows of a step, in the order of the batch, each with its documents."""
        if not 1 <= step <= self.order.steps:
            raise UserError(f"trace: step {step:,} is out of range: this run has steps 1 to {self.order.steps:,}.")
        return self._with_spans(self.order.rows_of(step - 1))

    def anomaly_of(self, step: int) -> TrainingAnomaly | None:
        """What was wrong with the batch of a step, or with a later one with which it was undone."""
        covering = (entry for entry in self.order.anomalies if entry["first"] <= step <= entry["step"])
        return next(covering, None)

    def rows(self, numbers: Sequence[int]) -> dict[int, tuple[Span, ...]]:
        """The documents of some rows."""
        return dict(self._with_spans(numbers))

    def rows_with(self, document: str) -> dict[int, tuple[Span, ...]]:
        """The training rows that hold a document, and the spans of it in each."""
        return dict(self._rows_with(document))

    def occurrences(self, document_rows: Mapping[int, Sequence[Span]]) -> list[Occurrence]:
        """Every step that trained on one of these rows."""
        return [
            Occurrence(step + 1, number, span.start, span.end)
            for step in range(self.order.steps)
            for number in self.order.rows_of(step)
            for span in document_rows.get(number, ())
        ]

    def resolve(self, text: str) -> str:
        """The id of a document, given its id, its record's own id, or the first characters of its id.

        Raises: UserError if several documents match.
        """
        by_own: dict[str, None] = {}
        by_prefix: dict[str, None] = {}
        for artifact in self._roots():
            for batch in (batch for file in artifact.files("parts/") for batch in batches(file, ["id", "source_id"])):
                if pc.any(pc.equal(batch["id"], text)).as_py():
                    return text
                own = batch.filter(pc.fill_null(pc.equal(batch["source_id"], text), fill_value=False))
                by_own |= dict.fromkeys(own["id"].to_pylist())
                if len(text) >= LEAST_PREFIX:
                    by_prefix |= dict.fromkeys(batch.filter(pc.starts_with(batch["id"], text))["id"].to_pylist())
        matches = list(by_own or by_prefix)
        if len(matches) > 1:
            more = f" and {len(matches) - MOST_NAMED} more" if len(matches) > MOST_NAMED else ""
            raise UserError(f"trace: {text} may be {', '.join(matches[:MOST_NAMED])}{more}. Write one of them.")
        return matches[0] if matches else text

    def origin(self, document: str) -> RawPosition | None:
        """The raw file and the position in it, if the store still has the artifact that records it."""
        raws = {spec.name: spec.raw for spec in stage_table() if spec.raw is not None}
        for artifact in self._roots():
            raw = raws.get(artifact.manifest.stage)
            position: RawPosition | None = load(raw)().locate(artifact, document) if raw else None
            if position is not None:
                return position
        return None

    def beginnings(self, documents: Sequence[str]) -> dict[str, str]:
        """The first characters of documents, as they were packed."""
        ids = pa.array(sorted(set(documents)), pa.string())
        texts: dict[str, str] = {}
        packed = (artifact for artifact in inputs_of(self.tokens, self.store) if artifact.manifest.kind == "documents")
        for file in (file for artifact in packed for file in artifact.files("parts/")):
            for batch in batches(file, ["id", "text"]):
                hits = batch.filter(pc.is_in(batch["id"], ids))
                starts = pc.utf8_slice_codeunits(hits["text"], 0, TEXT_SHOWN).to_pylist()
                texts.update(zip(hits["id"].to_pylist(), (" ".join(text.split()) for text in starts), strict=True))
        return texts

    def absence_reason(self, document: str) -> str:
        """Why a document is in no training row: held out, a duplicate, rejected, or unknown."""
        for step, artifact in reversed(artifacts_of(self.run, self.store).items()):
            for prefix in ELSEWHERE:
                if any(_holds(file, document, packed=prefix == "validation/") for file in artifact.files(prefix)):
                    return f"It is in {prefix.rstrip('/')} of {step}."
        return "No stage of this run has a document with that ID."

    def _roots(self) -> list[Artifact]:
        """The documents as they were ingested: artifacts of documents that have no inputs."""
        documents = [artifact for artifact in self.upstream if artifact.manifest.kind == "documents"]
        return [artifact for artifact in documents if not inputs_of(artifact, self.store)] or documents[-1:]

    def _with_spans(self, numbers: Sequence[int]) -> list[tuple[int, tuple[Span, ...]]]:
        """Rows, each with its documents; one that was left out (-1) has none."""
        spans = self._spans([number for number in numbers if number >= 0])
        return [(number, spans.get(number, ())) for number in numbers]

    def _spans(self, numbers: Sequence[int]) -> dict[int, tuple[Span, ...]]:
        """The documents of some rows; only the files that hold them are read."""
        rows_by_file: dict[int, list[int]] = {}
        for number in sorted(set(numbers)):
            rows_by_file.setdefault(bisect_right(self.firsts, number) - 1, []).append(number)
        spans: dict[int, tuple[Span, ...]] = {}
        for index, inside in rows_by_file.items():
            first = self.firsts[index]
            for batch in batches(self.files[index], ["documents"]):
                for number in inside:
                    if 0 <= number - first < batch.num_rows:
                        spans[number] = _spans_of(batch["documents"][number - first].as_py())
                first += batch.num_rows
        return spans

    def _rows_with(self, document: str) -> Iterator[tuple[int, tuple[Span, ...]]]:
        for file, start in zip(self.files, self.firsts, strict=True):
            first = start
            for batch in batches(file, ["documents"]):
                column = batch["documents"].combine_chunks()
                ids = pc.struct_field(pc.list_flatten(column), "id")
                hits = pc.list_parent_indices(column).filter(pc.equal(ids, document)).unique().to_pylist()
                for hit in hits:
                    spans = _spans_of(column[hit].as_py())
                    yield first + hit, tuple(span for span in spans if span.document == document)
                first += batch.num_rows


def _spans_of(values: Sequence[dict[str, str | int]]) -> tuple[Span, ...]:
    return tuple(Span(str(value["id"]), int(value["start"]), int(value["end"])) for value in values)


def _holds(file: Path, document: str, *, packed: bool) -> bool:
    for batch in batches(file, ["documents" if packed else "id"]):
        column = batch.column(0)
        ids = pc.struct_field(pc.list_flatten(column), "id") if packed else column
        if pc.any(pc.equal(ids, document)).as_py():
            return True
    return False


def _upstream(artifact: Artifact, store: Store) -> list[Artifact]:
    """All inputs of an artifact, direct and indirect, nearest first."""
    by_uri: dict[str, Artifact] = {}
    waiting = list(inputs_of(artifact, store))
    while waiting:
        current = waiting.pop(0)
        if current.uri not in by_uri:
            by_uri[current.uri] = current
            waiting += inputs_of(current, store)
    return list(by_uri.values())
