"""The stage passages as a user runs it, with a finder of the user's own: killed, on Ray and behind a URL, the same
bytes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.objects import ObjectStore
from tests.support.processes import kill_after, kill_when
from tests.support.s3 import digests_of, finished_tasks

pytestmark = pytest.mark.long
STAGES = ["ingest", "passages"]
FINDER = '''
import time
from pipeline.passages.lines import RepeatedLines
from pipeline.passages.section import Lines

class Slow(RepeatedLines):
    """Repeated lines, found slowly."""
    Options = Lines
    def keys(self, batch):
        time.sleep(0.1)
        return super().keys(batch)
    def is_repeated(self, *arguments):
        time.sleep(0.2)
        return super().is_repeated(*arguments)
'''
CONFIG = """\
workdir: {workdir}
ingest: {{sources: [{sources}]}}
passages:
  finders: [boilerplate, "slow_finder:Slow", paragraphs, {{sentences: {{min_words: 10}}}}, substrings]
cluster: {{beam: {{runner: {runner}, workers: {workers}}}}}
"""
ENGLISH = "The quiet river number {} carries a letter which nobody has opened yet, and it goes on to the sea at {}."
CHINESE = "第{}条安静的河流带着一封还没有人打开过的信，一直流到大海边上的第{}座城市里去。"
MENU, FOOT = "Home | About us | Contact | Privacy policy", "版权所有，未经许可不得转载。返回顶部"


@pytest.fixture
def repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """repeats("a", runner="ray", workers=2) → the path of a configuration over twelve files with repeated passages."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for file in range(12):
        texts = []
        for n in range(file * 20, file * 20 + 20):
            sentence = CHINESE if n % 3 == 0 else ENGLISH
            own = "\n".join(sentence.format(n, k) for k in range(5))
            shared = " ".join(sentence.format(n % 7, k) for k in range(100, 104))
            texts.append(f"{MENU}\n\n{own}\n\n{shared}\n\n{FOOT}")
        lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
        (corpus / f"{file:02}.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def write(name: str, *, runner: str = "embedded", workers: int = 1, workdir: str = "") -> Path:
        path = tmp_path / f"{name}.yaml"
        # a source each, so that the stage has as many files
        sources = [f'{{reader: jsonl, name: s{n}, paths: "{corpus}/{n:02}.jsonl"}}' for n in range(12)]
        where = {"workdir": workdir or tmp_path / name, "sources": ", ".join(sources)}
        path.write_text(CONFIG.format(runner=runner, workers=workers, **where), encoding="utf-8")
        return path

    (tmp_path / "slow_finder.py").write_text(FINDER, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path / "machine"))
    return write


def test_a_kill_in_the_middle_changes_no_byte(
    tmp_path: Path, repeats: Callable[..., Path], bloomery: Callable[..., str],
    begin: Callable[..., subprocess.Popen[str]], digests: Callable[[Path], dict[str, str]],
) -> None:  # fmt: skip
    bloomery("run", repeats("calm"))
    path = repeats("killed", workers=2)
    kill_after(begin("run", path), tmp_path / "killed", "draft/passages/*/attempt-*/tasks/*/*.json")
    assert not (tmp_path / "killed" / "store" / "passages").exists()
    assert "resuming" in bloomery("run", path)
    assert digests(tmp_path / "killed") == digests(tmp_path / "calm")
    (manifest,) = (tmp_path / "calm").glob("store/passages/*/manifest.json")
    counts = json.loads(manifest.read_text())["counts"]["passages"]
    assert all(counts[name]["passages"] > 100 for name in ("boilerplate", "slow_finder:Slow", "sentences")), counts


@pytest.mark.parametrize("step", ["keys", "write"])
def test_after_a_kill_another_machine_goes_on_from_an_s3_server(
    step: str, tmp_path: Path, repeats: Callable[..., Path], bloomery: Callable[..., str],
    begin: Callable[..., subprocess.Popen[str]], s3_bucket: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    bloomery("run", repeats("calm"))
    url = f"s3://{s3_bucket}/w"
    path = repeats("killed", workers=2, workdir=url)
    store = ObjectStore(url)
    kill_when(begin("run", path), lambda: len(finished_tasks(store, step).get(1, [])), count=2)
    assert digests_of(url, STAGES) == digests_of(tmp_path / "calm", ["ingest"])
    monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path / "another-machine"))
    assert "resuming, attempt 2" in bloomery("run", path)
    assert digests_of(url, STAGES) == digests_of(tmp_path / "calm", STAGES)


def test_the_bytes_on_ray_and_behind_a_url_are_those_of_one_process(
    tmp_path: Path, repeats: Callable[..., Path], bloomery: Callable[..., str],
    digests: Callable[[Path], dict[str, str]],
) -> None:  # fmt: skip
    bloomery("run", repeats("one"))
    bloomery("run", repeats("ray", runner="ray", workers=2))
    assert digests(tmp_path / "ray") == digests(tmp_path / "one")
    bloomery("run", repeats("url", workers=2, workdir=f"file://{tmp_path}/store"))
    assert digests(tmp_path / "store") == digests(tmp_path / "one")
