"""A real head of Ray on this machine with token authentication, and `bloomery` as a client of it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import cluster

UP_S, ATTEMPTS = 180.0, 5  # a raylet gives up after 15 s without its agent
PORTS = (
    "port", "dashboard-port", "ray-client-server-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port",
    "metrics-export-port", "node-manager-port", "object-manager-port", "runtime-env-agent-port",
)  # fmt: skip
CLEARED = ("RAY_", "BLOOMERY_")


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(CLEARED)}


@dataclass(frozen=True)
class Head:
    """A head: the address of its dashboard, its token, and the folder that holds all of its logs."""

    address: str
    token: Path
    folder: Path

    def command(
        self, *words: str | Path, cwd: Path, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start `bloomery …` with this head's token; its output is one text."""
        settings = {"RAY_AUTH_TOKEN_PATH": str(self.token), "PYTHONSAFEPATH": "1", **(environment or {})}
        return subprocess.Popen(
            [sys.executable, "-m", "cluster.cli", *map(str, words)], cwd=cwd, text=True, stdin=subprocess.DEVNULL,
            env=clean_environment() | settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def health_checks() -> list[str]:
    """The option with which the heads of cluster/deploy notice a lost node in seconds."""
    services = yaml.safe_load((Path(cluster.__file__).parent / "deploy" / "compose.yaml").read_text("utf-8"))[
        "services"
    ]
    return [option for option in services["head"]["command"] if option.startswith("--system-config")]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [entry.getsockname()[1] for entry in sockets]
    for entry in sockets:
        entry.close()
    return ports


@pytest.fixture(scope="session")
def ray_head() -> Iterator[Head]:
    pytest.importorskip("aiohttp", reason="needs the extra `submit`")
    folder = Path(tempfile.mkdtemp(prefix="bl-head-", dir="/tmp"))  # the path of a socket may have 107 bytes
    token = folder / "token"
    token.touch(0o600)
    token.write_text(secrets.token_hex(24), encoding="utf-8")
    try:
        for attempt in range(ATTEMPTS):
            process, address = _start(folder, token, folder / f"head-{attempt}.txt")
            try:
                if _is_up(address, process, folder / f"head-{attempt}.txt"):
                    yield Head(address, token, folder)
                    return
            finally:
                _end(process)
        pytest.fail((folder / f"head-{ATTEMPTS - 1}.txt").read_text(encoding="utf-8"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, token: Path, log: Path) -> tuple[subprocess.Popen[bytes], str]:
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2",
        "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--include-dashboard=true",
        f"--temp-dir={folder / 'ray'}", "--object-store-memory=100000000", "--disable-usage-stats",
        "--min-worker-port=0", "--max-worker-port=0", *health_checks(),
        *(f"--{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    settings = {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_worker_niceness": "0",
        "RAY_raylet_start_wait_time_s": "60",  # 30 by default: too short for a busy machine
        # a job starts `python`, as it is named in the images of cluster/deploy
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, env=clean_environment() | settings, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            process_group=0,
        )  # fmt: skip
    return process, f"http://127.0.0.1:{ports['dashboard-port']}"


def _is_up(address: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    """Whether the head starts, and its dashboard then requires the token; on a busy machine Ray may give up."""
    deadline = time.monotonic() + UP_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            try:
                urllib.request.urlopen(f"{address}/api/version", timeout=5)
            except urllib.error.HTTPError as error:
                assert error.code == 401
                # Ray gives up after 30 s without its raylet, with a dashboard that has answered
                if "Ray runtime started" in log.read_text(encoding="utf-8"):
                    return True
        time.sleep(0.5)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)  # ends what it started
    with suppress(subprocess.TimeoutExpired):
        process.wait(40)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
