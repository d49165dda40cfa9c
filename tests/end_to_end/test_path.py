"""One command from raw text to an exported checkpoint, and what it leaves for other programs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.core.records import DOCUMENTS, DUPLICATES, QUARANTINE, REJECTED, document_id, tokens_schema

STAGES = ["ingest", "signals", "clean", "dedupe", "tokenizer", "pack", "pretrain", "evaluate", "export"]
SCHEMAS = {"quarantine": QUARANTINE, "rejected": REJECTED, "duplicates": DUPLICATES, "parts": DOCUMENTS,
           "train": tokens_schema(512), "validation": tokens_schema(512)}  # fmt: skip


def artifacts(workdir: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    found = {}
    for path in workdir.glob("store/*/*/manifest.json"):
        found[path.parts[-3]] = (path.parent, json.loads(path.read_text(encoding="utf-8")))
    return found


def test_the_path_its_artifacts_and_the_second_run(
    tmp_path: Path, corpus: Path, config: Callable[..., Path], bloomery: Callable[..., str]
) -> None:
    path = config("a", beam=2)
    printed = bloomery("run", path)
    assert "report.html" in printed and "bloomery sample" in printed
    found = artifacts(tmp_path / "a")
    assert sorted(found) == sorted(STAGES)
    for stage in STAGES:
        check_artifact(stage, *found[stage])
    check_documents(corpus, found["ingest"][0])
    check_rows(found["pack"][0], length=64)
    assert found["ingest"][1]["counts"]["quarantined"] == 1
    assert found["dedupe"][1]["counts"]["dropped"]["minhash"] >= 20
    scores = {(row["task"], row["metric"]) for row in json.loads((found["evaluate"][0] / "scores.json").read_text())}
    assert {("perplexity", "bits_per_byte"), ("perplexity", "xz_bits_per_byte")} <= scores
    check_wall_time(found["pretrain"][0])
    check_second_run(path, bloomery)


def check_wall_time(model: Path) -> None:
    """Every moment of the stage, by the supervisor's clock, has a kind: none is found by subtraction."""
    lines = [json.loads(line) for line in (model / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    published, measured = lines[0], lines[1]
    kinds = {**published["goodput"], "publish": measured["publish_seconds"]}
    assert all(kinds[kind] > 0 for kind in ("start_up", "data_wait", "compute", "checkpoint", "ending", "publish"))
    assert sum(kinds.values()) == pytest.approx(measured["seconds"], rel=0.02)


def check_artifact(stage: str, folder: Path, manifest: dict[str, Any]) -> None:
    lines = []
    for file in sorted(manifest["files"], key=lambda file: file["path"].encode()):
        target = folder / file["path"]
        sha256 = hashlib.sha256(target.read_bytes()).hexdigest()
        assert sha256 == file["sha256"] and target.stat().st_size == file["bytes"], file["path"]
        lines.append(f"{sha256}  {file['path']}\n")
        kind = file["path"].split("/")[0]
        if kind in SCHEMAS:
            assert pq.read_schema(target).equals(SCHEMAS[kind]), (stage, file["path"])
            part, index, short = target.stem.split("-")
            assert (len(part), len(index), short) == (4, 6, sha256[:8])
            assert pq.read_metadata(target).num_rows == file["rows"]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == manifest["digest"]
    whole = {key: manifest[key] for key in ("stage", "version", "params", "inputs")}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == manifest["fingerprint"] == folder.name
    recorded = {file["path"] for file in manifest["files"]} | {"manifest.json", "journal.jsonl"}
    assert recorded == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def check_documents(corpus: Path, ingest: Path) -> None:
    rows = [row for file in sorted((ingest / "parts").iterdir()) for row in pq.read_table(file).to_pylist()]
    lines = (corpus / "0.jsonl").read_bytes().splitlines()
    first = json.loads(lines[0])
    sha256 = hashlib.sha256(first["text"].encode()).hexdigest()
    row = rows[0]
    assert row["source_id"] == first["id"] and row["text"] == first["text"] and row["language"] == first["lang"]
    assert row["id"] == document_id(row["source"], "0.jsonl", 1, sha256)
    assert len(rows) == 600 and len({row["id"] for row in rows}) == 600


def check_rows(pack: Path, *, length: int) -> None:
    for split in ("train", "validation"):
        rows = [row for file in sorted((pack / split).iterdir()) for row in pq.read_table(file).to_pylist()]
        assert rows and all(len(row["tokens"]) == length for row in rows[:-1]) and len(rows[-1]["tokens"]) <= length
        for row in rows:
            spans = row["documents"]
            assert [span["start"] for span in spans] == [0, *(span["end"] for span in spans[:-1])]
            assert spans[-1]["end"] == len(row["tokens"])
            ends = [index + 1 for index, token in enumerate(row["tokens"]) if token == 0]
            assert ends == [span["end"] for span in spans if row["tokens"][span["end"] - 1] == 0]


def check_second_run(path: Path, bloomery: Callable[..., str]) -> None:
    lines = bloomery("run", path).splitlines()
    for stage in STAGES:
        assert any(stage in line and "cached: " in line for line in lines), stage


@pytest.mark.long
def test_a_changed_threshold_redoes_what_follows_and_the_plan_names_it(
    tmp_path: Path, config: Callable[..., Path], bloomery: Callable[..., str]
) -> None:
    path = config("a")
    bloomery("run", path, "--to", "dedupe")
    before = artifacts(tmp_path / "a")
    text = path.read_text().replace("clean: {}", "clean: {filters: [{length: {min_units: 300}}, quality, repetition]}")
    path.write_text(text)
    plan = bloomery("plan", path)
    assert "min_units" in plan and "300" in plan
    bloomery("run", path, "--to", "dedupe")
    names = [path.parts[-3] for path in (tmp_path / "a").glob("store/*/*/manifest.json")]
    assert sorted(names) == ["clean", "clean", "dedupe", "dedupe", "ingest", "signals"]
    assert before["signals"][1]["digest"] == artifacts(tmp_path / "a")["signals"][1]["digest"]


@pytest.mark.long
def test_one_and_two_beam_workers_give_the_same_digests(
    tmp_path: Path, config: Callable[..., Path], bloomery: Callable[..., str], digests: Callable[[Path], dict[str, str]]
) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        bloomery("run", config(name, beam=workers))
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert sorted(digests(tmp_path / "one")) == sorted(STAGES)
