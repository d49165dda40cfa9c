"""clean: kept and rejected documents with their reasons, and counts that add up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.job import Job, StageOutput
from pipeline.core.records import DOCUMENTS, REJECTED
from pipeline.filters.section import Clean, rules_params, signals_params
from pipeline.stages import clean, signals

ENGLISH = "The smiths came down from the hills with ore in baskets, and nobody slept while the bellows worked. "
CHINESE = "村口有一座冶铁的炉子，每到秋天，铁匠们就从山上下来，用筐背来矿石。"
WORDS = "amber birch cedar delta ember fjord grove heron inlet jetty knoll larch maple night otter plume quill".split()


def good(number: int) -> dict[str, Any]:
    if number % 2:
        return {"text": f"{CHINESE}这是第{number}次。", "language": "zh"}
    tail = " ".join(f"{word}{number}" for word in WORDS)
    return {
        "text": f"{ENGLISH}It was the year {number} and they had to be quick. {tail} {' '.join(WORDS)}.",
        "language": "en",
    }


BAD = [
    {"text": "too short", "language": "en"},
    {"text": "太短", "language": "zh"},
    {"text": "风箱响起的夜里谁也不睡" * 40, "language": "zh"},
    {"text": good(0)["text"].upper(), "language": "en"},
]  # fmt: skip
REASONS = ["length.min_units", "length.min_units", "repetition.max_top_3gram_characters", "quality.max_upper_letters"]
RECORDS = [good(number) for number in range(60)] + BAD


@pytest.fixture
def measured(
    make_job: Callable[..., Job], make_documents: Callable[..., Artifact], publish: Callable[..., Artifact]
) -> Callable[..., Artifact]:
    def make(records: list[dict[str, Any]] = RECORDS, files: int = 2) -> Artifact:
        params = signals_params(Clean(), 17)
        source = make_documents(records, files=files)
        job = make_job("signals", stage="signals", params=params, inputs={"documents": source})
        return publish(job, signals.run(job))

    return make


@pytest.fixture
def choose(make_job: Callable[..., Job]) -> Callable[..., tuple[Job, StageOutput]]:
    def make(source: Artifact, name: str = "clean", workers: int = 1, **section: Any) -> tuple[Job, StageOutput]:
        params = rules_params(Clean.model_validate(section), 17)
        job = make_job(name, stage="clean", params=params, inputs={"documents": source}, workers=workers)
        return job, clean.run(job)

    return make


def rows(artifact: Artifact, kind: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(f"{kind}/")])


def test_the_good_stay_and_the_bad_go_with_a_reason(
    measured: Callable[..., Artifact], choose: Callable[..., Any], publish: Callable[..., Artifact]
) -> None:
    cleaned = publish(*choose(measured()))
    kept, rejected = rows(cleaned, "parts"), rows(cleaned, "rejected")
    assert kept.schema.equals(DOCUMENTS) and rejected.schema.equals(REJECTED)
    assert kept["source_id"].to_pylist() == [f"made-{number}" for number in range(60)]
    assert rejected["rule"].to_pylist() == REASONS
    first = rejected.to_pylist()[0]
    assert (first["stage"], first["value"], first["threshold"], first["text"]) == ("clean", 2.0, 50.0, "too short")


def test_counts_add_up_by_rule_and_language(measured: Callable[..., Artifact], choose: Callable[..., Any]) -> None:
    counts = choose(measured())[1].counts
    assert (counts["in"], counts["out"], sum(counts["dropped"].values())) == (64, 60, 4)
    assert counts["dropped"]["length.min_units"] == 2
    assert counts["failed"]["length.min_units"] == 2 and sum(counts["failed"].values()) > 4
    assert counts["languages"] == {"en": 30, "zh": 30} and counts["languages_in"] == {"en": 32, "zh": 32}


def test_a_threshold_changes_who_goes(
    measured: Callable[..., Artifact], choose: Callable[..., Any], publish: Callable[..., Artifact]
) -> None:
    cleaned = publish(*choose(measured(), filters=[{"length": {"min_units": {"zh": 3, "words": 1}}}]))
    assert rows(cleaned, "rejected")["text"].to_pylist() == ["太短"]


def test_rejected_text_is_cut_by_characters_or_kept_whole(
    measured: Callable[..., Artifact], choose: Callable[..., Any], publish: Callable[..., Artifact]
) -> None:
    source = measured()
    cut = publish(*choose(source, "cut", keep_rejected_text=3))
    untruncated = publish(*choose(source, "whole", keep_rejected_text=None))
    assert rows(cut, "rejected")["text"].to_pylist()[1:3] == ["太短", "风箱响"]
    assert rows(untruncated, "rejected")["text"][2].as_py() == BAD[2]["text"]


def test_one_worker_and_three_write_the_same_bytes(
    measured: Callable[..., Artifact], choose: Callable[..., Any], publish: Callable[..., Artifact]
) -> None:
    source = measured(files=4)
    one_worker, three_workers = publish(*choose(source, "one")), publish(*choose(source, "three", workers=3))
    assert one_worker.manifest.digest == three_workers.manifest.digest


def test_without_a_filter_everything_stays(measured: Callable[..., Artifact], choose: Callable[..., Any]) -> None:
    counts = choose(measured(), filters=[])[1].counts
    assert counts["out"] == 64 and counts["dropped"] == {}


def test_everything_may_go(
    measured: Callable[..., Artifact], choose: Callable[..., Any], publish: Callable[..., Artifact]
) -> None:
    cleaned = publish(*choose(measured(), filters=[{"length": {"min_units": 10_000}}]))
    assert cleaned.files("parts/") == [] and rows(cleaned, "rejected").num_rows == 64


def test_signals_of_other_documents_are_refused(
    measured: Callable[..., Artifact], choose: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = measured()
    entries = Artifact.entries

    def crossed(self: Artifact, prefix: str = "") -> list[Any]:
        listed = entries(self, prefix)
        return listed[::-1] if prefix == "signals/" else listed

    monkeypatch.setattr(Artifact, "entries", crossed)
    with pytest.raises(StageFailed, match="text and signals belong to different documents"):
        choose(source)
