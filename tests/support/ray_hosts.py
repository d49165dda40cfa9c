"""A Ray cluster on the hosts of `hosts.py`: a head on the first and a node on each other, one processor each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.hosts import CommandFailed, Host, Hosts
from tests.support.processes import kill_group, wait_until

PORT = 6379
START_S, ATTEMPTS = 180.0, 5
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONSAFEPATH": "1", "RAY_worker_niceness": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "120",
}  # fmt: skip
# a lost node is noticed after 5 to 7 s; with Ray's own values after 65 s
HEALTH_CHECKS = {
    "health_check_period_ms": 1000, "health_check_timeout_ms": 1000, "health_check_failure_threshold": 3
}  # fmt: skip
# asks until the nodes that are alive are those named; it asks the head, for `ray.init` needs a node that has started
WAIT = """
import sys, time
from ray._raylet import GcsClient
from ray.core.generated.gcs_pb2 import GcsNodeInfo
end, named, alive = time.monotonic() + float(sys.argv[2]), set(sys.argv[3:]), set()
client = GcsClient(address=sys.argv[1])
while alive != named:
    if time.monotonic() > end:
        sys.exit(f"alive: {', '.join(sorted(alive))}")
    time.sleep(0.2)
    nodes = client.get_all_node_info().values()
    alive = {node.node_manager_address for node in nodes if node.state == GcsNodeInfo.ALIVE}
"""


@dataclass
class RayHosts:
    """Ray on hosts; logs of its processes are in `logs`, a folder of this process."""

    hosts: Hosts
    logs: Path
    health_checks: dict[str, int] = field(default_factory=lambda: dict(HEALTH_CHECKS))
    dashboard: bool = False
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def head(self) -> Host:
        return self.hosts[0]

    @property
    def address(self) -> str:
        address = self.head.address
        return f"[{address}]:{PORT}" if ":" in address else f"{address}:{PORT}"

    @property
    def dashboard_url(self) -> str:
        return f"http://{self.head.address}:8265"

    def start(self, members: Sequence[Host]) -> None:
        """Start the head and the nodes, one after another, and wait until all are members."""
        for number, host in enumerate(members, 1):
            for attempt in range(ATTEMPTS):
                self.start_node(host)
                if self._joins([member.address for member in members[:number]], host, last=attempt + 1 == ATTEMPTS):
                    break

    def _joins(self, addresses: Sequence[str], host: Host, *, last: bool) -> bool:
        """Whether a node has joined the others. On a busy machine `ray start` gives up after 30 s, its own limit."""
        try:
            if host is self.head:
                wait_until(self._listens, f"the head of Ray; {self.log(host)}", timeout=START_S)
            self.wait_for(addresses, timeout=45.0)
        except CommandFailed:
            if last:
                raise
            kill_group(self.processes[host.name])
            self._end_ray(host)
            return False
        return True

    def start_node(self, host: Host) -> None:
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", "--disable-usage-stats"]
        head = [
            "--head", f"--port={PORT}", f"--include-dashboard={str(self.dashboard).lower()}",
            f"--dashboard-host={host.address}",
            f"--system-config={json.dumps(self.health_checks)}",
        ]  # fmt: skip
        role = head if host is self.head else [f"--address={self.address}"]
        command = [*ray, f"--node-ip-address={host.address}", "--object-store-memory=80000000", *role]
        self.processes[host.name] = host.start(command, self.logs / f"ray-{host.name}.txt")

    def _listens(self) -> bool:
        assert self.processes[self.head.name].poll() is None, self.log(self.head)
        with suppress(OSError):
            import socket

            self.head.call(lambda: socket.create_connection((self.head.address, PORT), 1).close())
            return True
        return False

    def wait_for(self, addresses: Sequence[str], *, timeout: float = START_S) -> None:
        """Wait until exactly these nodes are members. Raises: CommandFailed, which says which are."""
        wait = [sys.executable, "-c", WAIT, self.address, str(timeout), *addresses]
        self.head.run(wait, timeout=timeout + START_S)

    def replace_ended_nodes(self) -> None:
        """Start the nodes again whose `ray start --block` has ended or is about to, their raylet being gone."""
        for host in self.hosts.all:
            process = self.processes.get(host.name)
            if process is not None and not any("/raylet/raylet " in line for line in host.processes().values()):
                kill_group(process)
                self._end_ray(host)
                self.start_node(host)

    def stop(self) -> None:
        """End all of Ray's processes, and those of its workers."""
        for host in self.hosts.all:
            if host.name in self.processes:
                kill_group(self.processes.pop(host.name))
                self._end_ray(host)

    def _end_ray(self, host: Host) -> None:
        for pid, line in host.processes().items():
            if "/ray/" in line or line.startswith("ray::"):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def kill_raylet(self, host: Host) -> None:
        """Kill the raylet of a host; its workers end with it, and `ray start --block` too."""
        for pid, line in host.processes().items():
            if "/raylet/raylet " in line:
                os.kill(pid, signal.SIGKILL)

    def log(self, host: Host) -> str:
        path = self.logs / f"ray-{host.name}.txt"
        return path.read_text(encoding="utf-8") if path.exists() else ""


@contextmanager
def ray_on(hosts: Hosts, logs: Path, members: Sequence[Host] | None = None, *, dashboard: bool = False
) -> Iterator[RayHosts]:  # fmt: skip
    """Ray on all hosts, or on `members` of them, for the length of the block."""
    cluster = RayHosts(hosts, logs, dashboard=dashboard)
    for host in hosts.all:
        # a job starts `python`, as it is named in the images of cluster/deploy
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        host.environment.update({**ENVIRONMENT, "PATH": path})
    try:
        cluster.start(members or hosts.all)
        yield cluster
    finally:
        for process in cluster.processes.values():
            kill_group(process)
