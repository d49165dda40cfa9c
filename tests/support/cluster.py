"""A cluster for tests: three hosts with Ray, an S3 server, and runs whose driver is on the first host."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.hosts import Host, Hosts, NetworkOf, booted, install_kernels
from tests.support.processes import kill_group, wait_until
from tests.support.ray_hosts import RayHosts, ray_on
from tests.support.s3 import S3Server, serving
from tests.support.small_run import Digests, digests_of, local_digests, whole_path, write_corpus

RUN_S = 1_800.0
LOG_LINES = 80
RUN = [sys.executable, "-m", "cluster.cli", "run"]
SHARED = "/mnt/shared"
ELASTIC, ON_RAY, ZERO_2 = "{min: 1, max: 3}", "{runner: ray, workers: 3}", "{zero: {stage: 2}}"


@dataclass
class Cluster:
    """The hosts, their Ray and the server; `members` are the hosts that compute."""

    hosts: Hosts
    ray: RayHosts
    server: S3Server
    folder: Path
    bucket: str

    @property
    def members(self) -> list[Host]:
        return self.hosts.all[:3]

    @property
    def driver(self) -> Host:
        return self.hosts[0]

    def mend(self) -> None:
        """Switch on what is off, and wait until all hosts are members of Ray again."""
        for host in self.members:
            if not host.pid:
                self.hosts.connect(host)
                install_kernels(host)
                self.ray.start_node(host)
        self.ray.wait_for([host.address for host in self.members])

    def start(
        self,
        name: str,
        *arguments: str,
        workers: str = ELASTIC,
        beam: str = ON_RAY,
        engine: str = ZERO_2,
        shared: bool = False,
    ) -> Run:
        """Start a run with the work directory s3://<bucket>/<name>, or <name> in the folder that all hosts share."""
        config = self.configure(name, self.driver, workers=workers, beam=beam, engine=engine, shared=shared)
        log = self.folder / f"{name}-{time.monotonic_ns()}.txt"
        return Run(self.driver.start([*RUN, config, *arguments], log), log, self.driver)

    def configure(
        self,
        name: str,
        host: Host,
        *,
        workers: str = ELASTIC,
        beam: str = ON_RAY,
        engine: str = ZERO_2,
        shared: bool = False,
    ) -> str:
        """Write the configuration of such a run on a host; gives its path there."""
        section = f'{{launcher: ray, address: "{self.ray.address}", workers: {workers}, beam: {beam}}}'
        workdir = f"{SHARED}/{name}" if shared else f"s3://{self.bucket}/{name}"
        text = whole_path(workdir, f"s3://{self.bucket}/corpus", cluster=section, engine=engine)
        config = f"/tmp/{name}.yaml"
        host.path(config).write_text(text, encoding="utf-8")
        return config

    def digests(self, name: str) -> Digests:
        """Of the artifacts behind S3."""
        return digests_of(self.server.manifests(self.bucket, name))

    def shared_digests(self, name: str) -> Digests:
        """Of the artifacts in the folder that all hosts share."""
        return local_digests(self.folder / "shared" / name)


@dataclass
class Run:
    """A `bloomery run` on the driver's host, and what it printed so far."""

    process: subprocess.Popen[bytes]
    log: Path
    host: Host

    def printed(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for_work_in(self, stage: str) -> None:
        """Wait until a stage has done more than start."""

        def works() -> bool:
            assert self.process.poll() is None, self.printed()
            lines = [line for line in self.printed().splitlines() if line[5:].split()[:1] == [stage]]
            return any("starting" not in line for line in lines)

        wait_until(works, f"progress in {stage}; printed: {self.printed()}", timeout=RUN_S)

    def succeeds(self) -> None:
        try:
            code = self.process.wait(RUN_S)
        finally:
            kill_group(self.process)
        assert code == 0, f"{self.printed()}\n{self.end_of_log()}"

    def end_of_log(self) -> str:
        """The last lines of the log of the newest run on the driver's host."""
        logs = sorted(
            self.host.path("/root/.cache/bloomery").glob("*/runs/*/log.txt"), key=lambda path: path.stat().st_mtime
        )
        return (
            "\n".join(logs[-1].read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]) if logs else ""
        )


@contextmanager
def three_hosts(folder: Path) -> Iterator[Cluster]:
    """A cluster for the length of the block. Raises: HostsUnavailable, ServerUnavailable."""
    write_corpus(folder / "corpus")
    (folder / "shared").mkdir()
    with ExitStack() as stack:
        hosts = stack.enter_context(booted(["one", "two", "three", "store"], shared=folder / "shared"))
        server = S3Server(folder / "s3", address=hosts[3].address, location=NetworkOf(hosts[3]))
        stack.enter_context(serving(server))
        bucket = server.bucket()
        server.upload(bucket, "corpus", folder / "corpus")
        for host in hosts.all[:3]:
            host.environment.update(server.environment)
            install_kernels(host)
        ray = stack.enter_context(ray_on(hosts, folder, hosts.all[:3], dashboard=True))
        yield Cluster(hosts, ray, server, folder, bucket)
