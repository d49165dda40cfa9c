"""A corpus as a list of parts: new files are a part of their own, and earlier parts stay what they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.config import load
from cluster.ledger import Ledger
from cluster.parts import parts_of
from cluster.plan import PlannedStep, plan
from pipeline.core.files import write_json
from pipeline.core.manifest import Manifest
from pipeline.core.shards import entry_of
from pipeline.core.store import Store

TEXT = """\
workdir: {work}
ingest: {{sources: [{{reader: jsonl, paths: "{data}/*.jsonl", name: 语料}}]}}
clean: {{}}
dedupe: {{}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name, text in (("a", "iron"), ("b", "铁")):
        write(tmp_path, name, text)
    (tmp_path / "run.yaml").write_text(TEXT.format(work=tmp_path / "work", data=tmp_path / "data"))
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / "data" / f"{name}.jsonl").write_text(json.dumps({"text": text}, ensure_ascii=False), encoding="utf-8")


def planned(folder: Path, *overrides: str) -> dict[str, PlannedStep]:
    loaded = load(folder / "run.yaml", overrides)
    return {one.id: one for one in plan(loaded, Store(loaded.workdir))}


def publish(folder: Path, *steps: PlannedStep) -> None:
    for step in steps:
        path = folder / "work" / "store" / step.stage / step.fingerprint
        path.mkdir(parents=True, exist_ok=True)
        raw = [
            {"source": s["source"], "name": f["name"], "sha256": f["sha256"]} for s in step.sources for f in s["files"]
        ]
        write_json(path / "raw.json", raw)
        identity, files_ = step.fingerprint, (entry_of(path, "raw.json"),)
        manifest = Manifest(
            step.stage, step.spec.version, identity, "documents", step.params, step.inputs, files_, {}, identity, ""
        )
        write_json(path / "manifest.json", manifest.to_dict())


def states(folder: Path) -> dict[str, str]:
    return {step.id: step.state for step in planned(folder).values()}


def files(step: PlannedStep) -> list[str]:
    return [file["name"] for source in step.sources for file in source["files"]]


@pytest.fixture
def grown(folder: Path) -> Path:
    """Everything is published of a and b; then c came."""
    publish(folder, *planned(folder).values())
    write(folder, "c", "钢")
    return folder


def test_a_new_work_directory_makes_one_part(folder: Path) -> None:
    assert list(planned(folder)) == ["ingest", "signals", "clean", "dedupe"]


def test_new_files_are_a_part_beside_the_earlier_ones(grown: Path) -> None:
    steps = planned(grown)
    assert {id_: step.state for id_, step in steps.items()} == {
        "ingest": "done", "ingest.part-1": "stale", "signals": "done", "signals.part-1": "stale", "clean": "done",
        "clean.part-1": "stale", "dedupe": "stale",
    }  # fmt: skip
    assert files(steps["ingest.part-1"]) == ["c.jsonl"]
    assert [one.step for one in steps["dedupe"].reads["documents"]] == ["clean", "clean.part-1"]
    assert steps["dedupe"].inputs == {"clean": [steps["clean"].fingerprint, steps["clean.part-1"].fingerprint]}


def test_a_changed_or_removed_file_redoes_its_own_part(grown: Path) -> None:
    publish(grown, *planned(grown).values())
    assert set(states(grown).values()) == {"done"}
    write(grown, "b", "改")
    after = states(grown)
    assert after["ingest"] == after["clean"] == "stale" and after["ingest.part-1"] == after["clean.part-1"] == "done"
    (grown / "data" / "b.jsonl").unlink()
    after = states(grown)
    assert after["ingest"] == "stale" and after["ingest.part-1"] == "done"


def test_a_part_whose_files_are_all_gone_is_left_out(grown: Path) -> None:
    publish(grown, *planned(grown).values())
    (grown / "data" / "a.jsonl").unlink()
    (grown / "data" / "b.jsonl").unlink()
    steps = planned(grown)
    assert list(steps) == ["ingest", "signals", "clean", "dedupe"] and files(steps["ingest"]) == ["c.jsonl"]
    assert steps["ingest"].state == steps["clean"].state == "done"


def test_a_lost_ledger_is_written_again_from_what_is_published(grown: Path) -> None:
    publish(grown, *planned(grown).values())
    before = states(grown)
    parts = Ledger(grown / "work").parts
    assert [sorted(part) for part in parts] == [["语料/a.jsonl", "语料/b.jsonl"], ["语料/c.jsonl"]]
    (grown / "work" / "ledger.json").unlink()
    assert states(grown) == before and Ledger(grown / "work").parts == parts


def test_another_corpus_with_the_same_names_is_no_part_of_this_one(folder: Path) -> None:
    publish(folder, *planned(folder).values())
    for name in ("a", "b", "c"):
        write(folder, name, f"别的 {name}")
    assert list(planned(folder)) == ["ingest", "signals", "clean", "dedupe"]


def test_a_source_that_is_added_is_a_part_and_the_earlier_part_stays(folder: Path) -> None:
    publish(folder, *planned(folder).values())
    (folder / "more.txt").write_text("more iron")
    text = (folder / "run.yaml").read_text().replace("语料}]", f"语料}}, {{reader: plain, paths: {folder}/more.txt}}]")
    (folder / "run.yaml").write_text(text)
    after = states(folder)
    assert after["ingest"] == after["clean"] == "done" and after["ingest.part-1"] == "stale"


def test_files_that_were_published_together_are_one_part_whatever_else_was() -> None:
    some, more = {"a": "1"}, {"a": "1", "b": "2"}
    assert parts_of(more, [some, more]) == [["a", "b"]]
    assert parts_of(more, [some]) == [["a"], ["b"]]
    assert parts_of(some, []) == [["a"]]
