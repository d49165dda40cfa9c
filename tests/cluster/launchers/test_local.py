"""A gang and tasks on this machine: who they are, what they say, how they end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from cluster.launchers import heartbeats, launcher
from pipeline.core.errors import StageFailed, UserError
from pipeline.core.files import JsonObject
from pipeline.core.job import ClusterOptions, Job

LOCAL = ClusterOptions(launcher="local", workers=2)
START = """
import json, sys
from cluster.launchers import heartbeats, launcher
from pipeline.core.job import ClusterOptions, Job
target, cluster, spec, job = map(json.loads, sys.argv[1:])
launcher(ClusterOptions.from_dict(cluster)).gang(target, spec, sizes=[2], job=Job.from_dict(job))
"""


def test_members_of_a_gang_know_their_place_and_print_to_the_log(members: str, job: Job, tmp_path: Path) -> None:
    launcher(LOCAL).gang(f"{members}:say", {"folder": str(tmp_path)}, sizes=[2], job=job)
    assert [(tmp_path / f"rank-{rank}").read_text() for rank in (0, 1)] == ["0 of 2, 1 thread", "1 of 2, 1 thread"]
    assert sorted(job.log.read_text().replace("\n", "")) == sorted("printed by 0printed by 1")


def test_members_meet_over_loopback(members: str, job: Job, tmp_path: Path) -> None:
    launcher(LOCAL).gang(f"{members}:meet", {"folder": str(tmp_path)}, sizes=[2], job=job)
    assert [(tmp_path / f"sum-{rank}").read_text() for rank in (0, 1)] == ["3.0", "3.0"]


def test_tasks_come_back_in_order_on_fewer_processes(members: str, job: Job) -> None:
    results = launcher(LOCAL).tasks(f"{members}:double", [{"n": n} for n in range(5)], job=job)
    assert results == [{"twice": 2 * n} for n in range(5)]
    assert launcher(LOCAL).tasks(f"{members}:double", [], job=job) == []


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        ("fail", StageFailed, "^row 5: the shard is empty. Pack again.$"),
        ("refuse", UserError, "^sequence length 5 is too short.$"),
        ("stumble", StageFailed, "^pretrain: KeyError: 'none' .at launched_members.py:"),
        ("die", StageFailed, "^pretrain: worker 1 was killed .SIGKILL.: out of memory"),
        ("missing", UserError, "has no 'missing'"),
    ],
)
def test_a_failed_member_ends_the_gang_with_its_own_sentence(
    members: str, job: Job, function: str, kind: type[Exception], words: str
) -> None:
    start = time.monotonic()
    with pytest.raises(kind, match=words):
        launcher(LOCAL).gang(f"{members}:{function}", {}, sizes=[2], job=job)
    assert time.monotonic() - start < 30, "the other member sleeps for a minute and must not be waited for"


def test_a_gang_whose_member_is_killed_starts_again_by_itself(members: str, job: Job, tmp_path: Path) -> None:
    [recovery] = launcher(LOCAL).gang(f"{members}:die_once", {"folder": str(tmp_path)}, sizes=[2], job=job)
    assert [(tmp_path / f"rank-{rank}").read_text() for rank in (0, 1)] == ["2", "2"]
    assert recovery["kind"] == "died" and recovery["what"] == "worker 1 was killed (SIGKILL)"


def test_a_task_whose_process_is_killed_is_done_again_with_those_that_were_not_done(
    members: str, job: Job, tmp_path: Path
) -> None:
    specs: list[JsonObject] = [{"n": n, "folder": str(tmp_path)} for n in range(5)]
    assert launcher(LOCAL).tasks(f"{members}:die_once_in_a_task", specs, job=job) == list(range(5))


def test_a_member_that_hangs_is_named_with_its_stack_and_the_gang_goes_on(
    members: str, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "LEAST_LIMIT_S", 3.0)
    monkeypatch.setattr(heartbeats, "STEPS", 1.0)
    [recovery] = launcher(LOCAL).gang(f"{members}:hang_once", {}, sizes=[2], job=job)
    assert recovery["kind"] == "hung"
    assert recovery["what"].startswith("worker 1 hung for ") and recovery["what"].endswith("after step 8 (compute)")
    assert (recovery["step"], recovery["from_step"]) == (8, 5)
    assert "in hang_once" in job.log.read_text()


def test_a_stage_that_is_asked_to_end_lets_its_members_save(members: str, job: Job, tmp_path: Path) -> None:
    arguments = (f"{members}:save_at_sigterm", asdict(LOCAL), {"folder": str(tmp_path)}, job.to_dict())
    stage = subprocess.Popen([sys.executable, "-c", START, *map(json.dumps, arguments)], stderr=subprocess.PIPE)
    while not all((tmp_path / f"ready-{rank}").exists() for rank in (0, 1)):
        assert stage.poll() is None
        time.sleep(0.02)
    stage.send_signal(signal.SIGTERM)
    _, errors = stage.communicate(timeout=60)
    assert b"Preempted: pretrain: asked to end" in errors
    assert all((tmp_path / f"saved-{rank}").exists() for rank in (0, 1))


def test_a_failed_task_is_told_with_its_own_sentence(members: str, job: Job) -> None:
    with pytest.raises(StageFailed, match="^piece 3: 文件坏了. Pack again.$"):
        launcher(LOCAL).tasks(f"{members}:bad_task", [{"n": n} for n in range(5)], job=job)


def test_an_unknown_launcher_is_told_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="Did you mean 'local'"):
        launcher(ClusterOptions(launcher="locl"))


def test_members_die_with_the_stage(members: str, job: Job, tmp_path: Path) -> None:
    arguments = (f"{members}:linger", asdict(LOCAL), {"folder": str(tmp_path)}, job.to_dict())
    stage = subprocess.Popen([sys.executable, "-c", START, *map(json.dumps, arguments)])
    alive = [tmp_path / f"alive-{rank}" for rank in (0, 1)]
    while not all(path.exists() and path.read_text() for path in alive):
        assert stage.poll() is None
        time.sleep(0.02)
    stage.send_signal(signal.SIGKILL)
    stage.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{path.read_text()}/exe").exists() for path in alive):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_folders_of_the_user_called_like_our_packages_hide_nothing(members: str, job: Job, tmp_path: Path) -> None:
    for name in ("pipeline", "training", "cluster"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a decoy')")
    arguments = (f"{members}:say", asdict(LOCAL), {"folder": str(tmp_path)}, job.to_dict())
    # the stage itself stands in that folder, and so do its members; plug-ins are looked for last
    environment = {"PATH": "", "PYTHONSAFEPATH": "1"}
    code = f"import sys; sys.path.append({str(tmp_path)!r})\n{START}"
    subprocess.run([sys.executable, "-c", code, *map(json.dumps, arguments)], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "rank-1").read_text().startswith("1 of 2")
