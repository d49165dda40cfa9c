"""A run of a dataset of a hub: the commit is said and noted, and a commit that changes no file of it runs nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.hub import serving

CONFIG = 'workdir: {workdir}\ningest: {{sources: [{{paths: "hf://datasets/owner/set/data/*"}}]}}\n'


@pytest.mark.long
def test_a_dataset_of_a_hub_is_read_at_one_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bloomery: Callable[..., str]
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(CONFIG.format(workdir=tmp_path / "work"), encoding="utf-8")
    lines = {f"data/{name}.jsonl": "".join(f'{{"text": "{text} {n}"}}\n' for n in range(30)).encode()
             for name, text in (("en", "The quiet river"), ("zh", "安静的河流"))}  # fmt: skip
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HF_TOKEN", hub.token)
        dataset = hub.dataset("owner/set", private=True)
        first = dataset.commit(lines)
        assert f"hf://datasets/owner/set is at commit {first}" in bloomery("check", path)
        bloomery("run", path)
        (ingest,) = (tmp_path / "work" / "store" / "ingest").iterdir()
        assert json.loads((ingest / "manifest.json").read_text())["counts"]["out"] == 60
        assert first in (ingest / "journal.jsonl").read_text()
        written = [file for file in (tmp_path / "work").rglob("*") if file.is_file()]
        assert not [file for file in written if hub.token.encode() in file.read_bytes()]
        dataset.commit({**lines, "README.md": b"# A set"})
        assert "cached" in bloomery("run", path)
        dataset.commit({**lines, "data/en.jsonl": lines["data/en.jsonl"] + b'{"text": "A further line."}\n'})
        assert "61 documents" in bloomery("run", path)
