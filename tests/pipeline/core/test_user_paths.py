"""Every path that a section names is found, at any depth."""

from __future__ import annotations

from pathlib import Path

from cluster.config import load
from pipeline.core.user_paths import user_paths

CONFIG = """
workdir: /tmp/x
ingest: {sources: [{reader: jsonl, paths: ["/a/*.jsonl", "s3://b/c"]}, {reader: plain, paths: /b}]}
tokenizer: {vocabulary: 300}
pack: {length: 16}
pretrain:
  - {name: small, model: {hf: {folder: /m}}, steps: 3, init: /init}
  - {name: word, model: gpt, steps: 3, init_embeddings: {artifact: /e}}
evaluate: {of: [small], tasks: [{similarity: {files: [/w.csv, /v.csv]}}, perplexity]}
"""


def test_paths_are_found_in_lists_components_and_entries(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(CONFIG, encoding="utf-8")
    config = load(tmp_path / "run.yaml", checks=()).config
    assert dict(user_paths(config)) == {
        ("workdir",): "/tmp/x",
        ("ingest", "sources", 0, "paths", 0): "/a/*.jsonl",
        ("ingest", "sources", 0, "paths", 1): "s3://b/c",
        ("ingest", "sources", 1, "paths", 0): "/b",
        ("pretrain", 0, "model", "hf", "folder"): "/m",
        ("pretrain", 0, "init"): "/init",
        ("pretrain", 1, "init_embeddings", "artifact"): "/e",
        ("evaluate", "tasks", 0, "similarity", "files", 0): "/w.csv",
        ("evaluate", "tasks", 0, "similarity", "files", 1): "/v.csv",
    }
