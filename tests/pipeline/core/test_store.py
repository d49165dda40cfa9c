"""Artifacts appear whole or not at all; drafts survive a kill; a survivor of a kill can harm nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.core.errors import StageFailed
from pipeline.core.inputs import Inputs
from pipeline.core.job import Identity, Job, StageOutput
from pipeline.core.manifest import Manifest, StageHashes, as_list, fingerprint
from pipeline.core.places import JobPaths
from pipeline.core.shards import entry_of
from pipeline.core.store import Store

PRINT = "f" * 64


def job_for(store: Store, tmp_path: Path, *, fresh: bool = False) -> Job:
    attempt, folder = store.begin("clean", PRINT, fresh=fresh)
    identity = Identity(
        "clean", 1, "documents", "x:y", PRINT, {"a": 1}, 1, attempt, {"ingest": "e" * 64}, {"ingest": "d" * 64}
    )
    return Job(identity, Inputs(), JobPaths(folder, tmp_path, tmp_path, tmp_path / "log"))


def write_output(job: Job, text: str = "x") -> StageOutput:
    (job.folder / "parts").mkdir(exist_ok=True)
    (job.folder / "parts" / "one.txt").write_text(text)
    (job.folder / "stray.txt").write_text("not recorded")
    return StageOutput([entry_of(job.folder, "parts/one.txt")], {"in": 2, "out": 1, "dropped": {"short": 1}})


def test_a_published_artifact_holds_what_was_recorded_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path)
    job = job_for(store, tmp_path)
    artifact = store.publish(job, write_output(job))
    names = sorted(
        path.relative_to(artifact.folder("")).as_posix() for path in artifact.folder("").rglob("*") if path.is_file()
    )
    assert names == ["journal.jsonl", "manifest.json", "parts/one.txt"]
    assert artifact.place == tmp_path / "store" / "clean" / PRINT
    assert not store.has_draft("clean", PRINT) and store.find("clean", PRINT) == artifact_read(
        artifact.folder(""), artifact
    )


def artifact_read(path: Path, artifact):  # type: ignore[no-untyped-def]
    read = Manifest.read(path / "manifest.json")
    files = tuple(replace(file, content="") for file in artifact.manifest.files)
    assert read == replace(artifact.manifest, files=files)
    return replace(artifact, manifest=read)


def test_the_digest_is_what_sha256sum_prints(tmp_path: Path) -> None:
    store = Store(tmp_path)
    job = job_for(store, tmp_path)
    manifest = json.loads((store.publish(job, write_output(job)).file("manifest.json")).read_text())
    line = f"{hashlib.sha256(b'x').hexdigest()}  parts/one.txt\n"
    assert manifest["digest"] == hashlib.sha256(line.encode()).hexdigest()
    assert manifest["files"] == [{"path": "parts/one.txt", "bytes": 1, "rows": None, "sha256": line.split()[0]}]


def test_a_new_attempt_takes_over_finished_files_and_no_half_written_ones(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = job_for(store, tmp_path)
    write_output(first)
    (first.folder / "parts" / ".two.txt.1.tmp").write_text("half")
    second = job_for(store, tmp_path)
    assert second.identity.attempt == 2 and store.has_draft("clean", PRINT)
    assert [path.name for path in (second.folder / "parts").iterdir()] == ["one.txt"]


def test_a_forced_attempt_takes_over_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_output(job_for(store, tmp_path))
    assert not list(job_for(store, tmp_path, fresh=True).folder.iterdir())


def test_a_superseded_attempt_cannot_publish_and_cannot_change_the_new_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = job_for(store, tmp_path)
    output = write_output(first)
    second = job_for(store, tmp_path)
    with pytest.raises(StageFailed, match="superseded"):
        store.publish(first, output)
    beside = first.folder / "parts" / "beside"
    beside.write_text("other bytes")
    beside.replace(first.folder / "parts" / "one.txt")  # how every writer of ours puts a file in place
    assert (second.folder / "parts" / "one.txt").read_text() == "x"
    store.publish(second, write_output(second))
    with pytest.raises(StageFailed, match="superseded"):
        store.publish(first, output)


def test_rows_that_do_not_add_up_are_never_published(tmp_path: Path) -> None:
    store = Store(tmp_path)
    job = job_for(store, tmp_path)
    output = write_output(job)
    output.counts["out"] = 2
    with pytest.raises(StageFailed, match="do not add up"):
        store.publish(job, output)
    assert store.find("clean", PRINT) is None


def test_forced_work_that_comes_out_otherwise_replaces_the_artifact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for text in ("x", "x", "y"):
        job = job_for(store, tmp_path, fresh=True)
        store.publish(job, write_output(job, text))
        published = store.find("clean", PRINT)
        assert published and published.files("parts/")[0].read_text() == text


def test_a_fingerprint_follows_from_stage_version_params_and_inputs_alone() -> None:
    base = fingerprint("clean", 1, {"b": 1, "a": 2}, {"ingest": "x"})
    assert base == fingerprint("clean", 1, {"a": 2, "b": 1}, {"ingest": "x"})
    whole = '{"inputs":{"ingest":"x"},"params":{"a":2,"b":1},"stage":"clean","version":1}'
    assert base == hashlib.sha256(whole.encode()).hexdigest(), "other programs compute it too"
    others = [fingerprint("c", 1, {"a": 2, "b": 1}, {"ingest": "x"}), fingerprint("clean", 2, {"a": 2, "b": 1}, {}),
              fingerprint("clean", 1, {"a": 3, "b": 1}, {"ingest": "x"})]  # fmt: skip
    assert base not in others


def test_a_job_survives_the_way_to_its_process(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = job_for(store, tmp_path)
    artifact = store.publish(first, write_output(first))
    inputs = Inputs.of({"documents": [artifact, artifact], "init": artifact})
    job = replace(first, inputs=inputs, place=replace(first.place, folder=tmp_path))
    again = Job.from_dict(json.loads(json.dumps(job.to_dict())))
    assert [part.uri for part in again.inputs.all("documents")] == [artifact.uri, artifact.uri]
    read = (
        Inputs.of({"documents": [published, published], "init": published})
        if (published := store.find("clean", PRINT))
        else None
    )
    assert replace(again, progress=job.progress, sources=()) == replace(job, inputs=read)


def test_a_manifest_says_what_its_inputs_held_and_one_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    job = job_for(store, tmp_path)
    path = store.publish(job, write_output(job)).file("manifest.json")
    value = json.loads(path.read_text())
    assert value["inputs"] == {"ingest": "e" * 64} and value["input_digests"] == {"ingest": "d" * 64}
    del value["input_digests"]
    path.write_text(json.dumps(value))
    artifact = store.find("clean", PRINT)
    assert artifact is not None and artifact.manifest.input_digests == {}


def test_an_input_in_one_part_keeps_its_fingerprint_and_the_order_of_several_parts_counts() -> None:
    parts: list[StageHashes] = [{"ingest": "x"}, {"ingest": ["x"]}, {"ingest": ["x", "y"]}, {"ingest": ["y", "x"]}]
    assert len({fingerprint("clean", 1, {}, inputs) for inputs in parts}) == 4
    assert [as_list(inputs["ingest"]) for inputs in parts[:3]] == [["x"], ["x"], ["x", "y"]]
