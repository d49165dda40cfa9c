"""The same gang and the same tasks on Ray, quietly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cluster.launchers import launcher
from cluster.launchers.head import RayHead
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject
from pipeline.core.job import ClusterOptions, Job

RAY = ClusterOptions(launcher="ray", workers=2, threads=1)
pytestmark = pytest.mark.long


def test_a_gang_on_ray_meets_and_prints_to_the_log(members: str, job: Job, tmp_path: Path) -> None:
    launcher(RAY).gang(f"{members}:say", {"folder": str(tmp_path)}, sizes=[2], job=job)
    assert (tmp_path / "rank-1").read_text() == "1 of 2, 1 thread"
    assert all(text in job.log.read_text() for text in ("printed by 0", "printed by 1"))
    launcher(RAY).gang(f"{members}:meet", {"folder": str(tmp_path)}, sizes=[2], job=job)
    assert (tmp_path / "sum-1").read_text() == "3.0"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("fail", "^row 5: the shard is empty. Pack again.$"),
        (
            "die",
            r"^pretrain: worker 1 on [\d.]+ was killed \(SIGKILL\): out of memory is the usual reason \(cluster.max_f",
        ),
    ],
)
def test_a_failed_worker_is_told_in_one_sentence(members: str, job: Job, function: str, words: str) -> None:
    with pytest.raises(StageFailed, match=words):
        launcher(RAY).gang(f"{members}:{function}", {}, sizes=[2], job=job)


def test_tasks_on_ray_come_back_in_order_and_fail_with_their_own_sentence(members: str, job: Job) -> None:
    ray = launcher(RAY)
    assert ray.tasks(f"{members}:double", [{"n": n} for n in range(5)], job=job) == [{"twice": 2 * n} for n in range(5)]
    with pytest.raises(StageFailed, match="^piece 3: 文件坏了. Pack again.$"):
        ray.tasks(f"{members}:bad_task", [{"n": n} for n in range(5)], job=job)


def test_a_pool_keeps_what_it_loaded_and_answers_in_the_order_of_the_specs(members: str, job: Job) -> None:
    specs: list[JsonObject] = [{"n": n} for n in range(8)]
    answers = launcher(RAY).pool(f"{members}:add_to_what_is_loaded", {"base": 100}, specs, job=job)
    assert [answer["sum"] for answer in answers] == [100 + n for n in range(8)]
    assert len({answer["process"] for answer in answers}) <= 2
    assert launcher(RAY).pool(f"{members}:double", {}, [], job=job) == []


def test_a_lost_actor_is_started_again_and_its_spec_done_again(members: str, job: Job, tmp_path: Path) -> None:
    specs: list[JsonObject] = [{"n": n} for n in range(5)]
    shared: JsonObject = {"folder": str(tmp_path)}
    assert launcher(RAY).pool(f"{members}:die_once_in_a_task", shared, specs, job=job) == list(range(5))
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize(
    ("function", "words"),
    [("bad_task", "^piece 3: 文件坏了. Pack again.$"),
     ("die_in_a_task", r"^pretrain: the process of an actor was killed or crashed.*\(cluster.max_failures: 1\)")],
)  # fmt: skip
def test_a_pool_that_fails_says_so_in_one_sentence(members: str, job: Job, function: str, words: str) -> None:
    with pytest.raises(StageFailed, match=words):
        launcher(replace(RAY, max_failures=1)).pool(f"{members}:{function}", {}, [{"n": n} for n in range(5)], job=job)


def test_what_is_killed_on_ray_is_started_again(members: str, job: Job, tmp_path: Path) -> None:
    ray = launcher(RAY)
    [recovery] = ray.gang(f"{members}:die_once", {"folder": str(tmp_path)}, sizes=[2], job=job)
    assert [(tmp_path / f"rank-{rank}").read_text() for rank in (0, 1)] == ["2", "2"]
    assert recovery["kind"] == "died" and recovery["what"].startswith("worker 1 on ")
    specs: list[JsonObject] = [{"n": n, "folder": str(tmp_path)} for n in range(5)]
    assert ray.tasks(f"{members}:die_once_in_a_task", specs, job=job) == list(range(5))


def test_the_gang_of_a_killed_driver_ends_and_its_ray_serves_the_next(members: str, job: Job, tmp_path: Path) -> None:
    with RayHead(2, tmp_path / "ray.log") as head:
        cluster = replace(RAY, head=head.address())
        arguments = (f"{members}:linger", asdict(cluster), {"folder": str(tmp_path)}, job.to_dict())
        code = (
            "import json, sys\nfrom cluster.launchers import launcher\n"
            "from pipeline.core.job import ClusterOptions, Job\n"
            "target, cluster, spec, job = map(json.loads, sys.argv[1:])\n"
            "launcher(ClusterOptions.from_dict(cluster)).gang(target, spec, sizes=[2], job=Job.from_dict(job))"
        )
        driver = subprocess.Popen([sys.executable, "-c", code, *map(json.dumps, arguments)])
        alive = [tmp_path / f"alive-{rank}" for rank in (0, 1)]
        while not all(path.exists() and path.read_text() for path in alive):
            assert driver.poll() is None
            time.sleep(0.05)
        driver.kill()
        driver.wait()
        killed_at = time.monotonic()
        while any(Path(f"/proc/{path.read_text()}").exists() for path in alive):
            assert time.monotonic() - killed_at < 50, "the workers of a driver that is gone go on"
            time.sleep(0.05)
        print(f"\nworkers ended {time.monotonic() - killed_at:.1f} s after their driver")
        launcher(cluster).gang(f"{members}:say", {"folder": str(tmp_path)}, sizes=[2], job=job)
    assert (tmp_path / "rank-1").read_text() == "1 of 2, 1 thread"


def test_nothing_of_ray_reaches_the_console_or_stays_behind(members: str, job: Job, tmp_path: Path) -> None:
    before = set(Path(tempfile.gettempdir()).glob("bl-*"))
    code = (
        "import json, sys\nfrom cluster.launchers import launcher\n"
        "from pipeline.core.job import BeamOptions, ClusterOptions, Job\n"
        f"launcher({RAY!r}).gang('{members}:say', {{'folder': {str(tmp_path)!r}}}, sizes=[2], "
        "job=Job.from_dict(json.loads(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(job.to_dict())], capture_output=True, text=True, env=dict(os.environ),
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and done.stderr == ""
    assert set(Path(tempfile.gettempdir()).glob("bl-*")) == before
