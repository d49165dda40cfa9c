"""A gang that is killed again and again: it goes on by itself every time, from a checkpoint that was complete.

Prints a table of the kills (pytest -s). BLOOMERY_KILLS sets their number, BLOOMERY_KILLS_SEED what they are drawn from.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest

from cluster.progress import Listener
from pipeline.core.job import Job, StageOutput
from pipeline.core.progress import Progress
from training.stages.pretrain import run

pytestmark = pytest.mark.long

KILLS = int(os.environ.get("BLOOMERY_KILLS", "20"))
SEED = int(os.environ.get("BLOOMERY_KILLS_SEED", "1"))
SAVE_EVERY, BETWEEN = 5, 8  # steps; kills are up to BETWEEN steps apart


@dataclass
class Kill:
    """What was killed, at which step, and what followed."""

    what: str
    step: int
    saved: int  # the step of the last complete checkpoint at that moment
    at: float
    restarted: bool = False
    resumed: int = -1
    seconds: float = 0.0


@dataclass
class Killer:
    """Kills a process of the gang whenever it has made some more steps; listens to its progress meanwhile."""

    folder: Path
    draws: random.Random = field(default_factory=lambda: random.Random(SEED))
    kills: list[Kill] = field(default_factory=list)
    ended: bool = False

    def listen(self, listener: Listener) -> None:
        after = self.draws.randint(SAVE_EVERY, BETWEEN)
        while not self.ended:
            for message in listener.receive(0.05):
                last = self.kills[-1] if self.kills else None
                if last is not None and message.get("kind") == "gang_restarted":
                    last.restarted = True  # older steps have been heard before this
                if message.get("kind") != "train" or (last is not None and not last.restarted):
                    continue
                step = int(message["step"])
                if last is not None and last.resumed < 0:
                    last.resumed, last.seconds = step - 1, time.monotonic() - last.at
                    after = step + self.draws.randint(1, BETWEEN)
                elif step >= after and len(self.kills) < KILLS:
                    self.kill(step)

    def kill(self, step: int) -> None:
        [server] = [child for child in psutil.Process().children() if "fork_server" in " ".join(child.cmdline())]
        workers = server.children()
        victim, name = (server, "fork server") if self.draws.random() < 0.1 else (self.draws.choice(workers), "worker")
        saved = max((int(path.stem) for path in markers(self.folder)), default=0)
        self.kills.append(Kill(name, step, saved, time.monotonic()))
        victim.send_signal(signal.SIGKILL)


def markers(folder: Path) -> Iterator[Path]:
    """The markers of complete checkpoints, named by their step."""
    return (path for path in (folder / "checkpoints").rglob("*.json") if path.stem.isdigit())


@contextmanager
def killing(job: Job) -> Iterator[tuple[Job, Killer]]:
    killer = Killer(job.folder)
    with Listener() as listener:
        thread = threading.Thread(target=killer.listen, args=(listener,))
        thread.start()
        try:
            yield replace(job, progress=Progress(listener.address, job.stage)), killer
        finally:
            killer.ended = True
            thread.join()
            print(table(killer.kills))


def test_a_gang_that_is_killed_at_random_steps_ends_in_the_bytes_of_an_undisturbed_one(
    make_job: Callable[..., Job],
) -> None:
    options = {"steps": SAVE_EVERY + (KILLS + 1) * BETWEEN, "save_every": SAVE_EVERY, "engine": {"zero": {"stage": 2}}}
    whole = run(make_job("whole", workers=2, **options))
    job = make_job("killed", workers=2, **options)
    cluster = replace(job.cluster, max_failures=KILLS)
    with killing(replace(job, resources=replace(job.resources, cluster=cluster))) as (job, killer):
        outcome = run(job)
    recoveries = outcome.journal["recoveries"]
    print(json.dumps([recovery["seconds"] for recovery in recoveries]))
    assert len(killer.kills) == KILLS == len(recoveries)
    for kill in killer.kills:
        assert kill.resumed >= kill.saved, "a complete checkpoint was lost"
    assert digests(outcome) == digests(whole)


def digests(outcome: StageOutput) -> dict[str, str]:
    return {entry.path: entry.sha256 for entry in outcome.files}


def table(kills: list[Kill]) -> str:
    lines = [f"{'killed':>12} {'at step':>8} {'saved':>6} {'resumed':>8} {'repeated':>9} {'seconds':>8}"]
    for kill in kills:
        repeated = kill.step - kill.resumed
        lines.append(
            f"{kill.what:>12} {kill.step:>8} {kill.saved:>6} {kill.resumed:>8} {repeated:>9} {kill.seconds:>8.2f}"
        )
    seconds = sorted(kill.seconds for kill in kills) or [0.0]
    p50, p90 = seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.9)]
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return "\n".join(["", *lines, f"seconds: p50 {p50:.2f}, p90 {p90:.2f}; load {load:.1f} a core"])
