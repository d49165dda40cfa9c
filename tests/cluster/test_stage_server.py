"""Data stages are forks of one process of the run: they end with it, are stopped like others, and their end is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster import step

Wait = Callable[[Callable[[], bool]], None]
CONFIG = """
    name: forks
    workdir: work
    ingest: {sources: [{reader: plain, paths: texts}]}
    clean: {filters: [{length: {min_units: 1}}]}
"""
CUSTOM = """
    import os, pathlib, sys, time

    def hold():
        from pipeline.stages import signals

        measure = signals.measure_file

        def measure_file(job, task):
            while not pathlib.Path("released").exists():
                pathlib.Path("held").touch()
                time.sleep(0.05)
            return measure(job, task)

        signals.measure_file = measure_file

    if os.environ.get("HOLD") and "cluster.stage_server" in sys.orig_argv:
        os.register_at_fork(after_in_child=hold)
"""


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "texts").mkdir()
        for number, text in enumerate(("The ore is hot and the furnace is ready.", "铁块已经炼好了，炉火还很旺。")):
            (path / "texts" / f"{number}.txt").write_text(text, encoding="utf-8")
        (path / "forks.yaml").write_text(textwrap.dedent(CONFIG), encoding="utf-8")
        (path / "sitecustomize.py").write_text(textwrap.dedent(CUSTOM), encoding="utf-8")

    def start(self, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "cluster.cli", "run", "forks.yaml"], cwd=self.path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0,
            env={**os.environ, "MARK": str(self.path), "PYTHONPATH": self._import_path(), **environment},
        )  # fmt: skip

    def _import_path(self) -> str:
        return os.pathsep.join([str(self.path), *filter(None, [os.environ.get("PYTHONPATH")])])

    def processes(self, words: str = "") -> list[int]:
        """The processes of the runs here whose command line has these words."""
        pids = []
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and f"MARK={self.path}".encode() in (folder / "environ").read_bytes():
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    pids += [int(folder.name)] if words in line else []
        return sorted(pids)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path)
    yield folder
    for pid in folder.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def held(folder: Folder, wait_for: Wait) -> subprocess.Popen[str]:
    """A run whose stage signals does not go on."""
    process = folder.start(HOLD="1")
    wait_for((folder.path / "held").exists)
    return process


def test_data_stages_are_forks_of_one_process(folder: Folder, held: subprocess.Popen[str]) -> None:
    server, stage = folder.processes("cluster.stage_server")
    assert int(Path(f"/proc/{stage}/stat").read_text().rpartition(")")[2].split()[1]) == server


def test_they_end_with_a_killed_run(folder: Folder, held: subprocess.Popen[str], wait_for: Wait) -> None:
    os.kill(held.pid, signal.SIGKILL)
    held.communicate()
    wait_for(lambda: not folder.processes())


@pytest.mark.long
def test_an_interrupt_stops_them(folder: Folder, held: subprocess.Popen[str], wait_for: Wait) -> None:
    held.send_signal(signal.SIGINT)
    printed, _ = held.communicate(timeout=60)
    assert held.returncode == 130 and "Traceback" not in printed
    wait_for(lambda: not folder.processes())
    printed, _ = (again := folder.start()).communicate(timeout=60)
    assert again.returncode == 0, printed
    assert "resuming, attempt 2" in printed


@pytest.mark.long
@pytest.mark.parametrize("which", [0, 1], ids=["server", "stage"])
def test_after_a_kill_the_stage_is_started_again(which: int, folder: Folder, held: subprocess.Popen[str]) -> None:
    victim = folder.processes("cluster.stage_server")[which]
    os.kill(victim, signal.SIGKILL)
    (folder.path / "released").touch()
    printed, _ = held.communicate(timeout=180)
    assert held.returncode == 0, printed
    assert printed.count("its process was killed (SIGKILL)") == 1 and "restart 1 of at most 3" in printed
    assert not folder.processes()


def test_a_stage_with_plugins_is_no_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(step, "StageProcess", lambda *_: started.append("process"))
    supervisor: Any = SimpleNamespace(
        loaded=SimpleNamespace(config=SimpleNamespace(cluster=SimpleNamespace(beam=SimpleNamespace(runner="embedded")))),
        server=SimpleNamespace(start=lambda *_: started.append("fork")), run=SimpleNamespace(log=Path("log.txt")),
    )  # fmt: skip
    for params in ({}, {"plugins": {"mine.py": "0" * 64}}):
        planned: Any = SimpleNamespace(spec=SimpleNamespace(is_data_stage=True), params=params)
        step._start(supervisor, planned, Path("job.json"))
    assert started == ["fork", "process"]


def test_what_a_stage_raises_before_it_can_report_is_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "cluster.stage_server", str(os.getpid())], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    printed, _ = server.communicate(json.dumps({"job": str(tmp_path / "missing.json"), "log": str(log)}) + "\n")
    started, ended = map(json.loads, printed.splitlines())
    assert started["pid"] and os.waitstatus_to_exitcode(ended["ended"]) == 1
    assert "Traceback" in log.read_text() and "FileNotFoundError" in log.read_text()
