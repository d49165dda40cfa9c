"""The supervisor, with real child processes: skip, resume, stale, failures in words, exit codes, one run at a time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Wait = Callable[[Callable[[], bool]], None]


def test_a_run_publishes_every_stage_and_says_what_to_do_next(finished: Any) -> None:
    printed = finished.read("printed.txt")
    assert list(finished.published()) == ["gather", "judge", "sift", "teach"]
    assert "report.html" in printed and "bloomery sample" in printed
    assert "gather prints to the log" in finished.read("work/runs/*/log.txt")
    assert "gather prints" not in printed


def test_a_second_run_does_nothing_and_says_why(finished: Any) -> None:
    before = finished.published()
    printed = finished.run("run", "tiny.yaml")
    assert printed.count("cached: same parameters and inputs") == 4
    assert finished.published() == before


def test_a_changed_parameter_redoes_what_follows_and_is_named(finished: Any) -> None:
    plan = finished.run("plan", "tiny.yaml", "sift.longest=3")
    assert "sift.longest 8 → 3" in plan and "runs again unless its input sift is unchanged" in plan
    finished.run("run", "tiny.yaml", "sift.longest=3")
    assert {stage: len(found) for stage, found in finished.published().items()} == {
        "gather": 1, "sift": 2, "teach": 2, "judge": 1,
    }  # fmt: skip


def test_where_and_how_wide_changes_no_fingerprint(finished: Any) -> None:
    plan = finished.run("plan", "tiny.yaml", "cluster.workers=2", "cluster.beam.workers=1", "name=other", "seed=3")
    assert "all cached" in plan
    assert "another numerics class (workers 1, here 2)" in plan


def test_a_command_to_type_next_carries_the_overrides_that_were_given(folder: Any) -> None:
    given = ("gather.words=[铁, iron ore]", "sift.longest=5")
    quoted = "tiny.yaml 'gather.words=[铁, iron ore]' sift.longest=5"
    assert folder.run("check", "tiny.yaml", *given).strip().endswith(f"Next: bloomery plan {quoted}")
    assert folder.run("plan", "tiny.yaml", *given).strip().endswith(f"Next: bloomery run {quoted}")
    assert f"next        bloomery run {quoted}" in folder.run("run", "tiny.yaml", *given, "--to", "sift")
    sweep = ("sift.longest=5,6", "gather.words=[铁]", "--to", "teach")
    printed = folder.run("sweep", "tiny.yaml", *sweep, code=1, BEHAVE_teach="fail")
    assert "To resume, run:\nbloomery sweep tiny.yaml sift.longest=5,6 'gather.words=[铁]' --to teach\n" in printed


def test_a_failure_is_one_sentence_and_ends_with_the_command_that_resumes(folder: Any) -> None:
    printed = folder.run("run", "tiny.yaml", "sift.longest=5", code=1, BEHAVE_sift="fail")
    assert "sift: a bad word in 中文.txt. Mend it." in printed
    assert "Traceback" not in printed
    assert printed.strip().splitlines()[-1] == "bloomery run tiny.yaml sift.longest=5"
    assert folder.run("runs").count("failed") == 1
    assert "cached: " in folder.run("run", "tiny.yaml", "sift.longest=5")


def test_an_unforeseen_error_names_its_place_and_leaves_its_trace_in_the_log(folder: Any) -> None:
    printed = folder.run("run", "tiny.yaml", code=1, BEHAVE_gather="surprise")
    assert "gather: KeyError: 'nothing' (at tiny.py:" in printed and "Traceback" not in printed
    assert "Traceback" in folder.read("work/runs/*/log.txt")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("kill", "killed (signal 9): out of memory?"),
        ("crash", "crashed in native code (SIGSEGV)"),
        ("memory", "out of memory. Use fewer workers"),
        ("exit", "ended with exit code 7 and no message"),
        ("file limit", "gather: a file grew beyond the largest size that is allowed ([Errno 27] File too large"),
        ("signal", "gather: a file grew beyond the largest size that is allowed. Raise the limit (ulimit -f)"),
        ("native", "gather: out of memory. Use "),
        ("nowhere", "gather: no space left on the disk. Free space"),
    ],
)
def test_a_stage_that_dies_is_a_clear_sentence(folder: Any, how: str, words: str) -> None:
    printed = folder.run("run", "tiny.yaml", code=1, BEHAVE_gather=how)
    assert words in printed
    assert printed.strip().splitlines()[-1] == "bloomery run tiny.yaml"


def test_a_stage_whose_process_is_killed_goes_on_by_itself(folder: Any, finished: Any) -> None:
    printed = folder.run("run", "tiny.yaml", BEHAVE_teach="kill once")
    assert "its process was killed (SIGKILL); the stage goes on from what is finished (restart 1 of at mo" in printed
    assert digests(folder) == digests(finished)
    (artifact,) = folder.published()["teach"]
    lines = [json.loads(line) for line in (artifact / "journal.jsonl").read_text().splitlines()]
    assert lines[0]["attempt_seen"] == 2
    (restart,) = lines[1]["restarts"]
    assert restart["what"] == "its process was killed (SIGKILL)" and restart["attempt"] == 1
    assert 0 < restart["seconds"] < lines[1]["seconds"]  # the whole of the step, the lost attempt included
    events = [json.loads(line) for line in folder.read("work/runs/*/events.jsonl").splitlines()]
    (told,) = [event for event in events if event["event"] == "stage_restarted"]
    assert (told["stage"], told["attempt"], told["cause"]) == ("teach", 2, restart["what"])
    assert "started again after" in folder.read("work/runs/*/report.html")


def test_without_restarts_a_killed_stage_ends_the_run_and_the_same_command_goes_on(folder: Any) -> None:
    printed = folder.run("run", "tiny.yaml", "cluster.max_failures=0", code=1, BEHAVE_teach="kill once")
    assert "teach: killed (signal 9)" in printed and "the stage goes on" not in printed
    assert "resuming, attempt 2" in folder.run("run", "tiny.yaml", "cluster.max_failures=0", BEHAVE_teach="kill once")


def test_a_forced_stage_that_dies_goes_on_from_its_own_draft(finished: Any) -> None:
    before = finished.published()
    finished.run("run", "tiny.yaml", "--from", "teach", "--to", "teach", "--force", BEHAVE_teach="kill once")
    assert finished.published() == before
    lines = [json.loads(line) for line in (before["teach"][0] / "journal.jsonl").read_text().splitlines()]
    assert [restart["attempt"] for restart in lines[-1]["restarts"]] == [1]


def test_a_stage_that_dies_twice_at_a_task_ends_the_run_and_names_it(folder: Any) -> None:
    printed = folder.run("run", "tiny.yaml", code=1, BEHAVE_teach="kill at a task")
    assert printed.count("the stage goes on from what is finished") == 1
    assert "teach: its process died twice in a row while working on task 铁 of weigh, and no task was fini" in printed
    assert "Use fewer workers (cluster.beam.workers=" in printed
    assert printed.strip().splitlines()[-1] == "bloomery run tiny.yaml"


def test_a_killed_run_goes_on_from_its_finished_parts(folder: Any, wait_for: Wait) -> None:
    process = folder.start("run", "tiny.yaml", SLOW="0.4")
    wait_for(lambda: any(folder.workdir.glob("draft/teach/*/attempt-1/steps/0")))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert "killed" in folder.run("runs")
    assert "resumed" in folder.run("plan", "tiny.yaml")
    printed = folder.run("run", "tiny.yaml")
    assert "resuming, attempt 2" in printed
    assert "cached: " in printed  # gather and sift
    (artifact,) = folder.published()["teach"]
    assert json.loads((artifact / "journal.jsonl").read_text().splitlines()[0])["attempt_seen"] == 2
    assert not list(folder.workdir.glob("draft/teach/*"))


def test_the_peak_of_workers_on_other_hosts_counts(folder: Any) -> None:
    assert "peak 5 TB" in folder.run("run", "tiny.yaml", PEAK=str(5 * 10**12))


def test_the_stage_dies_with_its_supervisor(folder: Any, wait_for: Wait) -> None:
    process = folder.start("run", "tiny.yaml", SLOW="5")
    wait_for(lambda: any(folder.workdir.glob("draft/teach/*/attempt-1/steps/0")))
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert len(children) == 1
    os.kill(process.pid, signal.SIGKILL)  # the supervisor alone: its child has a group of its own
    process.communicate()
    wait_for(lambda: not Path(f"/proc/{children[0]}").exists())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_cleanly_and_says_how_to_go_on(folder: Any, wait_for: Wait, number: int) -> None:
    process = folder.start("run", "tiny.yaml", SLOW="5")
    wait_for(lambda: any(folder.workdir.glob("draft/teach/*/attempt-1/steps/0")))
    process.send_signal(number)
    printed, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in printed
    assert printed.strip().splitlines()[-1] == "bloomery run tiny.yaml"
    assert "stopped" in folder.run("runs")


def test_a_stage_that_saves_is_waited_for(folder: Any, wait_for: Wait) -> None:
    process = folder.start("run", "tiny.yaml", BEHAVE_teach="save")
    wait_for(lambda: any(folder.workdir.glob("draft/teach/*/attempt-1/ready")))
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert any(folder.workdir.glob("draft/teach/*/attempt-1/saved"))
    assert printed.count("Interrupt again to end it at once") == 1


def test_a_second_interrupt_ends_a_stage_at_once(folder: Any, wait_for: Wait) -> None:
    process = folder.start("run", "tiny.yaml", BEHAVE_teach="ignore")
    wait_for(lambda: any(folder.workdir.glob("draft/teach/*/attempt-1/ready")))
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=20)
    assert process.returncode == 130 and "Traceback" not in printed
    assert not any(folder.workdir.glob("draft/teach/*/attempt-1/saved"))


def test_two_runs_in_one_work_directory_are_kept_apart(folder: Any, wait_for: Wait) -> None:
    process = folder.start("run", "tiny.yaml", SLOW="5")
    wait_for(lambda: any(folder.workdir.glob("draft/teach/*/current")))
    refused = folder.run("run", "tiny.yaml", code=1)
    assert f"process {process.pid}" in refused and "bloomery run tiny.yaml" in refused
    assert "running" in folder.run("runs")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_from_and_to_choose_a_range(folder: Any) -> None:
    printed = folder.run("run", "tiny.yaml", "--to", "sift")
    assert list(folder.published()) == ["gather", "sift"]
    assert "next        bloomery run tiny.yaml" in printed
    assert "[1/1] judge" not in folder.run("run", "tiny.yaml", "--from", "teach", "--to", "teach")
    assert sorted(folder.published()) == ["gather", "sift", "teach"]


def test_a_range_that_cannot_be_is_the_users_mistake(folder: Any) -> None:
    assert "Did you mean 'teach'?" in folder.run("run", "tiny.yaml", "--to", "teech", code=2)
    assert "sift is not done" in folder.run("run", "tiny.yaml", "--from", "teach", code=2)
    assert "comes after" in folder.run("run", "tiny.yaml", "--from", "teach", "--to", "sift", code=2)
    assert not (folder.workdir / "runs").exists()


def test_forced_stages_are_done_again_and_give_the_same_artifact(finished: Any) -> None:
    before = finished.published()
    printed = finished.run("run", "tiny.yaml", "--from", "teach", "--force")
    assert "[1/2] teach ✓" in printed
    assert finished.published() == before


def test_a_forced_run_that_fails_goes_on_where_it_failed(folder: Any) -> None:
    printed = folder.run("run", "tiny.yaml", "--force", code=1, BEHAVE_teach="fail")
    assert printed.strip().splitlines()[-1] == "bloomery run tiny.yaml --from teach --force"


def test_thread_counts_and_ranks_of_the_shell_do_not_reach_a_stage() -> None:
    from cluster.process import environment

    os.environ |= {"OMP_NUM_THREADS": "7", "RANK": "3"}
    try:
        found = environment()
    finally:
        del os.environ["OMP_NUM_THREADS"], os.environ["RANK"]
    assert "OMP_NUM_THREADS" not in found and "RANK" not in found
    assert found["PYTHONSAFEPATH"] == "1" and found["HF_HUB_OFFLINE"] == "1"


def test_folders_called_pipeline_and_training_do_not_hide_ours(folder: Any) -> None:
    for name in ("pipeline", "training", "cluster"):
        (folder.path / name).mkdir()
        (folder.path / name / "__init__.py").write_text("raise SystemExit('the decoy was imported')")
    printed = folder.run("run", "tiny.yaml")
    assert len(folder.published()) == 4 and "decoy" not in printed


def test_a_run_repeats_from_its_resolved_configuration(folder: Any) -> None:
    folder.run("run", "tiny.yaml", "sift.longest=4")
    (resolved,) = folder.workdir.glob("runs/*/config.yaml")
    assert "all cached" in folder.run("plan", str(resolved))


def test_a_stage_gets_a_secret_and_no_record_of_the_run_holds_it(folder: Any) -> None:
    override, first, second = "gather.words=['${MINE_TOKEN}', 铁]", "hunter2hunter2", "rotated"
    folder.run("run", "tiny.yaml", override, "--to", "gather", MINE_TOKEN=first)
    [artifact] = folder.published()["gather"]
    contents = {path: path.read_bytes() for path in artifact.rglob("*") if path.is_file()}
    assert any(first.encode() in content for content in contents.values())  # the stage wrote it: it had the value
    manifest = contents.pop(artifact / "manifest.json").decode()
    assert first not in manifest and "${MINE_TOKEN}" in manifest
    records = [path for path in (folder.workdir / "runs").rglob("*") if path.is_file() and path.name != "log.txt"]
    assert not [path for path in records if first.encode() in path.read_bytes()]
    # another value under the same name is the same run
    assert "cached" in folder.run("run", "tiny.yaml", override, "--to", "gather", MINE_TOKEN=second)


def test_the_run_directory_holds_what_was_asked_and_found(finished: Any) -> None:
    (run,) = finished.workdir.glob("runs/*")
    plan, lineage = (json.loads((run / name).read_text()) for name in ("plan.json", "lineage.json"))
    assert [one["stage"] for one in plan] == [one["stage"] for one in lineage] == ["gather", "sift", "teach", "judge"]
    assert lineage[1]["inputs"] == {"gather": lineage[0]["fingerprint"]}
    events = [json.loads(line)["event"] for line in (run / "events.jsonl").read_text().splitlines()]
    assert events[0] == "started" and events[-1] == "finished" and events.count("stage_done") == 4
    assert (run / "artifacts" / "teach" / "model" / "weights.txt").read_text() == "3 steps, seed 17"


def test_journals_hold_times_and_memory_and_manifests_do_not(finished: Any) -> None:
    (artifact,) = finished.published()["gather"]
    lines = [json.loads(line) for line in (artifact / "journal.jsonl").read_text().splitlines()]
    measured = next(line for line in lines if line["event"] == "measured")
    assert measured["peak_bytes"] > 1e7 and measured["seconds"] > 0 and measured["cpu_seconds"] > 0
    assert "seconds" not in (artifact / "manifest.json").read_text()


def digests(folder: Any) -> dict[str, str]:
    return {
        stage: json.loads((artifact / "manifest.json").read_text())["digest"]
        for stage, (artifact,) in folder.published().items()
    }


@pytest.mark.long
def test_kills_at_any_moment_leave_what_the_same_command_goes_on_from(folder: Any, finished: Any) -> None:
    for tenth in range(2, 22):
        process = folder.start("run", "tiny.yaml", SLOW="0.1")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=tenth / 10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    folder.run("run", "tiny.yaml")
    assert digests(folder) == digests(finished)
    assert not list(folder.workdir.glob("draft/*/*"))
    assert folder.run("runs").count("killed") >= 3
