"""Processes on this machine, without Ray: a gang that communicates over loopback, or tasks, a few at a time.

All are forks of one process (fork_server.py), which ends with its parent (PR_SET_PDEATHSIG), and they with it; all stay
in their process group (so that killing the group ends them too), have a clean environment for threads, do not import
from the user's current folder (PYTHONSAFEPATH), and print into the run's log.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from cluster.launchers.base import Launcher
from cluster.launchers.failures import Ending, Exit, ending_of
from cluster.launchers.gang import POLL_S, SETTLE_S, GangRun
from cluster.launchers.host import Host
from cluster.launchers.hosts import ThisMachine
from pipeline.core.files import JsonObject, JsonValue
from pipeline.core.job import Job
from pipeline.core.journal import Recovery


class LocalLauncher(Launcher):
    """Starts subprocesses; see the module."""

    def gang(self, target: str, spec: JsonObject, *, sizes: Sequence[int], job: Job) -> list[Recovery]:
        hosts = ThisMachine(threads=self.threads, log=job.log, most=max(sizes))
        try:
            order = self.order(target, job, gang=True)
            return GangRun(hosts, order, spec, sizes, self.cluster.max_failures, job).run()
        finally:
            hosts.close()

    def tasks(self, target: str, specs: Sequence[JsonObject], *, job: Job) -> list[JsonValue]:
        """Process p of n does the specs p, p + n, …. If one is killed, those that are not done are dealt out again."""
        host = Host(threads=self.threads, log=job.log)
        try:
            order, failures = self.order(target, job, gang=False), 0
            while open_specs := [index for index in range(len(specs)) if not host.has_result(index)]:
                count = min(self.workers, len(open_specs))
                shares = {p: {index: specs[index] for index in open_specs[p::count]} for p in range(count)}
                # where GPUs are asked for, each process takes another (training/engines/device.py)
                host.start(order, shares, {p: {"LOCAL_RANK": str(p)} for p in shares})
                ending = _wait(host, count, job)
                host.stop()
                if ending is None:
                    continue
                failures += 1
                if ending.kind is None or failures > self.cluster.max_failures:
                    raise ending.error
                job.progress.send(
                    {"kind": "worker_lost", "worker": ending.worker, "host": ending.host, "cause": ending.what}
                )
            return host.results(len(specs))
        finally:
            host.close()


def _wait(host: Host, count: int, job: Job) -> Ending | None:
    """Wait for `count` processes; if one fails, the others get SETTLE_S to record their own errors."""
    failed_at, exits = None, list[Exit]()
    while len(exits) < count:
        ended = host.poll(POLL_S, known=len(exits))["ended"]
        exits = [Exit(number, "", each["status"], each["failure"]) for number, each in ended.items()]
        if any(each.status for each in exits):
            failed_at = failed_at or time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > SETTLE_S:
            break
    return ending_of(exits, {}, stage=job.stage, made_steps=False)
