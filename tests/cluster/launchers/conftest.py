"""Members to launch, in a module that subprocesses and Ray workers can import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.job import Job

MEMBERS = """
import os, signal, time
from pathlib import Path
from pipeline.core.errors import Preempted, StageFailed, UserError

def say(spec, report):
    rank, world = os.environ["RANK"], os.environ["WORLD_SIZE"]
    print(f"printed by {rank}", flush=True)
    Path(spec["folder"], f"rank-{rank}").write_text(f"{rank} of {world}, {os.environ['OMP_NUM_THREADS']} thread")

def meet(spec, report):
    import torch, torch.distributed as dist
    if not dist.is_initialized():
        dist.init_process_group("gloo")
    value = torch.tensor([float(dist.get_rank() + 1)])
    dist.all_reduce(value)
    Path(spec["folder"], f"sum-{dist.get_rank()}").write_text(str(value.item()))

def fail(spec, report):
    if os.environ["RANK"] == "1":
        raise StageFailed("row 5: the shard is empty. Pack again.")
    time.sleep(60)

def refuse(spec, report):
    raise UserError("sequence length 5 is too short.")

def stumble(spec, report):
    raise KeyError("none")

def die(spec, report):
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)

def linger(spec, report):
    Path(spec["folder"], "alive-" + os.environ["RANK"]).write_text(str(os.getpid()))
    time.sleep(60)

def die_once(spec, report):
    rank, incarnation = os.environ["RANK"], os.environ["BLOOMERY_INCARNATION"]
    if incarnation == "1":
        if rank == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    Path(spec["folder"], f"rank-{rank}").write_text(incarnation)

def beat(phase, step):
    text = '{"step": %d, "phase": "%s", "from": 5}' % (step, phase)
    Path(os.environ["BLOOMERY_HEARTBEAT"]).write_text(text)

def hang_once(spec, report):
    beat("compute", 7)
    time.sleep(1)
    if os.environ["BLOOMERY_INCARNATION"] == "1":
        beat("compute" if os.environ["RANK"] == "1" else "wait", 8)
        time.sleep(60)
    beat("compute", 9)
    time.sleep(1)

def save_at_sigterm(spec, report):
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    Path(spec["folder"], "ready-" + os.environ["RANK"]).touch()
    while not asked:
        time.sleep(0.02)
    Path(spec["folder"], "saved-" + os.environ["RANK"]).touch()
    raise Preempted("saved")

def double(spec):
    return {"twice": 2 * spec["n"]}

def die_once_in_a_task(spec):
    mark = Path(spec["folder"], "died")
    if spec["n"] == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return spec["n"]

def die_in_a_task(spec):
    if spec["n"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return spec["n"]

LOADED = []

def add_to_what_is_loaded(spec):
    if not LOADED:
        LOADED.append(spec["base"])
    return {"sum": LOADED[0] + spec["n"], "process": os.getpid()}

def bad_task(spec):
    if spec["n"] == 3:
        raise StageFailed("piece 3: 文件坏了. Pack again.")
    return spec["n"]
"""


@pytest.fixture
def members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the module, importable in every process that this test starts."""
    (tmp_path / "launched_members.py").write_text(MEMBERS, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    return "launched_members"


@pytest.fixture
def job(tmp_path: Path, job_in: Callable[..., Job]) -> Job:
    return job_in(tmp_path, {}, stage="pretrain", kind="model")
