"""The chapter of models in a report: scores by language and source, examples, and what a model learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.exploring import BINS
from pipeline.core.job import Job, StageOutput
from pipeline.core.manifest import Manifest, content_digest_of, digest_of
from pipeline.core.report import ReportedStep, ReportTable, SampleTexts
from training.reports.annotate import annotate, summary


@pytest.fixture
def reported(
    documents: Artifact, toy: str, make_annotate_job: Callable[..., Job], annotate_with: Callable[..., StageOutput]
) -> Callable[[Any], ReportedStep]:
    def report(figures: Any) -> ReportedStep:
        job = make_annotate_job({"documents": documents}, f"{toy}:Characters")
        output = annotate_with(job)
        digest = digest_of(output.files)
        manifest = Manifest(
            "annotate", 1, digest, "annotations", job.params, {"signals": documents.manifest.digest},
            tuple(output.files), output.counts, digest, content_digest_of(output.files),
            input_digests={"signals": documents.manifest.digest},
        )  # fmt: skip
        (job.folder / "annotation.json").write_text(
            f'{{"name": "size", "model": "toy", "figures": {figures}}}', encoding="utf-8"
        )
        return ReportedStep("size", Artifact(job.folder, manifest), (documents,), Path("metrics"))

    return report


def test_scores_are_shown_by_language_with_examples_from_low_to_high(reported: Any) -> None:
    report = annotate([reported("{}")])
    [chapter], [done] = report.chapters, report.done
    assert (done.text, done.chapter) == ("score_size: scored 70 documents", chapter.id)
    table, *examples = chapter.blocks
    assert isinstance(table, ReportTable) and table.title == "score_size: toy"
    rows = {row[0]: row for row in table.rows}
    assert {language: row[1:4] for language, row in rows.items()} == {
        "en": ("all", "24", "1"), "unknown": ("all", "23", "0"), "zh": ("all", "23", "0"),
    }  # fmt: skip
    assert rows["zh"][4] == "19.2" and len(rows["zh"][-1].text) == BINS
    assert [block.title.split(",")[1] for block in examples if isinstance(block, SampleTexts)] == [
        " en: from the lowest score to the highest", " unknown: from the lowest score to the highest",
        " zh: from the lowest score to the highest",
    ]  # fmt: skip
    chinese = examples[-1]
    assert isinstance(chinese, SampleTexts) and len(chinese.items) == 5
    values = [float(item.note.split(" ")[0]) for item in chinese.items]
    assert values == sorted(values) and chinese.items[0].text.startswith("安静的河流")


def test_what_a_model_learned_is_shown_as_tables(reported: Any) -> None:
    figures = '{"held_back": {"accuracy": 0.93, "items": 1200}, "scores": {"good": {"p25": 1, "p5": 0.5}}}'
    [chapter] = annotate([reported(figures)]).chapters
    single, nested = chapter.blocks[-2:]
    assert isinstance(single, ReportTable) and isinstance(nested, ReportTable)
    assert single.rows == (("held back: accuracy", "0.93"), ("held back: items", "1,200"))
    assert [column.title for column in nested.columns] == ["", "p5", "p25"] and nested.rows == (("good", "0.5", "1"),)


def test_documents_without_a_score_are_part_of_the_summary(reported: Any) -> None:
    step = reported("{}")
    assert step.artifact is not None
    assert summary(step.artifact.manifest).startswith("70 documents, 1 without a score, ")
    assert annotate([replace(step, artifact=None)]).chapters == ()
