"""A corpus that grows, and several models in one run, through the real stages."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

CONFIG = """\
name: grown
workdir: {folder}/work
seed: 5
ingest: {{sources: [{{reader: jsonl, paths: "{folder}/data/*.jsonl", name: web}}]}}
clean: {{}}
dedupe: {{}}
tokenizer: {{vocabulary: 512}}
pack: {{length: 64, validation: 0.05}}
pretrain:
  - {{name: small, model: {{family: gpt, layers: 1, heads: 2, width: 16}}, steps: 4, batch_tokens: 512}}
  - {{name: wide, model: {{family: gpt, layers: 1, heads: 2, width: 32}}, steps: 4, batch_tokens: 512}}
evaluate: {{of: [small, wide], tasks: [perplexity]}}
cluster: {{beam: {{workers: 1}}}}
"""


@pytest.fixture
def grown(tmp_path: Path, corpus: Path) -> Path:
    """A configuration over one file of the corpus."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "0.jsonl").write_bytes((corpus / "0.jsonl").read_bytes())
    path = tmp_path / "grown.yaml"
    path.write_text(CONFIG.format(folder=tmp_path), encoding="utf-8")
    return path


def published(folder: Path) -> Counter[str]:
    return Counter(path.parts[-3] for path in (folder / "work").glob("store/*/*/manifest.json"))


def manifest(folder: Path, step: str) -> dict[str, Any]:
    newest = sorted((folder / "work").glob("runs/*"))[-1]
    loaded: dict[str, Any] = json.loads((newest / "artifacts" / step / "manifest.json").read_text(encoding="utf-8"))
    return loaded


@pytest.mark.long
def test_new_files_are_read_beside_the_earlier_ones_and_nothing_is_lost(
    tmp_path: Path, grown: Path, corpus: Path, bloomery: Callable[..., str]
) -> None:
    bloomery("run", grown, "--to", "dedupe")
    (tmp_path / "data" / "3.jsonl").write_bytes((corpus / "3.jsonl").read_bytes())
    printed = bloomery("run", grown, "--to", "dedupe")
    assert published(tmp_path) == {"ingest": 2, "signals": 2, "clean": 2, "dedupe": 2}
    assert all(f"{stage}.part-1" in printed for stage in ("ingest", "signals", "clean"))
    kept = [manifest(tmp_path, step)["counts"]["out"] for step in ("clean", "clean.part-1")]
    dedupe = manifest(tmp_path, "dedupe")
    assert dedupe["counts"]["in"] == sum(kept) and len(dedupe["inputs"]["clean"]) == 2
    newest = sorted((tmp_path / "work").glob("runs/*"))[-1]
    parts = sorted((newest / "artifacts" / "dedupe" / "parts").iterdir())
    ids = [name for part in parts for name in pq.read_table(part, columns=["id"])["id"].to_pylist()]
    assert len(ids) == len(set(ids)) == dedupe["counts"]["out"]
    assert "ingest.part-1" in (newest / "report.html").read_text(encoding="utf-8")
    assert bloomery("run", grown, "--to", "dedupe").count("cached: ") == 7


@pytest.mark.long
def test_two_models_are_trained_and_evaluated_side_by_side(
    tmp_path: Path, grown: Path, bloomery: Callable[..., str]
) -> None:
    bloomery("run", grown)
    assert published(tmp_path)["pretrain"] == published(tmp_path)["evaluate"] == 2
    page = next((tmp_path / "work").glob("runs/*/report.html")).read_text(encoding="utf-8")
    assert "small training loss" in page and "wide training loss" in page and "bits per byte, wide" in page
    run = next((tmp_path / "work").glob("runs/*"))
    assert "Name one: --of small or --of wide" in bloomery("sample", run, "--prompt", "The", code=2)
    assert bloomery("sample", run, "--of", "wide", "--prompt", "The", "--tokens", "3").startswith("The")
    answer = json.loads(bloomery("trace", run, "--of", "small", "--step", "2", "--json"))
    document = answer["rows"][0]["documents"][0]["document"]
    found = json.loads(bloomery("trace", run, "--of", "small", "--document", document[:12], "--json"))
    assert found["document"] == document and found["raw"]["file"] == "0.jsonl" and found["raw"]["position"] >= 1
    bloomery("run", grown, "pretrain.wide.steps=5")
    assert published(tmp_path)["pretrain"] == published(tmp_path)["evaluate"] == 3
