"""decontaminate: planted items are removed, cut or reported; the same bytes always; every removal says its item."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.job import Job
from pipeline.core.report import ReportedStep, ReportTable
from pipeline.decontamination.section import Decontaminate, decontaminate_files, decontaminate_params
from pipeline.reports import contamination as reports
from pipeline.stages import decontaminate

ENGLISH = "The old lighthouse keeper climbed the narrow stairs every evening to light the lamp for passing ships."
CHINESE = "那位老船长每天傍晚都要爬上狭窄的楼梯去点亮灯塔为过往的船只照明从不间断。"
SHORT = "Seven grey geese flew over the frozen lake."
BEFORE, AFTER = "Nothing of it is here. " * 12, " And this is the end of the page." * 12
RECORDS = [
    {"text": BEFORE + ENGLISH.upper().replace(",", ";") + AFTER, "language": "en"},
    {"text": f"前文无关。{CHINESE}后文也无关。", "language": "zh"},
    {"text": BEFORE + SHORT, "language": "en"},
    {"text": BEFORE + AFTER, "language": "en"},
    {"text": "The old lighthouse keeper climbed the narrow stairs.", "language": "en"},
    *({"text": f"plain document {n} " * 9, "language": "en"} for n in range(40)),
]


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    rows = [
        {"id": "e1", "text": ENGLISH},
        {"id": "e2", "text": SHORT},
        {"id": "e3", "text": "too short", "label": "yes"},
    ]
    (tmp_path / "english.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "chinese.jsonl").write_text(json.dumps({"id": "c1", "question": CHINESE}))
    return tmp_path


@pytest.fixture
def run(
    evaluation: Path,
    make_job: Callable[..., Job],
    make_documents: Callable[..., Artifact],
    publish: Callable[..., Artifact],
) -> Callable[..., Artifact]:
    def publish_run(name: str = "", workers: int = 1, records: Any = RECORDS, **options: Any) -> Artifact:
        section = Decontaminate.model_validate({"files": [str(evaluation / "*.jsonl")], **options})
        documents = make_documents(records, files=3, name=f"documents{name}")
        job = make_job(
            f"d{name}", stage="decontaminate", params=decontaminate_params(section, 17), workers=workers,
            sources=decontaminate_files(section), inputs={"documents": documents},
        )  # fmt: skip
        return publish(job, decontaminate.run(job))

    return publish_run


def table(artifact: Artifact, kind: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(f"{kind}/")])


def test_documents_with_an_item_are_dropped_and_say_which(run: Callable[..., Artifact]) -> None:
    result = run()
    assert table(result, "parts")["source_id"].to_pylist() == [f"made-{n}" for n in range(3, 45)]
    rejected = {row["source_id"]: row for row in table(result, "rejected").to_pylist()}
    assert {name: row["rule"] for name, row in rejected.items()} == {
        "made-0": "decontaminate.english", "made-1": "decontaminate.chinese", "made-2": "decontaminate.english",
    }  # fmt: skip
    assert rejected["made-0"]["text"].startswith("[e1] THE OLD LIGHTHOUSE")
    assert rejected["made-2"]["text"] == f"[e2] {SHORT[:-1]}"
    (passage,) = [row for row in table(result, "contaminated").to_pylist() if row["task"] == "chinese"]
    assert RECORDS[1]["text"][passage["start"] : passage["end"]] == CHINESE[:-1]
    assert (passage["item"], passage["action"]) == ("c1", "dropped")


def test_counts_have_every_task_and_what_is_too_short(run: Callable[..., Artifact]) -> None:
    counts = run().manifest.counts
    assert counts["dropped"] == {"decontaminate.chinese": 1, "decontaminate.english": 2}
    english = counts["contamination"]["english"]
    assert (english["items"], english["too_short"], english["items_found"], english["dropped"]) == (3, 1, 2, 2)
    assert counts["contaminated_languages"] == {"chinese": {"zh": 1}, "english": {"en": 2}}


def test_a_cut_document_loses_the_passage_and_its_margin(run: Callable[..., Artifact]) -> None:
    result = run(action="cut", margin=20, min_piece=40)
    texts = dict(
        zip(table(result, "parts")["source_id"].to_pylist(), table(result, "parts")["text"].to_pylist(), strict=True)
    )
    assert texts["made-0"] == f"{BEFORE[:-20].strip()}\n\n{AFTER[19:].strip()}"
    assert "made-1" not in texts  # nothing long enough is left
    assert result.manifest.counts["contamination"]["english"]["cut"] == 2


def test_report_changes_nothing(run: Callable[..., Artifact]) -> None:
    result = run(action="report")
    assert table(result, "parts").num_rows == len(RECORDS)
    assert table(result, "contaminated")["action"].unique().to_pylist() == ["reported"]


def test_a_phrase_of_many_documents_is_ignored(run: Callable[..., Artifact]) -> None:
    records = [{"text": f"{ENGLISH} {n}", "language": "en"} for n in range(5)] + [RECORDS[1]]
    assert run("all", records=records).manifest.counts["dropped"] == {
        "decontaminate.chinese": 1, "decontaminate.english": 5,
    }  # fmt: skip
    assert run("few", records=records, max_documents=4).manifest.counts["dropped"] == {"decontaminate.chinese": 1}


@pytest.mark.parametrize("options", [{}, {"action": "cut", "margin": 5, "min_piece": 10, "max_documents": 3}])
def test_the_same_bytes_with_one_worker_and_three(run: Callable[..., Artifact], options: dict[str, Any]) -> None:
    assert run("1", 1, **options).manifest.digest == run("3", 3, **options).manifest.digest


def test_a_file_that_changed_after_the_plan_is_refused(
    evaluation: Path, make_job: Callable[..., Job], make_documents: Callable[..., Artifact]
) -> None:
    section = Decontaminate.model_validate({"files": [str(evaluation / "chinese.jsonl")]})
    job = make_job(
        params=decontaminate_params(section, 17), sources=decontaminate_files(section),
        inputs={"documents": make_documents(RECORDS)},
    )  # fmt: skip
    (evaluation / "chinese.jsonl").write_text('{"text": "another"}')
    with pytest.raises(StageFailed, match="changed after the run was planned"):
        decontaminate.run(job)


def test_the_report_has_a_row_for_each_task(run: Callable[..., Artifact]) -> None:
    result = run()
    report = reports.decontaminate([ReportedStep("", result, (), result.folder)])
    (chapter,) = [chapter for chapter in report.chapters if chapter.id == "contamination"]
    tables = [block for block in chapter.blocks if isinstance(block, ReportTable)]
    assert [row[1:] for row in tables[0].rows] == [("1", "0", "1", "1", "zh 1"), ("3", "1", "2", "2", "en 2")]
    assert len(tables[1].rows) == 3
