"""The stage annotate as a user runs it: killed, on Ray, and behind a URL, with the bytes of an undisturbed run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.objects import ObjectStore
from tests.support.processes import kill_after, kill_when
from tests.support.s3 import digests_of, finished_tasks

pytestmark = pytest.mark.long
STAGES = ["ingest", "signals", "annotate", "clean"]
MODEL = '''
import os
import time
from pathlib import Path
import pyarrow.compute as pc
from training.annotation.base import Scorer
from training.annotation.options import ScorerOptions

class Options(ScorerOptions):
    TASK_BYTES = 4000

class Slow(Scorer):
    """The number of characters of each document; notes which documents it scored."""
    Options = Options
    def score(self, documents):
        note = Path(os.environ["SCORED"], f"{documents['id'][0].as_py()}-{time.time_ns()}")
        note.write_text("\\n".join(documents["id"].to_pylist()))
        time.sleep(0.2)
        return pc.utf8_length(documents["text"]).to_numpy().astype(float)
'''
CONFIG = """\
workdir: {workdir}
ingest: {{sources: [{{reader: jsonl, paths: "{corpus}/*.jsonl*"}}]}}
annotate: {{name: size, model: "slow_model:Slow"}}
clean: {{filters: [{{score: {{min_size: {{en: 1500, zh: 300}}}}}}]}}
cluster: {{launcher: {launcher}, workers: {workers}}}
"""


@pytest.fixture
def annotated(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """annotated("a", launcher="ray", workers=2) → the path of a configuration."""

    def write(name: str, *, launcher: str = "local", workers: int = 1, workdir: str = "") -> Path:
        path = tmp_path / f"{name}.yaml"
        where = {"workdir": workdir or tmp_path / name, "corpus": corpus}
        path.write_text(CONFIG.format(launcher=launcher, workers=workers, **where), encoding="utf-8")
        return path

    (tmp_path / "slow_model.py").write_text(MODEL, encoding="utf-8")
    (tmp_path / "scored").mkdir()
    monkeypatch.setenv("SCORED", str(tmp_path / "scored"))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path / "machine"))
    return write


def test_a_kill_in_the_middle_changes_no_byte_and_keeps_what_was_scored(
    tmp_path: Path, annotated: Callable[..., Path], bloomery: Callable[..., str],
    begin: Callable[..., subprocess.Popen[str]], digests: Callable[[Path], dict[str, str]],
) -> None:  # fmt: skip
    bloomery("run", annotated("calm"))
    for note in (tmp_path / "scored").iterdir():
        note.unlink()
    path = annotated("killed", workers=2)
    kill_after(begin("run", path), tmp_path / "killed", "draft/annotate/*/attempt-*/tasks/score/*.json")
    assert not (tmp_path / "killed" / "store" / "annotate").exists()
    assert "resuming" in bloomery("run", path)
    assert digests(tmp_path / "killed") == digests(tmp_path / "calm")
    scored = [document for note in (tmp_path / "scored").iterdir() for document in note.read_text().splitlines()]
    notes = len(list((tmp_path / "scored").iterdir()))
    # at most the two tasks that were being worked on were done twice
    assert len(scored) - len(set(scored)) <= 3 * len(scored) / notes


def test_after_a_kill_another_machine_goes_on_from_an_s3_server(
    tmp_path: Path, annotated: Callable[..., Path], bloomery: Callable[..., str],
    begin: Callable[..., subprocess.Popen[str]], s3_bucket: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    bloomery("run", annotated("calm"))
    for note in (tmp_path / "scored").iterdir():
        note.unlink()
    url = f"s3://{s3_bucket}/w"
    path, store = annotated("killed", workers=2, workdir=url), ObjectStore(url)
    kill_when(begin("run", path), lambda: len(finished_tasks(store, "score").get(1, [])), count=4)
    assert "annotate" not in digests_of(url, STAGES)
    monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path / "another-machine"))
    assert "resuming, attempt 2" in bloomery("run", path)
    assert digests_of(url, STAGES) == digests_of(tmp_path / "calm", STAGES)
    scored = [document for note in (tmp_path / "scored").iterdir() for document in note.read_text().splitlines()]
    notes = len(list((tmp_path / "scored").iterdir()))
    # at most the two tasks that were being worked on were done twice
    assert len(scored) - len(set(scored)) <= 3 * len(scored) / notes


@pytest.mark.parametrize(("launcher", "workers", "prefix"), [("ray", 1, ""), ("ray", 2, ""), ("local", 2, "file://")])
def test_the_bytes_on_ray_and_behind_a_url_are_those_of_one_process(
    launcher: str, workers: int, prefix: str, tmp_path: Path, annotated: Callable[..., Path],
    bloomery: Callable[..., str], digests: Callable[[Path], dict[str, str]],
) -> None:  # fmt: skip
    bloomery("run", annotated("one"))
    workdir = f"{prefix}{tmp_path}/other"
    bloomery("run", annotated("other", launcher=launcher, workers=workers, workdir=workdir))
    assert digests(tmp_path / "other") == digests(tmp_path / "one")
