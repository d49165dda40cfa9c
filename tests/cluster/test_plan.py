"""Fingerprints, the hashes of raw files, and the reason for every state."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from cluster.config import load
from cluster.ledger import Ledger
from cluster.plan import PlannedStep, plan
from pipeline.core.files import RawFile, write_json
from pipeline.core.manifest import Manifest
from pipeline.core.shards import entry_of
from pipeline.core.store import Store

TEXT = """\
workdir: {work}
ingest: {{sources: [{{reader: jsonl, paths: "{data}/*.jsonl", name: own}}]}}
clean: {{}}
dedupe: {{}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name, text in (("a", "iron"), ("b", "铁")):
        (tmp_path / "data" / f"{name}.jsonl").write_text(
            json.dumps({"text": text}, ensure_ascii=False), encoding="utf-8"
        )
    (tmp_path / "run.yaml").write_text(TEXT.format(work=tmp_path / "work", data=tmp_path / "data"))
    return tmp_path


def planned(folder: Path, *overrides: str) -> dict[str, PlannedStep]:
    loaded = load(folder / "run.yaml", overrides)
    return {one.id: one for one in plan(loaded, Store(loaded.workdir))}


def publish(folder: Path, one: PlannedStep) -> None:
    """An artifact without rows under a planned stage's fingerprint."""
    path = folder / "work" / "store" / one.stage / one.fingerprint
    path.mkdir(parents=True)
    raw = [{"source": s["source"], "name": f["name"], "sha256": f["sha256"]} for s in one.sources for f in s["files"]]
    write_json(path / "raw.json", raw)
    files, digest = (entry_of(path, "raw.json"),), one.fingerprint
    manifest = Manifest(
        one.stage, one.spec.version, one.fingerprint, "documents", one.params, one.inputs, files, {}, digest, ""
    )
    write_json(path / "manifest.json", manifest.to_dict())


def test_a_fingerprint_is_the_hash_of_stage_version_parameters_and_inputs(folder: Path) -> None:
    stages = planned(folder)
    one = stages["dedupe"]
    whole = {
        "stage": "dedupe",
        "version": one.spec.version,
        "params": one.params,
        "inputs": {"clean": stages["clean"].fingerprint},
    }
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert one.fingerprint == hashlib.sha256(text.encode()).hexdigest()


def test_where_raw_files_lie_changes_nothing_and_what_they_hold_does(folder: Path) -> None:
    before = planned(folder)["ingest"].fingerprint
    (folder / "data").rename(folder / "elsewhere")
    paths = f"ingest.sources.0.paths={folder}/elsewhere/*.jsonl"
    assert planned(folder, paths)["ingest"].fingerprint == before
    (folder / "elsewhere" / "b.jsonl").write_text('{"text": "钢"}', encoding="utf-8")
    assert planned(folder, paths)["ingest"].fingerprint != before


def test_raw_files_that_came_went_or_changed_are_named(folder: Path) -> None:
    publish(folder, planned(folder)["ingest"])
    assert planned(folder)["ingest"].state == "done"
    (folder / "data" / "c.jsonl").write_text("{}")
    (folder / "data" / "a.jsonl").unlink()
    (folder / "data" / "b.jsonl").write_text('{"text": "longer than before"}')
    found = planned(folder)["ingest"]
    assert found.state == "stale"
    assert found.reason == "1 raw file added (c.jsonl), 1 raw file removed (a.jsonl), 1 raw file changed (b.jsonl)"


def test_a_changed_rule_redoes_the_rules_and_not_the_signals(folder: Path) -> None:
    for one in planned(folder).values():
        publish(folder, one)
    found = planned(folder, "clean.filters=[{length: {min_units: 99}}, quality, repetition]")
    assert {name: one.state for name, one in found.items()} == {
        "ingest": "done", "signals": "done", "clean": "stale", "dedupe": "stale",
    }  # fmt: skip
    assert "clean.filters.length.min_units" in found["clean"].reason and "99" in found["clean"].reason
    assert found["dedupe"].reason == "runs again unless its input clean is unchanged"


def test_a_draft_of_the_same_fingerprint_is_resumed(folder: Path) -> None:
    one = planned(folder)["ingest"]
    Store(folder / "work").begin("ingest", one.fingerprint)
    assert planned(folder)["ingest"].state == "resume"
    assert planned(folder, "ingest.max_bad_fraction=0.5")["ingest"].state == "run"


def test_an_input_that_changed_is_named_with_both_fingerprints(folder: Path) -> None:
    stages = planned(folder)
    for name in ("ingest", "signals", "clean", "dedupe"):
        publish(folder, stages[name])
    other = planned(folder, "clean.filters=[length]")
    publish(folder, other["clean"])
    found = planned(folder, "clean.filters=[length]")["dedupe"]
    assert found.reason.startswith(f"its input clean changed ({stages['clean'].fingerprint[:8]} → ")


def test_a_raw_file_is_hashed_once_while_its_size_and_time_stay(folder: Path) -> None:
    (folder / "work").mkdir()
    for path in (folder / "data").iterdir():
        os.utime(path, (2, 2))  # one that was just written is not trusted yet
    read: list[str] = []
    loaded = load(folder / "run.yaml")
    for _ in range(2):
        plan(loaded, Store(loaded.workdir), hashed=lambda file: read.append(file.name))
    assert read == ["a.jsonl", "b.jsonl"]
    os.utime(folder / "data" / "b.jsonl", (1, 1))
    plan(loaded, Store(loaded.workdir), hashed=lambda file: read.append(file.name))
    assert read == ["a.jsonl", "b.jsonl", "b.jsonl"]


def test_an_unreadable_ledger_costs_a_reading_and_nothing_else(folder: Path) -> None:
    (folder / "work").mkdir()
    (folder / "work" / "ledger.json").write_text('{"files": {')
    path = folder / "data" / "a.jsonl"
    status = path.stat()
    digest = Ledger(folder / "work").sha256(RawFile(str(path), "a.jsonl", status.st_size, status.st_mtime))
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_to_begin_with_are_known_by_their_digest_and_handed_on_to_what_judges(folder: Path) -> None:
    begun = folder / "begun"
    begun.mkdir()
    manifest = Manifest("pretrain", 1, "0" * 64, "model", {}, {}, (), {}, "d" * 64, "")
    write_json(begun / "manifest.json", manifest.to_dict())
    stages = f"tokenizer: {{}}\npack: {{}}\npretrain: {{init: {begun}}}\nevaluate: {{tasks: [perplexity]}}\n"
    (folder / "run.yaml").write_text(TEXT.format(work=folder / "work", data=folder / "data") + stages)
    found = planned(folder)
    assert found["pretrain"].inputs["init"] == "d" * 64
    assert found["evaluate"].externals["init"].place == begun
    assert "init" not in found["evaluate"].inputs, "the model's own fingerprint says it"
