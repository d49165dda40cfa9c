"""Three hosts as network namespaces, on each of which the host's name resolves to 127.0.1.1 as on Debian and Ubuntu.

Needs `ip netns` and its privileges. The hosts share this machine's files, processors and name; their traffic stays in
the namespaces.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.long

HOSTS = 3
PORT = 6379
BEFORE_S = 120.0
CONFIG = """\
workdir: {folder}/work
ingest: {{sources: [{{reader: jsonl, paths: "{folder}/*.jsonl"}}]}}
tokenizer: {{vocabulary: 300}}
pack: {{length: 16, validation: 0.2}}
pretrain:
  model: {{gpt: {{layers: 1, heads: 2, width: 16}}}}
  steps: 3
  batch_tokens: 96
cluster: {{launcher: ray, address: "{address}", workers: 3, beam: {{workers: 1}}}}
"""
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONSAFEPATH": "1", "RAY_worker_niceness": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "120",
}  # fmt: skip


class Host:
    """A network namespace: `address` on the common bridge, a hosts file and a resolver of its own."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address

    def start(self, command: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as stream:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                env={**_clean(), **ENVIRONMENT}, process_group=0,
            )  # fmt: skip

    def ends(self) -> None:
        """End every process of this namespace, and the namespace."""
        listed = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        for pid in listed.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)
        shutil.rmtree(Path("/etc/netns", self.name), ignore_errors=True)


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "GLOO_", "NCCL_"))}


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@contextmanager
def _namespaces() -> Iterator[list[Host]]:
    prefix = f"bl{os.getpid()}"
    switch = Host(f"{prefix}s", "")
    hosts = [Host(f"{prefix}h{number}", f"10.77.0.{number}") for number in range(1, HOSTS + 1)]
    try:
        try:
            _ip("netns", "add", switch.name)
            _ip("-n", switch.name, "link", "add", "br0", "type", "bridge")
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", None) or str(error)
            pytest.skip(f"network namespaces cannot be made here: {reason.strip()}")
        _ip("-n", switch.name, "link", "set", "br0", "up")
        for number, host in enumerate(hosts, 1):
            _ip("netns", "add", host.name)
            _ip("-n", host.name, "link", "add", "eth0", "type", "veth", "peer", "name", f"p{number}", "netns",
                switch.name)  # fmt: skip
            _ip("-n", switch.name, "link", "set", f"p{number}", "master", "br0", "up")
            _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
            for interface in ("lo", "eth0"):
                _ip("-n", host.name, "link", "set", interface, "up")
            # `ip netns exec` lays these over /etc
            own = Path("/etc/netns", host.name)
            own.mkdir(parents=True)
            (own / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {socket.gethostname()}\n", encoding="utf-8")
            (own / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", encoding="utf-8")
        yield hosts
    finally:
        for host in (*hosts, switch):
            host.ends()


@contextmanager
def _ray(hosts: Sequence[Host], folder: Path) -> Iterator[str]:
    """A head on the first host and a node on each other, one processor each; gives the head's address."""
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", "--disable-usage-stats"]
    address = f"{hosts[0].address}:{PORT}"
    temporary = tempfile.mkdtemp(prefix="bl-", dir="/tmp")  # the path of a socket may have 107 bytes
    processes = []
    try:
        head = ["--head", f"--port={PORT}", "--include-dashboard=false", f"--temp-dir={temporary}"]
        store = "--object-store-memory=80000000"
        for host in hosts:
            where = head if host is hosts[0] else [f"--address={address}"]
            command = [*ray, f"--node-ip-address={host.address}", store, *where]
            processes.append(host.start(command, folder / f"{host.name}.txt"))
            if host is hosts[0]:
                _wait_for_port(host, processes[0], folder / f"{host.name}.txt")
        yield address
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(temporary, ignore_errors=True)


def _wait_for_port(host: Host, process: subprocess.Popen[bytes], log: Path) -> None:
    ask = f"import socket; socket.create_connection(('{host.address}', {PORT}), 1)"
    end = time.monotonic() + BEFORE_S
    while host.start([sys.executable, "-c", ask], log.with_suffix(".ask")).wait():
        assert process.poll() is None and time.monotonic() < end, log.read_text(encoding="utf-8")
        time.sleep(0.5)


def _wait_for_nodes(host: Host, address: str, folder: Path) -> None:
    code = (
        f"import ray, time\nray.init(address='{address}', log_to_driver=False, logging_level='error')\n"
        f"while sum(node['Alive'] for node in ray.nodes()) < {HOSTS}: time.sleep(0.5)\n"
    )
    log = folder / "nodes.txt"
    assert host.start([sys.executable, "-c", code], log).wait(BEFORE_S) == 0, log.read_text(encoding="utf-8")


def test_three_hosts_train_though_their_name_resolves_to_loopback(tmp_path: Path) -> None:
    sentences = [
        "the quiet river carries a letter",
        "安静的河流带着一封信",
        "nobody has opened it yet",
        "还没有人打开它",
    ]
    lines = (f'{{"text": "{sentences[number % 4]} {number}"}}\n' for number in range(200))
    (tmp_path / "texts.jsonl").write_text("".join(lines), encoding="utf-8")
    with _namespaces() as hosts, _ray(hosts, tmp_path) as address:
        _wait_for_nodes(hosts[0], address, tmp_path)
        config, log = tmp_path / "run.yaml", tmp_path / "run.txt"
        config.write_text(CONFIG.format(folder=tmp_path, address=address), encoding="utf-8")
        command = [sys.executable, "-m", "cluster.cli", "run", str(config)]
        assert hosts[0].start(command, log).wait(600) == 0, log.read_text(encoding="utf-8")
    [curve] = (tmp_path / "work" / "store" / "pretrain").glob("*/curve.parquet")
    assert pq.read_table(curve)["step"].to_pylist() == [1, 2, 3]
