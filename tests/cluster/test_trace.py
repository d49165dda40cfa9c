"""Both ways between steps and documents: what a step saw, and when a document was seen."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from cluster.commands.trace import trace
from cluster.run import Run
from pipeline.core.errors import UserError
from pipeline.core.files import write_json
from pipeline.core.manifest import Manifest
from pipeline.core.records import DOCUMENTS, DUPLICATES, tokens_schema
from pipeline.core.shards import FileEntry, ShardWriter, number
from training.trainer.batches import rows_of_step

ROWS, LENGTH, BATCH, STEPS, SEED = 20, 8, 4, 7, 5
TEXTS = ["The bloomery turns ore into iron.", "块炼炉把铁矿石炼成铁。"]


def packed(row: int) -> dict[str, object]:
    """Row r holds the end of document r and the beginning of document r + 1."""
    spans = [{"id": f"d{row}", "start": 0, "end": 5}, {"id": f"d{row + 1}", "start": 5, "end": LENGTH}]
    return {"tokens": list(range(LENGTH)), "documents": spans}


def shards(folder: Path, kind: str, schema: pa.Schema, *tables: pa.Table) -> list[FileEntry]:
    entries = []
    for index, table in enumerate(tables):
        with ShardWriter(folder, kind, f"{index}", schema) as shard:
            shard.write(table.slice(0, 3))
            shard.write(table.slice(3))
        entries += [shard.entry] if shard.entry else []
    return number(folder, entries)


def publish(work: Path, stage: str, kind: str, params: dict[str, object], inputs: dict[str, str]) -> dict[str, object]:
    identity, files = stage * 4, []
    folder = work / "store" / stage / identity
    folder.mkdir(parents=True)
    if stage == "pack":
        rows = [
            pa.Table.from_pylist([packed(r) for r in part], tokens_schema(512)) for part in (range(12), range(12, 19))
        ]
        held = pa.Table.from_pylist([packed(40)], tokens_schema(512))
        last = pa.Table.from_pylist([packed(19)], tokens_schema(512))
        files = [*shards(folder, "train", tokens_schema(512), *rows, last)]
        files += shards(folder, "validation", tokens_schema(512), held)
    if stage == "dedupe":
        columns = {"source_id": None, "source": "web", "url": None, "language": "en", "metadata": []}
        rows_ = [{"id": f"d{n}", "text": TEXTS[n % 2], **columns} for n in range(21)]
        twin = {
            "id": "twin",
            "source_id": None,
            "kept_id": "d1",
            "kept_source_id": None,
            "method": "exact",
            "similarity": 1.0,
        }
        files = shards(folder, "parts", DOCUMENTS, pa.Table.from_pylist(rows_, DOCUMENTS))
        files += shards(folder, "duplicates", DUPLICATES, pa.Table.from_pylist([twin], DUPLICATES))
    manifest = Manifest(stage, 1, identity, kind, params, inputs, tuple(files), {"steps": STEPS}, "d", "c")
    write_json(folder / "manifest.json", manifest.to_dict())
    return {"stage": stage, "fingerprint": identity, "inputs": inputs}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work directory with one run whose model was trained on 20 rows."""
    plan = [publish(tmp_path, "dedupe", "documents", {}, {})]
    plan.append(publish(tmp_path, "pack", "tokens", {"length": LENGTH}, {"dedupe": "dedupe" * 4}))
    params: dict[str, object] = {"batch_tokens": BATCH * LENGTH, "seed": SEED, "model": "gpt", "objective": "causal"}
    plan.append(publish(tmp_path, "pretrain", "model", params, {"pack": "pack" * 4}))
    run = Run(tmp_path / "runs" / "one")
    run.path.mkdir(parents=True)
    (run.path / "config.yaml").write_text("name: one\n")
    write_json(run.path / "plan.json", plan)
    return tmp_path


def expected(step: int) -> list[int]:
    found: list[int] = rows_of_step(step - 1, rows=ROWS, batch_rows=BATCH, seed=SEED).tolist()
    return found


def test_a_step_names_its_documents_in_the_order_of_the_batch(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for step in (1, STEPS):
        trace(work, None, step=step, document=None)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith(f"Step {step}: {BATCH} rows")
        seen = [(int(line.split()[1]), line.split()[2]) for line in lines[2:]]
        assert seen == [(row, f"d{row + more}") for row in expected(step) for more in (0, 1)]
    assert TEXTS[0] in "\n".join(lines) and TEXTS[1] in "\n".join(lines)


def test_a_document_names_every_step_that_saw_it(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace(work, None, step=None, document="d12")  # its rows lie in two files
    lines = capsys.readouterr().out.splitlines()
    seen = [(int(line.split()[0]), int(line.split()[1]), line.split()[2]) for line in lines[2:]]
    spans = {11: "5–8", 12: "0–5"}
    truth = [(step, row, spans[row]) for step in range(1, STEPS + 1) for row in expected(step) if row in spans]
    assert seen == truth and len(seen) >= 2
    assert lines[0] == f"d12: in 2 rows, seen {len(seen)} times in {STEPS} steps."


@pytest.mark.parametrize(
    ("document", "place"),
    [("d40", "in validation of pack"), ("twin", "in duplicates of dedupe"), ("nobody", "No stage knows")],
)
def test_a_document_that_was_not_trained_on_is_found_where_it_went(work: Path, document: str, place: str) -> None:
    with pytest.raises(UserError, match=place):
        trace(work, "one", step=None, document=document)


def test_a_step_beyond_the_run_is_refused(work: Path) -> None:
    with pytest.raises(UserError, match="it has steps 1 to 7"):
        trace(work, None, step=8, document=None)
