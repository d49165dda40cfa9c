"""A corpus in several artifacts is worked on as if one artifact held the same files in the same order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json
from pipeline.core.inputs import Inputs
from pipeline.core.job import Job, StageOutput
from pipeline.dedupe.section import Dedupe
from pipeline.filters.section import Clean, rules_params, signals_params
from pipeline.stages import clean, dedupe, pack, signals, tokenizer

Publish = Callable[[Job, StageOutput], Artifact]
Run = Callable[..., Artifact]
ENGLISH = "The furnace was charged from above, layer by layer, and bloom number {} was hammered out while it glowed."
CHINESE = "第{}座炉子把矿石炼成铁块，趁热锻打，然后让它在灰里慢慢冷却。"


def records(first: int, count: int) -> list[dict[str, Any]]:
    """Documents in two languages; every seventh text stands in each part."""
    return [
        {
            "id": f"{first + at:032d}",
            "text": (CHINESE if at % 3 == 0 else ENGLISH).format(at if at % 7 == 0 else first + at) * 3,
            "language": "zh" if at % 3 == 0 else "en",
            "source_id": f"r-{first + at}",
        }
        for at in range(count)
    ]


@pytest.fixture
def corpora(make_documents: Callable[..., Artifact]) -> dict[str, list[Artifact]]:
    """The same two files as one artifact and as two."""
    return {
        "one": [make_documents([*records(0, 40), *records(100, 40)], files=2, name="whole")],
        "two": [make_documents(records(0, 40), name="first"), make_documents(records(100, 40), name="second")],
    }


@pytest.fixture
def run(make_job: Callable[..., Job], publish: Publish) -> Run:
    def make(
        module: Any, name: str, params: dict[str, Any], inputs: dict[str, Any], kind: str = "documents"
    ) -> Artifact:
        job = make_job(f"{module.__name__}-{name}", stage=name, kind=kind, params=params, inputs=inputs)
        return publish(job, module.run(job))

    return make


def test_documents_are_measured_and_chosen_alike(corpora: dict[str, list[Artifact]], run: Run) -> None:
    digests = []
    for name, artifacts in corpora.items():
        measured = run(signals, name, signals_params(Clean(), 17), {"documents": artifacts})
        chosen = run(clean, name, rules_params(Clean(), 17), {"documents": measured})
        digests.append((measured.manifest.digest, chosen.manifest.digest, chosen.manifest.counts))
    assert digests[0] == digests[1]


def test_several_measured_parts_are_chosen_side_by_side(corpora: dict[str, list[Artifact]], run: Run) -> None:
    params = signals_params(Clean(), 17)
    measured = [run(signals, f"part-{at}", params, {"documents": part}) for at, part in enumerate(corpora["two"])]
    whole = run(signals, "whole", params, {"documents": corpora["one"]})
    chosen = [
        run(clean, str(at), rules_params(Clean(), 17), {"documents": x}) for at, x in enumerate((measured, whole))
    ]
    assert chosen[0].manifest.digest == chosen[1].manifest.digest


def test_duplicates_across_parts_are_found(corpora: dict[str, list[Artifact]], run: Run) -> None:
    found = {name: run(dedupe, name, Dedupe().model_dump(), {"documents": a}) for name, a in corpora.items()}
    assert found["one"].manifest.digest == found["two"].manifest.digest
    assert found["two"].manifest.counts["dropped"]["exact"] >= 6


def test_what_an_earlier_part_kept_is_not_dropped_for_a_later_one(
    make_documents: Callable[..., Artifact], run: Run
) -> None:
    text = ENGLISH.format(1) * 6
    short, long = text, text + " It was sold in the valley."
    parts = [make_documents([{"text": t, "source_id": n}], name=n) for n, t in (("short", short), ("long", long))]
    for at, order in enumerate((parts, parts[::-1])):
        kept = run(dedupe, str(at), Dedupe(threshold=0.5).model_dump(), {"documents": order})
        assert kept.manifest.counts["out"] == 1
        (path,) = kept.files("parts/")
        first = order[0].files("parts/")[0]
        assert source_ids(path) == source_ids(first)


def source_ids(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    ids: list[str] = pq.read_table(path)["source_id"].to_pylist()
    return ids


def test_a_tokenizer_and_rows_of_tokens_are_the_same(corpora: dict[str, list[Artifact]], run: Run) -> None:
    digests = []
    for name, artifacts in corpora.items():
        words = run(tokenizer, name, {"vocabulary": 300}, {"documents": artifacts}, "tokenizer")
        inputs = {"documents": artifacts, "tokenizer": words}
        rows = run(pack, name, {"length": 32, "validation": 0.1}, inputs, "tokens")
        assert read_json(rows.file("splits.json"))["validation"]["documents"] >= 2
        digests.append((words.manifest.digest, rows.manifest.digest))
    assert digests[0] == digests[1]


def test_where_one_artifact_is_read_several_are_refused(corpora: dict[str, list[Artifact]]) -> None:
    inputs = Inputs.of({"documents": corpora["two"], "model": []})
    assert "documents" in inputs and "model" not in inputs and inputs.all("model") == ()
    with pytest.raises(StageFailed, match="2 artifacts of the kind documents"):
        inputs.single("documents")
    with pytest.raises(StageFailed, match="0 artifacts of the kind model"):
        inputs.single("model")


def test_files_come_part_by_part_and_within_each_by_the_bytes_of_their_paths(
    corpora: dict[str, list[Artifact]],
) -> None:
    first, second = corpora["two"]
    files = Inputs.of({"documents": [second, first]}).files("documents", "parts/")
    assert files == [*second.files("parts/"), *first.files("parts/")]
    assert all(path.name.startswith("0000-000000-") for path in files)
