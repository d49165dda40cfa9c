"""The stage annotate: the same bytes however its work was spread, and from where an earlier attempt stopped."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cluster.launchers import launcher
from pipeline.core.errors import StageFailed, UserError
from pipeline.core.job import ClusterOptions
from training.annotation.section import Annotate, annotate_params
from training.annotation.worker import tasks_of

from .conftest import InProcess


def scores_of(job: Any, output: Any) -> list[Any]:
    return [pq.read_table(job.folder / file.path) for file in output.files if file.path.startswith("scores/")]


def test_scores_have_the_rows_and_row_groups_of_the_documents(
    documents: Any, toy: str, make_annotate_job: Any, annotate_with: Any
) -> None:
    job = make_annotate_job({"documents": documents}, {f"{toy}:Characters": {"factor": 2}})
    output = annotate_with(job)
    files = [job.folder / file.path for file in output.files if file.path.startswith("scores/")]
    for part, scores in zip(documents.files("parts/"), files, strict=True):
        text, scored = pq.ParquetFile(part), pq.ParquetFile(scores)
        groups = range(text.num_row_groups)
        rows = [[file.metadata.row_group(at).num_rows for at in groups] for file in (text, scored)]
        assert rows[0] == rows[1] and scored.num_row_groups == text.num_row_groups
        table, values = text.read(["id", "text"]), scored.read()
        assert values.schema.names == ["id", "score_size"] and values["id"].equals(table["id"])
        lengths = [2.0 * n for n in pc.utf8_length(table["text"]).to_pylist()]
        assert [value for value in values["score_size"].to_pylist() if value == value] == lengths[
            : len(lengths) - (part == documents.files("parts/")[-1])
        ]
    assert output.counts["in"] == output.counts["out"] == 70
    assert output.counts["unscored"] == {"en": 1} and output.counts["languages"] == {"en": 24, "unknown": 23, "zh": 23}
    assert output.numerics is None
    assert json.loads((job.folder / "annotation.json").read_text())["model"] == f"{toy}:Characters"


def test_the_bytes_are_the_same_in_any_order_and_in_two_processes(
    documents: Any, toy: str, make_annotate_job: Any, annotate_with: Any
) -> None:
    outputs = [
        annotate_with(make_annotate_job({"documents": documents}, f"{toy}:Characters", name=name), how)
        for name, how in (("a", InProcess()), ("b", InProcess(backwards=True)))
    ]
    two = make_annotate_job({"documents": documents}, f"{toy}:Characters", name="c", cluster=ClusterOptions(workers=2))
    assert outputs[0] == outputs[1] == annotate_with(two, launcher(two.cluster))


def test_an_interrupted_stage_does_not_score_again_what_was_scored(
    documents: Any, toy: str, make_annotate_job: Any, annotate_with: Any
) -> None:
    undisturbed = annotate_with(make_annotate_job({"documents": documents}, f"{toy}:Characters", name="a"))
    job = make_annotate_job({"documents": documents}, f"{toy}:Characters", name="b")
    scored = sys.modules[toy].SCORED
    scored.clear()
    with pytest.raises(KeyboardInterrupt):
        annotate_with(job, InProcess(stop_after=3))
    first = set(scored)
    assert 0 < len(first) < 70
    assert annotate_with(job) == undisturbed
    assert len(scored) == len(set(scored)) == 70


def test_tasks_follow_from_manifests_alone_and_cover_every_row_once() -> None:
    files: Any = [
        ({"kind": "documents", "part": 0, "name": "a", "bytes": 2500}, 7),
        ({"kind": "documents", "part": 0, "name": "b", "bytes": 9}, 3),
    ]
    tasks = tasks_of(files, 1000)
    assert [(task["key"], task["start"], task["stop"]) for task in tasks] == [
        ("000000-0000", 0, 2), ("000000-0001", 2, 4), ("000000-0002", 4, 7), ("000001-0000", 0, 3),
    ]  # fmt: skip
    assert len(tasks_of([(files[0][0], 2)], 1)) == 2


@pytest.mark.parametrize(("value", "words"), [("inf", "is infinite"), ("nan", "gave no document a score")])
def test_a_score_that_is_no_number_is_never_silent(
    value: str, words: str, documents: Any, toy: str, make_annotate_job: Any, annotate_with: Any
) -> None:
    job = make_annotate_job({"documents": documents}, f"{toy}:Characters")
    job.section["model"] = {f"{toy}:Characters": {"value": 1.0}}
    broken = type(sys.modules[toy].Characters)(
        "Broken", (sys.modules[toy].Characters,), {"score": lambda self, documents: [float(value)] * len(documents)}
    )
    sys.modules[toy].Characters = broken
    with pytest.raises(StageFailed, match=words):
        annotate_with(job)


def test_a_model_that_learns_reads_the_texts_that_the_user_names(
    documents: Any, toy: str, make_annotate_job: Any, annotate_with: Any, tmp_path: Path
) -> None:
    lines = [{"body": "eight ch"}, {"body": "四个汉字"}, {"body": "  "}]
    (tmp_path / "like.jsonl").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    like = [{"reader": "jsonl", "paths": str(tmp_path / "like.jsonl"), "text": "body"}]
    job = make_annotate_job({"documents": documents}, {f"{toy}:Learned": {"like": like}})
    output = annotate_with(job)
    about = json.loads((job.folder / "annotation.json").read_text())
    assert about["figures"] == {"texts": 2, "bad": 1, "seed": 17}
    first = scores_of(job, output)[0]["score_size"][0].as_py()
    assert first == len("The quiet river carries a letter past the old station. ") / 6


def test_the_content_of_texts_counts_and_not_their_place(toy: str, tmp_path: Path) -> None:
    def params(name: str, text: str) -> Any:
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "like.txt").write_text(text, encoding="utf-8")
        model = {f"{toy}:Learned": {"like": str(tmp_path / name / "like.txt")}}
        return annotate_params(Annotate.model_validate({"name": "size", "model": model}), 17)

    assert params("here", "河流") == params("there", "河流") != params("there", "river")
    assert str(tmp_path) not in json.dumps(params("here", "河流"))


def test_a_text_set_without_a_text_is_one_sentence(
    documents: Any, toy: str, make_annotate_job: Any, annotate_with: Any, tmp_path: Path
) -> None:
    (tmp_path / "like.jsonl").write_text('{"text": " "}\n', encoding="utf-8")
    job = make_annotate_job({"documents": documents}, {f"{toy}:Learned": {"like": str(tmp_path / "like.jsonl")}})
    with pytest.raises(UserError, match="like has no text: 1 records could not be read"):
        annotate_with(job)
