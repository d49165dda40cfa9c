"""The filter score: limits of the scores that models gave, by entry of annotate and by language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from pipeline.core.artifact import Artifact
from pipeline.core.draft import LocalDraft
from pipeline.core.errors import StageFailed, UserError
from pipeline.core.job import Job
from pipeline.core.manifest import Manifest, content_digest_of, digest_of
from pipeline.core.shards import ShardWriter, number
from pipeline.filters.explorer import SignalExplorer
from pipeline.filters.section import Clean, rules_params, scores_read, signals_params
from pipeline.stages import clean, signals

ENGLISH, CHINESE = "The river carries a letter past the station. ", "安静的河流带着一封信经过车站。"


@pytest.fixture
def measured(
    make_job: Callable[..., Job], make_documents: Callable[..., Artifact], publish: Callable[..., Artifact]
) -> Artifact:
    """The signals of 60 documents, English and Chinese in turn, in two files."""
    records = [{"text": f"{(ENGLISH, CHINESE)[at % 2]}{at}", "language": ("en", "zh")[at % 2]} for at in range(60)]
    documents = make_documents(records, files=2)
    job = make_job("signals", stage="signals", params=signals_params(Clean(), 17), inputs={"documents": documents})
    return publish(job, signals.run(job))


def annotation(folder: Path, documents: Artifact, name: str, scores: Sequence[float], *, of: str = "") -> Artifact:
    """Scores of documents as the stage annotate publishes them."""
    entries, first = [], 0
    schema = pa.schema([("id", pa.string()), (f"score_{name}", pa.float64())])
    for at, part in enumerate(documents.files("parts/")):
        with ShardWriter(folder, "scores", str(at), schema) as writer, pq.ParquetFile(part) as file:
            for group in range(file.num_row_groups):
                ids = file.read_row_group(group, columns=["id"])["id"]
                writer.write(pa.table([ids, pa.array(scores[first : first + len(ids)])], schema=schema))
                first += len(ids)
        assert writer.entry is not None
        entries.append(writer.entry)
    files = tuple(number(LocalDraft(folder), entries))
    digest = digest_of(files)
    inputs = {"signals": of or documents.manifest.digest}
    manifest = Manifest("annotate", 1, digest, "annotations", {}, inputs, files, {"out": first}, digest,
                        content_digest_of(files), input_digests=inputs)  # fmt: skip
    return Artifact(folder, manifest)


def filtered(make_job: Callable[..., Job], documents: Any, annotations: Sequence[Artifact], limits: Any) -> Any:
    params = rules_params(Clean.model_validate({"filters": [{"score": limits}]}), 17)
    job = make_job("clean", stage="clean", params=params, inputs={"documents": documents, "annotations": annotations})
    return clean.run(job).counts


def test_a_document_is_dropped_by_the_limit_of_its_language(
    measured: Artifact, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    quality = annotation(tmp_path / "quality", measured, "quality", [at / 60 for at in range(60)])
    bits = annotation(tmp_path / "bits", measured, "bits", [float(at) for at in range(60)])
    counts = filtered(make_job, measured, [quality, bits], {"min_quality": {"en": 0.5, "zh": 0.25}, "max_bits": 49})
    assert counts["failed"] == {"score.max_bits": 10, "score.min_quality": 15 + 7}
    assert counts["out"] == 60 - 32


def test_a_document_without_a_score_is_kept_and_counted_as_skipped(
    measured: Artifact, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    scores = [np.nan if at < 4 else 1.0 for at in range(60)]
    quality = annotation(tmp_path / "quality", measured, "quality", scores)
    counts = filtered(make_job, measured, [quality], {"min_quality": 0.5})
    assert counts["out"] == 60 and counts["skipped"] == {"score.min_quality": {"en": 2, "zh": 2}}


def test_scores_of_other_documents_are_refused(
    measured: Artifact, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    other = annotation(tmp_path / "other", measured, "quality", [1.0] * 60, of="0" * 64)
    with pytest.raises(StageFailed, match="reads the signal score_quality, which no"):
        filtered(make_job, measured, [other], {"min_quality": 0.5})


def test_every_part_of_a_corpus_gets_the_scores_of_its_own_documents(
    make_job: Callable[..., Job], make_documents: Callable[..., Artifact], publish: Callable[..., Artifact],
    tmp_path: Path,
) -> None:  # fmt: skip
    parts, scores = [], []
    for part, count in enumerate((3, 5)):
        records = [{"text": f"{CHINESE}{part}{at}", "language": "zh"} for at in range(count)]
        source = make_documents(records, name=f"documents-{part}")
        params = signals_params(Clean(), 17)
        job = make_job(f"signals-{part}", stage="signals", params=params, inputs={"documents": source})
        parts.append(publish(job, signals.run(job)))
        for name in ("a", "b"):
            values = [float(10 * part + at) for at in range(count)]
            scores.append(annotation(tmp_path / f"{name}-{part}", parts[-1], name, values))
    # by entry, then by part: as a step reads them
    annotations = [scores[0], scores[2], scores[1], scores[3]]
    counts = filtered(make_job, parts, annotations, {"min_a": 1, "max_b": 12})
    assert counts["failed"] == {"score.max_b": 2, "score.min_a": 1} and counts["out"] == 5
    rows = SignalExplorer().distributions([*annotations, *parts]).rows
    assert [row.quantiles[-1] for row in rows if row.signal == "score_b" and row.source is None] == [14.0]


def test_bloomery_signals_shows_scores_and_tries_limits_as_the_stage_would(
    measured: Artifact, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    quality = annotation(tmp_path / "quality", measured, "quality", [at / 60 for at in range(60)])
    explorer, artifacts = SignalExplorer(), [measured, quality]
    rows = [row for row in explorer.distributions(artifacts).rows if row.signal == "score_quality"]
    assert {row.language: (row.quantiles[0], row.measured) for row in rows} == {"en": (0, 30), "zh": (1 / 60, 30)}
    trial = explorer.trial(artifacts, Clean.model_validate({"filters": ["length"]}), "score.min_quality={zh: 0.5}")
    assert (
        trial.dropped
        == filtered(make_job, measured, [quality], {"min_quality": {"zh": 0.5}})["failed"]["score.min_quality"]
    )
    assert trial.samples and all(sample.language == "zh" and CHINESE in sample.text for sample in trial.samples)
    with pytest.raises(UserError, match="signal score_bits was not measured. Add the model to `annotate`"):
        explorer.trial(artifacts, Clean(), "score.min_bits=3")


def test_the_stage_says_which_entries_it_reads() -> None:
    section = Clean.model_validate({"filters": ["length", {"score": {"min_a": 1, "max_a-b": {"zh": 2}}}]})
    assert [(each.name, each.option) for each in scores_read(section)] == [
        ("a", ("filters", 1, "score", "min_a")), ("a-b", ("filters", 1, "score", "max_a-b")),
    ]  # fmt: skip
    assert Clean.model_validate(section.model_dump(mode="json")) == section


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"quality": 1}, "'quality' is no limit; write min_NAME or max_NAME"),
        ({"min_": 1}, "'min_' is no limit"),
        ({"min_a": "high"}, "write a number, null, or a mapping"),
        ({"min_a": {"klingon language": 1}}, "is no language"),
        ({"min_a": 2, "max_a": {"zh": 1}}, "min_a is 2 for zh, above max_a"),
    ],
)
def test_a_wrong_limit_is_one_sentence(limits: Any, words: str) -> None:
    with pytest.raises(ValidationError) as error:
        Clean.model_validate({"filters": [{"score": limits}]})
    details = error.value.errors()[0].get("ctx", {})
    assert words in str(details)
