"""A flow of four tiny stages, run by the real supervisor: no Beam, no torch, a tenth of a second each.

    gather → documents (needs nothing) · sift → documents · teach → model · judge → scores

The stages live in a plug-in folder, as a user's own would; how each behaves is a parameter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

STAGES = """
import errno, os, resource, signal, sys, time
from pipeline.core.config import Section
from pipeline.core.errors import StageFailed
from pipeline.core.files import replacing
from pipeline.core.shards import entry_of
from pipeline.core.job import StageOutput
from pipeline.core.stage import StageSpec

class Gather(Section):
    words: list[str] = ["iron", "铁"]
    behave: str = "well"

class Sift(Section):
    longest: int = 10
    rules: list[str | dict] = ["length", {"script": {"keep": ["Latn", "Hani"]}}]
    behave: str = "well"

class Teach(Section):
    steps: int = 3
    slow: float = 0.0
    behave: str = "well"

class Judge(Section):
    tasks: list[str] = ["perplexity"]

def params(section, seed):
    return section.model_dump(mode="json", exclude={"behave", "slow"})

def write(job, name, text):
    path = job.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")

def behave(job):
    how = os.environ.get("BEHAVE_" + job.stage, "well")
    if how == "fail":
        raise StageFailed(f"{job.stage}: a bad word in 中文.txt. Mend it.")
    if how == "surprise":
        {}["nothing"]
    if how == "kill" or (how == "kill once" and job.identity.attempt == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "kill at a task":
        job.progress.total("weigh", 2, "bytes", tasks=2)
        job.progress.send({"kind": "task_started", "step": "weigh", "task": "铁"})
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "memory":
        raise MemoryError
    if how == "file limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        write(job, "large.bin", "x" * 9000)
    if how == "signal":
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        write(job, "large.bin", "x" * 9000)
    if how == "native":
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\\n")
        os.abort()
    if how == "nowhere":
        def full(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sys.modules["__main__"].write_json = full  # the file that says how it went cannot be written either
        full()
    if how == "exit":
        os._exit(7)
    if how in ("save", "ignore"):
        asked = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
        write(job, "ready", "")
        while not asked or how == "ignore":
            time.sleep(0.05)
        time.sleep(6)  # longer than people are left without a word
        write(job, "saved", "")
        os._exit(80)

def gather(job):
    behave(job)
    write(job, "words.txt", "\\n".join(job.params["words"]))
    n = len(job.params["words"])
    print("gather prints to the log")
    return StageOutput([entry_of(job.folder, "words.txt")], {"in": n, "out": n, "dropped": {}})

def sift(job):
    behave(job)
    words = job.inputs.files("documents")[0].read_text(encoding="utf-8").split("\\n")
    kept = [word for word in words if len(word) <= job.params["longest"]]
    write(job, "words.txt", "\\n".join(kept))
    counts = {"in": len(words), "out": len(kept), "dropped": {"length": len(words) - len(kept)}}
    return StageOutput([entry_of(job.folder, "words.txt")], counts)

def teach(job):
    job.progress.total("train", job.params["steps"], "steps")
    for step in range(job.params["steps"]):
        if (job.folder / f"steps/{step}").exists():
            continue
        write(job, f"steps/{step}", f"{step} by attempt 1" if step == 0 else str(step))
        job.progress.add("train", 1)
        job.progress.event("train", step=step, loss=3.0 - step)
        time.sleep(float(os.environ.get("SLOW", "0")))
    behave(job)
    write(job, "model/weights.txt", f"{job.params['steps']} steps, seed {job.identity.seed}")
    return StageOutput([entry_of(job.folder, "model/weights.txt")], {"steps": job.params["steps"]},
                   numerics={"workers": job.cluster.workers},
                   journal={"attempt_seen": job.identity.attempt, "worker_peak_bytes": int(os.environ.get("PEAK", 0))})

def judge(job):
    from pipeline.core.files import write_json
    write_json(job.folder / "scores.json", [{"task": "perplexity", "metric": "bits_per_byte", "language": None,
               "value": 1 / len(job.inputs.files("model")[0].read_text()), "interval": None, "items": 2}])
    return StageOutput([entry_of(job.folder, "scores.json")], {"tasks": 1})

def compared_scores(step):
    from pipeline.core.compared import HeldOutFigure, RowPart
    from pipeline.core.files import read_json
    if step.artifact is None:
        return RowPart()
    value = read_json(step.artifact.file("scores.json"))[0]["value"]
    return RowPart(figures=(HeldOutFigure("bits per byte", f"{value:.3f}", "", value),))

class Parrot:
    def refusal(self, artifact):
        return None
    def write(self, artifact, prompts, options):
        for prompt in prompts:
            yield iter([" ", artifact.files()[0].read_text()])

SPECS = (
    StageSpec("gather", 1, "gather", (), "documents", "task", "tiny:gather", "tiny:Gather", "tiny:params"),
    StageSpec("sift", 1, "sift", ("documents",), "documents", "task", "tiny:sift", "tiny:Sift", "tiny:params"),
    StageSpec("teach", 1, "teach", ("documents",), "model", "gang", "tiny:teach", "tiny:Teach", "tiny:params",
              sampler="tiny:Parrot", label="checkpoint", named=True),
    StageSpec("judge", 1, "judge", ("model",), "scores", "task", "tiny:judge", "tiny:Judge", label="scores",
              compared="tiny:compared_scores", named=True),
)
"""

MAIN = """
import sys
from pathlib import Path
sys.path.append(str(Path.cwd()))
import pipeline.stages, training.stages
import tiny
pipeline.stages.STAGES, training.stages.STAGES = tiny.SPECS, ()
from cluster.cli import main
main()
"""

CONFIG = """\
name: tiny
workdir: work
gather: {}
sift: {longest: 8}
teach: {steps: 3}
judge: {}
"""


@dataclass
class Folder:
    """A user's folder: a configuration, the plug-in, and the command run in it."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def workdir(self) -> Path:
        return self.path / "work"

    def configure(self, text: str) -> None:
        (self.path / "tiny.yaml").write_text(textwrap.dedent(text), encoding="utf-8")

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Begin the command in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-P", "main.py", *arguments], cwd=self.path, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **self.environment, **environment},
        )  # fmt: skip

    def run(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """The command's output; `code` is the exit code expected."""
        process = self.start(*arguments, **environment)
        printed, _ = process.communicate(timeout=180)  # for machines with much other work
        assert process.returncode == code, printed
        return printed

    def published(self) -> dict[str, list[Path]]:
        """Stage → its artifacts."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self.workdir.glob("store/*/*/manifest.json")):
            found.setdefault(path.parts[-3], []).append(path.parent)
        return found

    def read(self, pattern: str) -> Any:
        """The one file that matches, as text."""
        (path,) = self.path.glob(pattern)
        return path.read_text(encoding="utf-8")


def make(path: Path) -> Folder:
    (path / "tiny.py").write_text(STAGES, encoding="utf-8")
    (path / "main.py").write_text(MAIN, encoding="utf-8")
    made = Folder(path)
    made.configure(CONFIG)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Nothing has run here."""
    return make(tmp_path)


@pytest.fixture(scope="session")
def _finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make(tmp_path_factory.mktemp("finished"))
    (made.path / "printed.txt").write_text(made.run("run", "tiny.yaml"), encoding="utf-8")
    return made.path


@pytest.fixture
def finished(tmp_path: Path, _finished_once: Path) -> Folder:
    """A copy of a folder in which everything has run; what the run said is in printed.txt."""
    return Folder(Path(shutil.copytree(_finished_once, tmp_path / "copy", symlinks=True)))


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool]], None]:
    """Wait until something is so; fail after three minutes, for machines with much other work."""
    import time

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 180
        while not condition():
            assert time.monotonic() < deadline, "it never came to be"
            time.sleep(0.01)

    return wait
