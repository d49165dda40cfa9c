"""signals: text and signals have the same rows, the same bytes with any number of workers, and nothing is dropped."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.job import Job, StageOutput
from pipeline.core.records import DOCUMENTS
from pipeline.filters.section import Clean, signals_params
from pipeline.kernels.signals import NAMES
from pipeline.stages import identification, signals

RECORDS = [
    {"text": f"第{n}天，天气很好。\r\nThe weather is fine on day {n}.\n", "language": ("zh", "en", None)[n % 3]}
    for n in range(120)
]  # fmt: skip


def run(
    make_job: Callable[..., Job], documents: Artifact, name: str = "signals", workers: int = 1, **section: Any
) -> tuple[Job, StageOutput]:
    params = signals_params(Clean.model_validate(section), 17)
    job = make_job(name, stage="signals", params=params, inputs={"documents": documents}, workers=workers)
    return job, signals.run(job)


def table(artifact: Artifact, kind: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(f"{kind}/")])


def test_text_and_signals_are_of_the_same_documents_in_the_same_order(
    make_job: Callable[..., Job], make_documents: Callable[..., Artifact], publish: Callable[..., Artifact]
) -> None:
    source = make_documents(RECORDS, files=3)
    result = publish(*run(make_job, source))
    parts, measured = table(result, "parts"), table(result, "signals")
    assert parts.schema.equals(DOCUMENTS) and measured.column_names == ["id", *NAMES, *identification.NAMES]
    assert parts["id"].equals(measured["id"]) and parts["id"].equals(table(source, "parts")["id"])
    assert parts["text"][0].as_py() == "第0天，天气很好。\nThe weather is fine on day 0."
    assert measured["units"][0].as_py() == 14
    assert [len(result.files(f"{kind}/")) for kind in ("parts", "signals")] == [3, 3]


def test_every_row_group_is_written_as_it_was_read(
    make_job: Callable[..., Job], make_documents: Callable[..., Artifact], publish: Callable[..., Artifact]
) -> None:
    source = make_documents(RECORDS, files=1)
    result = publish(*run(make_job, source))
    groups = [pq.ParquetFile(artifact.files(f"{kind}/")[0]).num_row_groups
              for artifact, kind in ((source, "parts"), (result, "parts"), (result, "signals"))]  # fmt: skip
    assert groups == [3, 3, 3]


def test_counts_say_what_cleaning_changed(
    make_job: Callable[..., Job], make_documents: Callable[..., Artifact]
) -> None:
    _, outcome = run(make_job, make_documents([*RECORDS, {"text": "clean"}]))
    assert (outcome.counts["in"], outcome.counts["out"], outcome.counts["dropped"]) == (121, 121, {})
    assert outcome.counts["changed"] == {"unicode": 120}
    assert outcome.counts["text_bytes"] == outcome.counts["text_bytes_in"] - 2 * 120


def test_one_worker_and_three_write_the_same_bytes(
    make_job: Callable[..., Job], make_documents: Callable[..., Artifact], publish: Callable[..., Artifact]
) -> None:
    source = make_documents(RECORDS, files=4)
    one_worker = publish(*run(make_job, source, "one", workers=1))
    three_workers = publish(*run(make_job, source, "three", workers=3))
    assert one_worker.manifest.digest == three_workers.manifest.digest


def test_a_finished_file_is_not_measured_again(
    make_job: Callable[..., Job], make_documents: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_documents(RECORDS, files=2)
    job, first = run(make_job, source)
    monkeypatch.setattr(signals, "measure_signals", None)
    assert signals.run(job).files == first.files


def test_a_users_function_measures_beside_ours(
    make_job: Callable[..., Job],
    make_documents: Callable[..., Artifact],
    publish: Callable[..., Artifact],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "plug.py").write_text("def even(document):\n    return len(document['text']) % 2 == 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(signals, "run_tasks", lambda job, step, tasks, work, isolation: [work(job, t) for t in tasks])
    sys.modules.pop("plug", None)
    result = publish(*run(make_job, make_documents(RECORDS[:9]), filters=["length", "plug:even"]))
    texts, values = (
        table(result, "parts")["text"].to_pylist(),
        table(result, "signals")["plug:even"].to_pylist(),
    )
    assert values == [float(len(text) % 2 == 0) for text in texts]


def test_no_document_is_no_file(make_job: Callable[..., Job], make_documents: Callable[..., Artifact]) -> None:
    _, outcome = run(make_job, make_documents([]))
    assert outcome.files == [] and outcome.counts["in"] == 0
