"""The stages embed and semantic as a user runs them, with a model of the user's own: killed in each, on Ray and behind
a URL, the same bytes; and the report shows both texts."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import kill_after

pytestmark = pytest.mark.long
MODEL = '''
import time
from training.embedding.hashed import HashedEmbedder
from training.embedding.models_section import HashedVectors

class Options(HashedVectors):
    TASK_BYTES = 1_000

class Slow(HashedEmbedder):
    """Hashed n-grams, slowly, in many tasks."""
    Options = Options
    def vectors(self, documents):
        time.sleep(0.1)
        return super().vectors(documents)
'''
CONFIG = """\
workdir: {workdir}
ingest: {{sources: [{sources}]}}
embed: {{model: "slow_vectors:Slow"}}
semantic: {{threshold: 0.7, cluster_size: 64}}
cluster: {{launcher: {launcher}, workers: {workers}, beam: {{runner: {runner}, workers: {workers}}}}}
"""
ENGLISH = "The river number {n} carries letter {k}{n} past station {k}{n}, and nobody opens box {k}{n} in house {n}{k}."
CHINESE = "{n}号河流带着{k}{n}号信件经过{n}{k}号车站，{k}号房子里没有人打开{n}{k}{n}号盒子。"
FILES, EACH = 6, 20


@pytest.fixture
def topics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """topics("a", runner="ray", workers=2) → the path of a configuration over 120 documents, every fourth of which has
    a copy with another end."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for file in range(FILES):
        lines = []
        for n in range(file * EACH, file * EACH + EACH):
            topic = 1000 + (n - 2 if n % 4 == 3 else n)
            sentence = CHINESE if topic % 3 == 0 else ENGLISH
            text = " ".join(sentence.format(n=topic, k=k) for k in range(20)) + f" {n} " * (n % 4 == 3)
            lines.append(json.dumps({"id": f"d{n}", "text": text}, ensure_ascii=False))
        (corpus / f"{file:02}.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def write(name: str, *, runner: str = "embedded", workers: int = 1, workdir: str = "") -> Path:
        path = tmp_path / f"{name}.yaml"
        # a source each, so that the stage has as many files
        sources = [f'{{reader: jsonl, name: s{n}, paths: "{corpus}/{n:02}.jsonl"}}' for n in range(FILES)]
        where = {"workdir": workdir or tmp_path / name, "sources": ", ".join(sources)}
        launcher = "ray" if runner == "ray" else "local"
        path.write_text(CONFIG.format(runner=runner, launcher=launcher, workers=workers, **where), encoding="utf-8")
        return path

    (tmp_path / "slow_vectors.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path / "machine"))
    return write


def test_a_kill_in_each_stage_changes_no_byte(
    tmp_path: Path, topics: Callable[..., Path], bloomery: Callable[..., str],
    begin: Callable[..., subprocess.Popen[str]], digests: Callable[[Path], dict[str, str]],
) -> None:  # fmt: skip
    bloomery("run", topics("calm"))
    (manifest,) = (tmp_path / "calm").glob("store/semantic/*/manifest.json")
    counts = json.loads(manifest.read_text())["counts"]
    assert counts["dropped"] == {"semantic": 30} and counts["clusters"]["clusters"] >= 2, counts
    path = topics("killed", workers=2)
    for stage in ("embed", "semantic"):
        kill_after(begin("run", path), tmp_path / "killed", f"draft/{stage}/*/attempt-*/tasks/*/*.json")
        assert not (tmp_path / "killed" / "store" / stage).exists()
    assert "resuming" in bloomery("run", path)
    assert digests(tmp_path / "killed") == digests(tmp_path / "calm")
    (report,) = (tmp_path / "calm").glob("runs/*/report.html")
    page = report.read_text(encoding="utf-8")
    assert "Semantic copies" in page and "without semantic copies" in page and "similarity 0." in page


def test_the_bytes_on_ray_and_behind_a_url_are_those_of_one_process(
    tmp_path: Path, topics: Callable[..., Path], bloomery: Callable[..., str],
    digests: Callable[[Path], dict[str, str]],
) -> None:  # fmt: skip
    bloomery("run", topics("one"))
    bloomery("run", topics("ray", runner="ray", workers=2))
    assert digests(tmp_path / "ray") == digests(tmp_path / "one")
    bloomery("run", topics("url", workers=2, workdir=f"file://{tmp_path}/store"))
    assert digests(tmp_path / "store") == digests(tmp_path / "one")
