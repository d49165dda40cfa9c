"""Both ways between steps and documents: what a step saw, and when a document was seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from cluster.commands.trace import trace
from cluster.run import Run
from pipeline.core.draft import LocalDraft
from pipeline.core.errors import UserError
from pipeline.core.files import write_json
from pipeline.core.manifest import Manifest
from pipeline.core.records import DOCUMENTS, DUPLICATES, tokens_schema
from pipeline.core.shards import FileEntry, ShardWriter, entry_of, number, write_table
from training.trainer.batches import fingerprint, rows_of_step

ROWS, LENGTH, BATCH, STEPS, SEED = 20, 8, 4, 7, 5
TEXTS = ["The bloomery turns ore into iron.", "块炼炉把铁矿石炼成铁。"]


def packed(row: int, prefix: str = "d") -> dict[str, object]:
    """Row r holds the end of document r and the beginning of document r + 1."""
    spans = [
        {"id": f"{prefix}{row}", "start": 0, "end": 5}, {"id": f"{prefix}{row + 1}", "start": 5, "end": LENGTH}
    ]  # fmt: skip
    return {"tokens": list(range(LENGTH)), "documents": spans}


def shards(folder: Path, kind: str, schema: pa.Schema, *tables: pa.Table) -> list[FileEntry]:
    entries = []
    for index, table in enumerate(tables):
        with ShardWriter(folder, kind, f"{index}", schema) as shard:
            shard.write(table.slice(0, 3))
            shard.write(table.slice(3))
        entries += [shard.entry] if shard.entry else []
    return number(LocalDraft(folder), entries)


def publish(work: Path, stage: str, kind: str, params: dict[str, object], inputs: dict[str, str],
            files: Callable[[Path], list[FileEntry]]) -> dict[str, object]:  # fmt: skip
    identity = stage * 4
    folder = work / "store" / stage / identity
    folder.mkdir(parents=True)
    manifest = Manifest(
        stage, 1, identity, kind, params, dict(inputs), tuple(files(folder)), {"steps": STEPS}, "d", "c"
    )
    write_json(folder / "manifest.json", manifest.to_dict())
    return {"stage": stage, "fingerprint": identity, "inputs": inputs}


def traced_run(
    work: Path, *, model: str = "gpt", prefix: str = "d", source_ids: dict[int, str] | None = None,
    curve: Sequence[str] = (), anomalies: Sequence[dict[str, object]] = (),
) -> Path:  # fmt: skip
    """A work directory with one run whose model was trained on 20 rows."""

    def documents(folder: Path) -> list[FileEntry]:
        columns = {"source": "web", "url": None, "language": "en", "metadata": []}
        rows = [
            {"id": f"{prefix}{n}", "text": TEXTS[n % 2], "source_id": (source_ids or {}).get(n), **columns}
            for n in range(21)
        ]
        twin = {"id": "twin", "source_id": None, "kept_id": f"{prefix}1", "kept_source_id": None, "method": "exact",
                "similarity": 1.0}  # fmt: skip
        files = shards(folder, "parts", DOCUMENTS, pa.Table.from_pylist(rows, DOCUMENTS))
        return files + shards(folder, "duplicates", DUPLICATES, pa.Table.from_pylist([twin], DUPLICATES))

    def tokens(folder: Path) -> list[FileEntry]:
        schema = tokens_schema(512)
        parts = (range(12), range(12, 19), range(19, 20))
        rows = [pa.Table.from_pylist([packed(r, prefix) for r in part], schema) for part in parts]
        held = pa.Table.from_pylist([packed(40, prefix)], schema)
        return [*shards(folder, "train", schema, *rows), *shards(folder, "validation", schema, held)]

    def weights(folder: Path) -> list[FileEntry]:
        rows = [{"step": step, "rows": text} for step, text in enumerate(curve, 1)]
        if anomalies:
            write_json(folder / "anomalies.json", list(anomalies))
        told = [entry_of(folder, "anomalies.json")] if anomalies else []
        return told + ([write_table(folder, "curve.parquet", pa.Table.from_pylist(rows))] if rows else [])

    params: dict[str, object] = {"batch_tokens": BATCH * LENGTH, "seed": SEED, "model": model, "objective": "causal"}
    plan = [
        publish(work, "dedupe", "documents", {}, {}, documents),
        publish(work, "pack", "tokens", {"length": LENGTH}, {"dedupe": "dedupe" * 4}, tokens),
        publish(work, "pretrain", "model", params, {"pack": "pack" * 4}, weights),
    ]
    run = Run(work / "runs" / "one")
    run.path.mkdir(parents=True)
    (run.path / "config.yaml").write_text("name: one\n")
    write_json(run.path / "plan.json", plan)
    return work


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return traced_run(tmp_path)


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
    [("d40", "in validation of pack"), ("twin", "in duplicates of dedupe"), ("nobody", "No stage of this run has")],
)
def test_a_document_that_was_not_trained_on_is_found_where_it_went(work: Path, document: str, place: str) -> None:
    with pytest.raises(UserError, match=place):
        trace(work, "one", step=None, document=document)


def test_a_step_beyond_the_run_is_refused(work: Path) -> None:
    with pytest.raises(UserError, match="this run has steps 1 to 7"):
        trace(work, None, step=8, document=None)


def test_the_answer_comes_as_json_on_demand(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace(work, None, step=1, document=None, as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert [row["row"] for row in answer["rows"]] == expected(1)
    assert answer["rows"][0]["documents"][0] == {"document": f"d{expected(1)[0]}", "start": 0, "end": 5}
    trace(work, None, step=None, document="d12", as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["document"] == "d12" and answer["elsewhere"] is None and answer["raw"] is None
    assert {one["row"] for one in answer["seen"]} <= {11, 12} and len(answer["seen"]) >= 2


def test_a_document_goes_by_the_records_own_id_and_by_the_beginning_of_its_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = traced_run(tmp_path, source_ids={12: "文-12", 13: "twice", 14: "twice"}, prefix="0abc")
    trace(work, None, step=None, document="文-12")
    assert capsys.readouterr().out.startswith("0abc12: in 2 rows")
    trace(work, None, step=None, document="0abc19")
    assert capsys.readouterr().out.startswith("0abc19: in 2 rows")
    with pytest.raises(UserError, match="0abc13, 0abc14. Write one of them"):
        trace(work, None, step=None, document="twice")
    with pytest.raises(UserError, match="may be 0abc0, 0abc1, 0abc2, 0abc3, 0abc4 and 16 more"):
        trace(work, None, step=None, document="0abc")


def test_a_model_of_a_table_of_counts_is_refused(tmp_path: Path) -> None:
    work = traced_run(tmp_path, model="glove")
    with pytest.raises(UserError, match="a glove is trained on a table of co-occurrences, so no step sees documents"):
        trace(work, None, step=1, document=None)


def test_a_model_whose_curve_says_that_other_rows_were_read_is_refused(tmp_path: Path) -> None:
    rows = [fingerprint(rows_of_step(step, rows=ROWS, batch_rows=BATCH, seed=SEED)) for step in range(STEPS)]
    work = traced_run(tmp_path, curve=[*rows[:3], "f" * 16, *rows[4:]])
    trace(work, None, step=3, document=None)
    with pytest.raises(UserError, match="step 4 of this gpt read other rows than the ones computed here"):
        trace(work, None, step=4, document=None)


def test_anomalous_batches_show_the_documents_of_their_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = next(row for row in expected(2) if any(row in expected(step) for step in range(3, STEPS + 1)))
    anomaly: dict[str, object] = {
        "step": 2, "kind": "not finite", "quantity": "loss", "value": None, "usual": None, "action": "skipped",
        "first": 2, "rows": [{"row": bad, "loss": None}], "left_out": [bad],
    }  # fmt: skip
    spike = {**anomaly, "step": 5, "kind": "spike", "value": 9.5, "usual": 3.0, "action": "rolled back", "first": 4,
             "rows": [], "left_out": []}  # fmt: skip
    work = traced_run(tmp_path, anomalies=[anomaly, spike])
    trace(work, None, step=None, document=None, anomalies=True)
    printed = capsys.readouterr().out
    assert "Step 2 was skipped: its loss is not a finite number." in printed
    assert f"d{bad}" in printed and f"d{bad + 1}" in printed and TEXTS[bad % 2][:10] in printed
    assert "Steps 4 to 5 were rolled back: the last one's loss is a spike: 9.5, usually 3." in printed
    trace(work, None, step=4, document=None)
    assert "Steps 4 to 5 were rolled back" in capsys.readouterr().out
    trace(work, None, step=None, document=None, anomalies=True, as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert [span["document"] for span in answer[0]["rows"][0]["documents"]] == [f"d{bad}", f"d{bad + 1}"]
    # from then on the row is an empty one
    again = next(step for step in range(3, STEPS + 1) if bad in expected(step))
    trace(work, None, step=again, document=None)
    assert capsys.readouterr().out.startswith(f"Step {again}: {BATCH} rows, 1 left out, ")
