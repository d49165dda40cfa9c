"""`status`, `logs` and `stop`: runs that were submitted to a Ray cluster."""

from __future__ import annotations

import os
import shlex
import sys
import time
from datetime import datetime

from cluster.program import program
from cluster.submission.follow import follow
from cluster.submission.ray_jobs import ADDRESSES, STOPPED_CODE, NoAnswer, RayJobs, SubmittedJob
from cluster.table import table
from pipeline.core import figures
from pipeline.core.errors import StageFailed, UserError

WORDS = {
    "PENDING": "waiting", "RUNNING": "running", "SUCCEEDED": "succeeded", "FAILED": "failed", "STOPPED": "stopped",
}  # fmt: skip
STOP_S, POLL_S = 180.0, 1.0


def address_of(address: str | None) -> str:
    """The address that was given, or that of the environment, as Ray's own commands take it.

    Raises: UserError when there is none.
    """
    address = address or next((os.environ[name] for name in ADDRESSES if os.environ.get(name)), None)
    if address is None:
        raise UserError("--address: name the head of the cluster, such as http://head:8265")
    return address


def command_for(verb: str, job: str, address: str, *flags: str) -> str:
    """A command line about a job, for the user to type."""
    return shlex.join([program(), verb, job, *flags, "--address", address])


def status(job: str | None, address: str | None) -> None:
    """Print the state of one job, or a table of all."""
    jobs = RayJobs(address_of(address))
    if job is not None:
        print("\n".join(_lines(jobs.job(job))))
        return
    rows = [
        [entry.id, WORDS.get(entry.state, entry.state), _time(entry.started), _took(entry), _code(entry),
         entry.metadata.get("workdir", "")]
        for entry in jobs.jobs()
    ]  # fmt: skip
    print(table(["job", "state", "started", "took", "exit code", "work directory"], rows) if rows else "no jobs yet.")


def logs(job: str, address: str | None, *, following: bool) -> int:
    """Print the log of a job; if following, until the job ends: then its exit code."""
    jobs = RayJobs(address_of(address))
    if following:
        return follow_to_end(jobs, job)
    write(jobs.log(job))
    return 0


def stop(job: str, address: str | None) -> int:
    """Stop a job and wait until it has ended; 0 if it is over."""
    jobs = RayJobs(address_of(address))
    state = jobs.job(job)
    if state.is_over:
        print(f"{job}: is over already: {outcome(state)}")
        return 0
    jobs.stop(job)
    print(f"{job}: stopping; what is running is saved first", flush=True)
    deadline = time.monotonic() + STOP_S
    while not (state := jobs.job(job)).is_over:
        if time.monotonic() > deadline:
            raise StageFailed(f"{job}: has not ended after {figures.duration(STOP_S)}; look at its log.")
        time.sleep(POLL_S)
    print(f"{job}: {outcome(state)}. To go on, submit the run again: what is finished is kept.")
    return 0


def follow_to_end(jobs: RayJobs, job: str, *, again: str = "") -> int:
    """Print the log of a job until it ends; its exit code. Whoever interrupts this does not interrupt the job."""
    hint = f"Follow it again with:\n{command_for('logs', job, jobs.address, '--follow')}"
    try:
        state = follow(jobs, job, write, lambda remark: print(remark, file=sys.stderr, flush=True))
    except KeyboardInterrupt:
        print(f"\n{job}: goes on. {hint}\nStop it with:\n{command_for('stop', job, jobs.address)}", file=sys.stderr)
        return STOPPED_CODE
    except NoAnswer as error:
        raise NoAnswer(f"{error}. {job} may go on there. {hint}") from error
    print(f"{job}: {outcome(state)}")
    if state.code and again:
        print(f"To resume, run:\n{again}")
    return state.code


def write(text: str) -> None:
    """Write a piece of a log as it is."""
    sys.stdout.write(text)
    sys.stdout.flush()


def outcome(state: SubmittedJob) -> str:
    """How a job stands, in a clause; Ray's own words where its process left no exit code."""
    word, took = WORDS.get(state.state, state.state), _took(state)
    after = f" after {took}" if took and state.is_over else f" for {took}" if took else ""
    if state.state != "FAILED":
        return f"{word}{after}"
    if state.exit_code is not None:
        return f"{word} with exit code {state.exit_code}{after}"
    reason = next((line.strip() for line in state.message.splitlines() if line.strip()), "no reason is known")
    return f"{word}{after}: {reason}"


def _lines(state: SubmittedJob) -> list[str]:
    lines = [f"{state.id}: {outcome(state)}"]
    lines += [f"  started         {_time(state.started)}"] if state.started is not None else []
    lines += [f"  exit code       {state.exit_code}"] if state.exit_code is not None else []
    lines += [f"  work directory  {state.metadata['workdir']}"] if "workdir" in state.metadata else []
    return lines


def _time(stamp: float | None) -> str:
    return f"{datetime.fromtimestamp(stamp):%Y-%m-%d %H:%M}" if stamp is not None else ""


def _took(state: SubmittedJob) -> str:
    end = time.time() if state.ended is None else state.ended
    return figures.duration(max(0.0, end - state.started)) if state.started is not None else ""


def _code(state: SubmittedJob) -> str:
    return "" if state.exit_code is None else str(state.exit_code)
