"""`trace`: which documents a training step saw, and which steps saw a document.

The order of training rows is computed, never stored: from the seed, the number of rows and the step. Packed rows keep
the documents they hold. Cost: one pass over the `documents` column for a document, a few files for a step.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cluster import figures
from cluster.program import program
from cluster.run import Run, artifacts_of, find
from cluster.table import table
from pipeline.core.artifact import Artifact
from pipeline.core.config import name_and_options
from pipeline.core.errors import UserError
from pipeline.core.registry import load
from pipeline.core.shards import batches, rows
from pipeline.core.store import Store

ROWS_OF_STEP = "training.trainer.batches:rows_of_step"
ORDER = "training.families:order_of"
MOST_SHOWN = 200


@dataclass(frozen=True)
class Training:
    """What fixes the order of a training run's rows. `rows_of(step)` are global row numbers of the training split."""

    files: tuple[Path, ...]
    firsts: tuple[int, ...]  # the global number of each file's first row
    rows: int
    steps: int
    rows_of: Callable[[int], list[int]]


def trace(workdir: Path, name: str | None, *, step: int | None, document: str | None) -> None:
    """Print the answer.

    Raises: UserError when neither or both are asked, or the run has no trained model.
    """
    if (step is None) == (document is None):
        raise UserError("trace: ask for one thing: --step N, or --document ID.")
    run = find(workdir, name)
    made = artifacts_of(run, Store(run.workdir))
    training = training_of(run, made)
    if step is not None:
        show_step(training, step, _texts(made))
    else:
        show_document(training, str(document), made)


def training_of(run: Run, made: dict[str, Artifact]) -> Training:
    """Raises: UserError when the run has no trained model."""
    if "pretrain" not in made or "pack" not in made:
        raise UserError(f"{run.path.name}: no model is trained yet. Go on with: {program()} run {run.path}/config.yaml")
    manifest = made["pretrain"].manifest
    files = tuple(made["pack"].files("train/"))
    firsts, total = [], 0
    for file in files:
        firsts.append(total)
        total += rows(file)
    length = made["pack"].manifest.params["length"]
    batch_rows = manifest.params["batch_tokens"] // length
    rows_of_step, seed = load(ROWS_OF_STEP), manifest.params["seed"]
    order = load(ORDER)(*(name_and_options(manifest.params[key])[0] for key in ("model", "objective")))

    def rows_of(step: int) -> list[int]:
        found: list[int] = rows_of_step(step, rows=total, batch_rows=batch_rows, seed=seed, order=order).tolist()
        return found

    return Training(files, tuple(firsts), total, manifest.counts["steps"], rows_of)


def show_step(training: Training, step: int, texts: Artifact | None) -> None:
    """A line a document of the step's rows, in the order of the batch."""
    if not 1 <= step <= training.steps:
        raise UserError(f"trace: step {step:,} is not of this run: it has steps 1 to {training.steps:,}.")
    numbers = training.rows_of(step - 1)
    spans = _spans(training, numbers)
    lines = [
        [str(place), f"{number:,}", span["id"], f"{span['start']}–{span['end']}"]
        for place, number in enumerate(numbers)
        for span in spans[number]
    ]
    begins = _beginnings(texts, [line[2] for line in lines[:MOST_SHOWN]])
    shown = [[*line, begins.get(line[2], "")] for line in lines[:MOST_SHOWN]]
    print(f"Step {step:,}: {len(numbers):,} rows, {len({line[2] for line in lines}):,} documents.")
    print(table(["place", "row", "document", "tokens", "begins"], shown))
    if len(lines) > MOST_SHOWN:
        print(f"and {figures.count(len(lines) - MOST_SHOWN)} more.")


def show_document(training: Training, document: str, made: dict[str, Artifact]) -> None:
    """Every step in which a row of the document was seen."""
    held = dict(_rows_with(training, document))
    if not held:
        raise UserError(f"trace: {document} is in no training row. {_whereabouts(document, made)}")
    lines = []
    for step in range(training.steps):
        for number in training.rows_of(step):
            lines += [[f"{step + 1:,}", f"{number:,}", f"{s['start']}–{s['end']}"] for s in held.get(number, ())]
    print(f"{document}: in {len(held):,} rows, seen {len(lines):,} times in {training.steps:,} steps.")
    print(table(["step", "row", "tokens"], lines[:MOST_SHOWN]))
    if len(lines) > MOST_SHOWN:
        print(f"and {figures.count(len(lines) - MOST_SHOWN)} more.")


def _spans(training: Training, numbers: list[int]) -> dict[int, list[dict[str, Any]]]:
    """The documents of some rows; only the files that hold them are read."""
    wanted: dict[int, list[int]] = {}
    for number in sorted(set(numbers)):
        wanted.setdefault(bisect_right(training.firsts, number) - 1, []).append(number)
    found: dict[int, list[dict[str, Any]]] = {}
    for index, inside in wanted.items():
        first = training.firsts[index]
        for batch in batches(training.files[index], ["documents"]):
            for number in inside:
                if 0 <= number - first < batch.num_rows:
                    found[number] = batch["documents"][number - first].as_py()
            first += batch.num_rows
    return found


def _rows_with(training: Training, document: str) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    for file, start in zip(training.files, training.firsts, strict=True):
        first = start
        for batch in batches(file, ["documents"]):
            column = batch["documents"].combine_chunks()
            ids = pc.struct_field(pc.list_flatten(column), "id")
            hits = pc.list_parent_indices(column).filter(pc.equal(ids, document)).unique().to_pylist()
            for hit in hits:
                spans = [span for span in column[hit].as_py() if span["id"] == document]
                yield first + hit, spans
            first += batch.num_rows


def _texts(made: dict[str, Artifact]) -> Artifact | None:
    """The artifact whose documents were packed."""
    return next((made[name] for name in made["pack"].manifest.inputs if made[name].manifest.kind == "documents"), None)


def _beginnings(texts: Artifact | None, ids: list[str]) -> dict[str, str]:
    if texts is None or not ids:
        return {}
    found: dict[str, str] = {}
    wanted = pa.array(sorted(set(ids)), pa.string())
    for file in texts.files("parts/"):
        for batch in batches(file, ["id", "text"]):
            hits = batch.filter(pc.is_in(batch["id"], wanted))
            starts = pc.utf8_slice_codeunits(hits["text"], 0, 48)
            texts_found = (" ".join(text.split()) for text in starts.to_pylist())
            found.update(zip(hits["id"].to_pylist(), texts_found, strict=True))
    return found


def _whereabouts(document: str, made: dict[str, Artifact]) -> str:
    """Where a document went instead: held out, a duplicate, rejected, or never seen."""
    places = (("pack", "validation/"), ("dedupe", "duplicates/"), ("clean", "rejected/"), ("signals", "rejected/"))
    for stage, prefix in places:
        for file in made[stage].files(prefix) if stage in made else ():
            for batch in batches(file, ["documents" if stage == "pack" else "id"]):
                column = batch.column(0)
                ids = pc.struct_field(pc.list_flatten(column), "id") if stage == "pack" else column
                if pc.any(pc.equal(ids, document)).as_py():
                    return f"It is in {prefix.rstrip('/')} of {stage}."
    return "No stage knows that id."
