"""Personal data through signals and clean: counted by kind and language, replaced or dropped, the same bytes always."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from pipeline.core.artifact import Artifact
from pipeline.core.job import Job
from pipeline.core.report import ReportedStep, ReportTable
from pipeline.filters.section import Clean, rules_params, signals_params
from pipeline.reports import signals as reports
from pipeline.stages import clean, signals

RECORDS = [
    {"text": f"Mail jane{n}@example.com or ring 415-555-01{n:02d}.", "language": "en"} if n % 2
    else {"text": f"邮箱wang{n}@example.cn，身份证11010519491231002X，第{n}号。", "language": "zh"}
    for n in range(60)
]  # fmt: skip
PII = {"cleaners": ["unicode", {"pii": {"actions": {"cn_id": "drop", "phone_us": "count"}}}], "filters": []}


def table(artifact: Artifact, kind: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(f"{kind}/")])


@pytest.fixture
def run(
    make_job: Callable[..., Job], make_documents: Callable[..., Artifact], publish: Callable[..., Artifact]
) -> Callable[..., tuple[Artifact, Artifact]]:
    def both(name: str = "", workers: int = 1, records: list[dict[str, Any]] = RECORDS, **section: Any) -> Any:
        options = Clean.model_validate(section)
        documents = make_documents(records, files=3, name=f"documents{name}")
        job = make_job(f"s{name}", params=signals_params(options, 17), inputs={"documents": documents}, workers=workers)
        measured = publish(job, signals.run(job))
        job = make_job(f"c{name}", params=rules_params(options, 17), inputs={"documents": measured}, workers=workers)
        return measured, publish(job, clean.run(job))

    return both


def test_personal_data_is_counted_by_kind_and_language(run: Callable[..., tuple[Artifact, Artifact]]) -> None:
    measured, kept = run(**PII)
    assert measured.manifest.counts["pii"] == {
        "email": {"en": 30, "zh": 30},
        "cn_id": {"zh": 30},
        "phone_us": {"en": 30},
    }
    assert table(measured, "signals")["pii"].to_pylist() == [2.0] * 60
    assert table(measured, "parts")["text"][1].as_py() == "Mail <EMAIL> or ring 415-555-0101."
    chapter, _ = reports.signals([ReportedStep("", measured, (), measured.folder)]).chapters
    (block,) = chapter.blocks
    assert isinstance(block, ReportTable) and block.rows[0][1:] == ("60", "30", "30", "replaced")


def test_a_kind_that_drops_is_a_rule_and_its_text_is_replaced(run: Callable[..., tuple[Artifact, Artifact]]) -> None:
    _, kept = run(**PII)
    assert kept.manifest.counts["dropped"] == {"pii.max_cn_id": 30}
    assert kept.manifest.counts["out"] == 30
    rejected = table(kept, "rejected")
    assert set(rejected["rule"].to_pylist()) == {"pii.max_cn_id"}
    assert rejected["text"][0].as_py() == "邮箱<EMAIL>，身份证<ID_NUMBER>，第0号。"


def test_a_filter_limits_how_much_a_document_may_have(run: Callable[..., tuple[Artifact, Artifact]]) -> None:
    section = {"cleaners": ["pii"], "filters": [{"pii": {"max_total": {"words": 1, "characters": None}}}]}
    _, kept = run(**section)
    assert kept.manifest.counts["dropped"] == {"pii.max_total": 30}


def test_the_same_bytes_with_one_worker_and_three(run: Callable[..., tuple[Artifact, Artifact]]) -> None:
    one, three = run("1", 1, **PII), run("3", 3, **PII)
    assert [artifact.manifest.digest for artifact in one] == [artifact.manifest.digest for artifact in three]


def test_without_the_cleaner_nothing_changes() -> None:
    params = signals_params(Clean(), 17)
    assert params["cleaners"] == [{"name": "unicode", "options": {}}]
    assert "pii" not in str(rules_params(Clean(), 17))


def test_the_revision_of_the_rules_is_part_of_the_signals() -> None:
    (_, entry) = signals_params(Clean.model_validate({"cleaners": ["unicode", "pii"]}), 17)["cleaners"]
    assert entry["name"] == "pii" and entry["revision"] >= 1


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"filters": ["pii"]}, "reads what the cleaner pii counts"),
        (
            {"cleaners": [{"pii": {"kinds": ["email"]}}], "filters": [{"pii": {"max_qq": 0}}]},
            "limits qq, which the cleaner pii does not look for",
        ),
    ],
)
def test_a_filter_without_its_cleaner_is_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        Clean.model_validate(section)
    assert message in str(error.value.errors()[0]["ctx"]["inner"])
