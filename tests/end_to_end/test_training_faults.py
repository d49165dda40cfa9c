"""`bloomery run` on two workers is asked to end, or one of its workers hangs: it goes on, with equal bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.processes import kill_group, wait_until
from tests.support.small_run import Digests, configuration, local_digests, write_corpus

LOCAL = "{launcher: local, workers: 2, beam: {workers: 2}}"
STEPS, MARK = 400, "BLOOMERY_TEST_RUN"
pytestmark = pytest.mark.long


class Runs:
    """Runs of one configuration; all processes of a run have the same mark in their environment."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.folder, self.engine = folder, engine
        write_corpus(folder / "corpus")

    def start(self, name: str) -> subprocess.Popen[str]:
        config = self.folder / f"{name}.yaml"
        text = configuration(name, "corpus", cluster=LOCAL, engine=self.engine, steps=STEPS)
        config.write_text(text.replace("save_every: 5", "save_every: 1000"), encoding="utf-8")
        return subprocess.Popen(
            [sys.executable, "-m", "cluster.cli", "run", config.name], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=self.folder, env={**os.environ, "PYTHONSAFEPATH": "1", MARK: name},
            process_group=0, text=True,
        )  # fmt: skip

    def finish(self, name: str) -> str:
        printed, _ = (process := self.start(name)).communicate(timeout=600)
        assert process.returncode == 0, printed
        return printed

    def step(self, name: str) -> int:
        """The last step that the newest run recorded; 0 before the first."""
        return max(self.steps(name), default=0)

    def steps(self, name: str) -> list[int]:
        curves = sorted((self.folder / name / "runs").glob("*/metrics/pretrain.jsonl"))
        lines = curves[-1].read_text(encoding="utf-8").splitlines() if curves else []
        return [json.loads(line)["step"] for line in lines if line.endswith("}") and '"loss"' in line]

    def from_step(self, name: str) -> int:
        """The step at which the attempt that finished training began."""
        (journal,) = (self.folder / name / "store" / "pretrain").glob("*/journal.jsonl")
        return int(json.loads(journal.read_text(encoding="utf-8").splitlines()[0])["from_step"])

    def events(self, name: str, kind: str) -> list[dict[str, object]]:
        paths = sorted((self.folder / name / "runs").glob("*/events.jsonl"))
        events = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
        return [event for event in events if event["event"] == kind]

    def trainers(self, name: str) -> list[int]:
        """The processes that train: forks of the fork server."""
        return sorted(pid for pid in _with_mark(f"{MARK}={name}") if _command(_parent(pid)).count("fork_server"))

    def digests(self, name: str) -> Digests:
        return local_digests(self.folder / name)


@pytest.fixture(params=["plain", "{zero: {stage: 2}}"], ids=["plain", "zero 2"])
def runs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runs]:
    runs = Runs(tmp_path, request.param)
    yield runs
    for pid in _with_mark(f"{MARK}="):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_sigterm_saves_and_the_same_command_repeats_no_step(runs: Runs) -> None:
    runs.finish("undisturbed")
    process = runs.start("disturbed")
    wait_until(lambda: runs.step("disturbed") > 20, "steps", timeout=300, step=0.05)
    os.kill(process.pid, signal.SIGTERM)  # the supervisor alone, as a scheduler does
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    wait_until(lambda: not _with_mark(f"{MARK}=disturbed"), "all processes to end", timeout=10)
    reached = runs.step("disturbed")
    assert 20 < reached < STEPS
    runs.finish("disturbed")
    assert runs.from_step("disturbed") == reached
    assert runs.digests("disturbed") == runs.digests("undisturbed")


def test_a_worker_that_hangs_is_named_and_training_goes_on(runs: Runs) -> None:
    runs.finish("undisturbed")
    process = runs.start("disturbed")
    try:
        wait_until(lambda: runs.step("disturbed") > 20, "steps", timeout=300, step=0.05)
        trainers = runs.trainers("disturbed")
        assert len(trainers) == 2
        os.kill(trainers[1], signal.SIGSTOP)
        printed, _ = process.communicate(timeout=300)
    finally:
        kill_group(process)
    assert process.returncode == 0, printed
    (lost,) = runs.events("disturbed", "worker_lost")
    assert "hung" in str(lost["cause"]), lost
    assert f"worker {lost['worker']} hung" in printed, printed
    (recovered,) = runs.events("disturbed", "gang_recovered")
    assert float(str(recovered["seconds"])) < 60
    assert runs.digests("disturbed") == runs.digests("undisturbed")


def _with_mark(mark: str) -> list[int]:
    pids = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes():
                pids.append(int(folder.name))
    return pids


def _parent(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
