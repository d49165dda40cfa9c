"""Documents masked from each other, from the spans of pack to the batches, the losses and the held-out score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pipeline.core.config import Component
from pipeline.core.files import read_json
from pipeline.core.inputs import Inputs
from pipeline.core.job import Job
from pipeline.core.records import tokens_schema
from pipeline.core.shards import ShardWriter
from training import objectives
from training.evaluation.held_out import DocumentSpan, PackedRow
from training.evaluation.perplexity import token_losses
from training.models.saved import load
from training.stages.pretrain import run
from training.trainer.packed_rows import open_rows

SIZES = ([16], [3, 1, 12], [7, 4])  # documents of three rows, the last of which is short


def write_rows(folder: Path) -> Path:
    spans = []
    for sizes in SIZES:
        ends = np.cumsum(sizes).tolist()
        spans.append([{"id": str(at), "start": end - sizes[at], "end": end} for at, end in enumerate(ends)])
    rows = [list(range(sum(sizes))) for sizes in SIZES]
    with ShardWriter(folder, "train", "a", tokens_schema(64)) as shard:
        shard.write(pa.table({"tokens": rows, "documents": spans}, tokens_schema(64)))
    assert shard.entry is not None
    return folder / shard.entry.path


def test_rows_know_where_the_document_of_each_token_begins(tmp_path: Path) -> None:
    path = write_rows(tmp_path)
    plain = open_rows([path], length=16, name="train-x", scratch=tmp_path)
    assert plain.begins is None
    rows = open_rows([path], length=16, name="train-x", scratch=tmp_path, documents=True)
    starts = rows.documents(np.array([2, 1, 0, -1]))
    assert starts[0].tolist() == [0] * 7 + [7] * 4 + [11] * 5, "what lies beyond the row is a document of its own"
    assert starts[1].tolist() == [0] * 3 + [3] + [4] * 12
    assert starts[2].tolist() == [0] * 16
    packed = PackedRow(np.arange(11), (DocumentSpan("a", 0, 7), DocumentSpan("b", 7, 11)))
    assert packed.document_starts(16).tolist() == starts[0].tolist(), "as evaluation has it"


def test_an_end_of_text_begins_the_next_document_for_a_causal_model(tmp_path: Path) -> None:
    objective = objectives.OBJECTIVES.create(Component(name="causal", options={}), Path("tokenizer.json"))
    starts = np.array([[0] * 3 + [3] + [4] * 12])
    assert objective.frame_documents(starts, np.array([16])).tolist() == [[0] * 2 + [2] + [3] * 13]


def test_a_masked_row_begins_with_cls_in_its_first_document_and_ends_with_sep_in_its_last() -> None:
    from training.objectives.masked import Masked

    objective = Masked.__new__(Masked)
    objective.extra_tokens = 2
    starts = np.array([[0] * 3 + [3] * 5, [0] * 4 + [4] * 2 + [6] * 2, [0] * 8])
    framed = objective.frame_documents(starts, np.array([8, 6, 0]))
    assert framed[0].tolist() == [0] * 4 + [4] * 6
    assert framed[1].tolist() == [0] * 5 + [5] * 3 + [8] * 2
    assert framed[2, 2:].tolist() == [2] * 8


@pytest.fixture
def masked_job(make_job: Callable[..., Job], tmp_path: Path) -> Callable[..., Job]:
    """A job whose rows hold a document of five tokens, then another."""

    def rewritten(path: Path, folder: Path, split: str) -> Path:
        table = pq.read_table(path)
        spans = [
            [{"id": "a", "start": 0, "end": 5}, {"id": "b", "start": 5, "end": size}][: 1 + (size > 5)]
            for size in (len(row) for row in table["tokens"].to_pylist())
        ]
        schema = tokens_schema(64)
        with ShardWriter(folder, split, path.stem.split("-")[0], schema) as shard:
            shard.write(pa.table({"tokens": table["tokens"], "documents": spans}, schema))
        assert shard.entry is not None
        return folder / shard.entry.path

    def make(name: str, **options: Any) -> Job:
        job = make_job(name, **{"document_mask": True, **options})
        tokens = job.inputs.single("tokens")
        folder = tmp_path / f"tokens-{name}"
        files = tuple(
            replace(
                entry,
                path=str(rewritten(tokens.file(entry.path), folder, entry.path.split("/")[0]).relative_to(folder)),
            )
            for entry in tokens.manifest.files
        )
        artifact = type(tokens)(folder, replace(tokens.manifest, files=files, digest="d" * 64))
        return replace(job, inputs=Inputs.of({"tokens": artifact, "tokenizer": job.inputs.single("tokenizer")}))

    return make


def test_training_holds_documents_apart_at_any_number_of_workers(masked_job: Callable[..., Job]) -> None:
    single, two, without = masked_job("one"), masked_job("two", workers=2), masked_job("none", document_mask=False)
    for job in (single, two, without):
        run(job)
    curves = [pq.read_table(job.folder / "curve.parquet").to_pydict() for job in (single, two, without)]
    assert curves[0]["rows"] == curves[1]["rows"] == curves[2]["rows"], "the mask changes no order"
    assert curves[1]["loss"] == pytest.approx(curves[0]["loss"], abs=5e-5)
    assert curves[2]["loss"] != pytest.approx(curves[0]["loss"], abs=1e-3), "and it changes what is seen"
    assert read_json(single.folder / "model" / "config.json")["document_mask"] is True
    # the held-out loss of training is that of the evaluation of the saved model, which masks too
    model = load(single.folder / "model")
    rows = []
    for path in single.inputs.single("tokens").files("validation/"):
        for row in pq.read_table(path).to_pylist():
            spans = tuple(DocumentSpan(span["id"], span["start"], span["end"]) for span in row["documents"])
            rows.append(PackedRow(np.array(row["tokens"], np.int64), spans))
    numbers = np.arange(5) * len(rows) // 5
    losses = [token_losses(model, [rows[number]])[0] for number in numbers]
    mean = sum(loss.sum() for loss in losses) / sum(len(loss) - 1 for loss in losses)
    assert mean == pytest.approx(curves[0]["validation_loss"][-1], abs=1e-5)
    model.document_mask = False
    with torch.no_grad():
        unmasked = sum(token_losses(model, [rows[number]])[0].sum() for number in numbers)
    assert unmasked != pytest.approx(sum(loss.sum() for loss in losses), abs=1e-3)
