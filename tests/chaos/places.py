"""Where the runs of `make chaos` run: on this machine (a local store, or one behind S3) or on a cluster of hosts."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.support.hosts import Host, Hosts, NetworkOf, booted, install_kernels
from tests.support.processes import end_with_parent
from tests.support.ray_hosts import RayHosts, ray_on
from tests.support.s3 import S3Server, serving
from tests.support.small_run import Digests, configuration, digests_of, local_digests, write_corpus

COMMAND = [sys.executable, "-m", "cluster.cli", "run"]
MARK = "BLOOMERY_CHAOS_RUN"
LOCAL = "{launcher: local, workers: 2, beam: {workers: 2}}"


class LocalPlace:
    """This machine, a local work directory."""

    victims = ("driver", "stage", "training worker", "Beam worker")

    def __init__(self, folder: Path) -> None:
        self.folder, self.mark = folder, secrets.token_hex(8)
        write_corpus(folder / "corpus")

    def __enter__(self) -> LocalPlace:
        return self

    def __exit__(self, *_: object) -> None:
        """End what is left."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def workdir(self, run: str) -> str:
        return str(self.folder / "work" / run)

    def environment(self) -> dict[str, str]:
        return {}

    def configuration(self, run: str) -> str:
        return configuration(self.workdir(run), str(self.folder / "corpus"), cluster=LOCAL)

    def submit(self, run: str) -> subprocess.Popen[bytes]:
        """Start a run, or go on with it."""
        config = self.folder / f"{run}.yaml"
        config.write_text(self.configuration(run), encoding="utf-8")
        with self.log(run).open("ab") as log:
            return subprocess.Popen(
                [*COMMAND, str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env={**os.environ, **self.environment(), MARK: self.mark}, process_group=0,
                preexec_fn=end_with_parent(),
            )  # fmt: skip

    def log(self, run: str) -> Path:
        return self.folder / f"{run}.txt"

    def processes(self) -> dict[int, str]:
        """The processes that belong to the run: pid → command line."""
        mark = f"{MARK}={self.mark}".encode()
        lines: dict[int, str] = {}
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes():
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                    lines[int(folder.name)] = line.decode(errors="replace").strip()
        return lines

    def repair(self, victim: str, pid: int) -> None:
        """Start again what does not belong to the run and was killed."""

    def digests(self, run: str) -> Digests:
        return local_digests(Path(self.workdir(run)))


class S3Place(LocalPlace):
    """This machine, a work directory behind S3, whose server may be killed."""

    victims = (*LocalPlace.victims, "S3 server")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server = S3Server(folder / f"s3-{self.mark}")
        self.stack = ExitStack()

    def __enter__(self) -> S3Place:
        self.stack.enter_context(serving(self.server))
        self.bucket = self.server.bucket()
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.stack.close()

    def workdir(self, run: str) -> str:
        return f"s3://{self.bucket}/{run}"

    def environment(self) -> dict[str, str]:
        # a scratch folder that only this place has: nothing is found there that the store does not have
        return {**self.server.environment, "BLOOMERY_SCRATCH": str(self.folder / f"scratch-{self.mark}")}

    def processes(self) -> dict[int, str]:
        assert self.server.process is not None
        return {**super().processes(), self.server.process.pid: "weed server"}

    def repair(self, victim: str, pid: int) -> None:
        if victim == "S3 server":
            self.server.restart()

    def digests(self, run: str) -> Digests:
        return digests_of(self.server.manifests(self.bucket, run))


class ClusterPlace(S3Place):
    """Three hosts with Ray, and an S3 server; the driver runs on the first. Ray lives on from run to run."""

    victims = ("driver", "stage", "training worker", "Beam worker", "raylet", "head of Ray", "S3 server")

    def __init__(self, folder: Path, *, runner: str = "ray") -> None:
        super().__init__(folder)
        self.runner = runner
        self.hosts: Hosts
        self.ray: RayHosts

    def __enter__(self) -> ClusterPlace:
        self.hosts = self.stack.enter_context(booted(["one", "two", "three", "store"]))
        self.server.address, self.server.location = self.hosts[3].address, NetworkOf(self.hosts[3])
        super().__enter__()
        for host in self._members():
            host.environment.update(self.server.environment)
            install_kernels(host)
        self.server.upload(self.bucket, "corpus", self.folder / "corpus")
        self.ray = self.stack.enter_context(ray_on(self.hosts, self.folder, self._members()))
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def configuration(self, run: str) -> str:
        beam = f"{{runner: {self.runner}, workers: 2}}"
        cluster = f'{{launcher: ray, address: "{self.ray.address}", workers: {{min: 1, max: 3}}, beam: {beam}}}'
        corpus = f"s3://{self.bucket}/corpus"
        return configuration(self.workdir(run), corpus, cluster=cluster, engine="{zero: {stage: 2}}")

    def submit(self, run: str) -> subprocess.Popen[bytes]:
        driver = self.hosts[0]
        driver.path("/tmp/runs").mkdir(exist_ok=True)
        driver.path(f"/tmp/runs/{run}.yaml").write_text(self.configuration(run), encoding="utf-8")
        return driver.start([*COMMAND, f"/tmp/runs/{run}.yaml"], self.log(run))

    def processes(self) -> dict[int, str]:
        assert self.server.process is not None
        lines = {pid: line for host in self._members() for pid, line in host.processes().items()}
        return {**lines, self.server.process.pid: "weed server"}

    def repair(self, victim: str, pid: int) -> None:
        """A node joins again a moment after it was lost; where the head is lost, all of Ray starts again."""
        super().repair(victim, pid)
        if victim == "head of Ray":
            self.ray.stop()
            self.ray.start(self._members())
        elif victim == "raylet":
            self.ray.replace_ended_nodes()

    def _members(self) -> Sequence[Host]:
        return self.hosts.all[:3]
