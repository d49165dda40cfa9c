"""The hosts that tests of clusters rely on: they share a network and the code, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hosts import CODE, HOME, Hosts, HostsUnavailable, NetworkOf, booted
from tests.support.processes import wait_until
from tests.support.s3 import S3Server, ServerUnavailable, serving

ASK = "import socket; socket.create_connection(('{}', {}), 2)"


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    try:
        with booted(["one", "two"]) as hosts:
            yield hosts
    except HostsUnavailable as error:
        pytest.skip(f"no hosts: {error}")


def test_hosts_share_no_file_and_write_none_of_this_machine(hosts: Hosts) -> None:
    for folder in ("/tmp", "/var/tmp", "/dev/shm", HOME, CODE, CODE / "tests"):
        for host in hosts.all:
            host.run(["sh", "-c", f"test ! -e {folder}/mark && echo {host.name} > {folder}/mark"])
            assert host.run(["cat", f"{folder}/mark"]) == f"{host.name}\n"
            assert host.path(f"{folder}/mark").read_text() == f"{host.name}\n"
        assert not Path(folder, "mark").exists()
    with pytest.raises(subprocess.CalledProcessError):
        hosts[0].run(["touch", "/etc/mark"])


def test_a_host_has_its_own_name_network_and_processes(hosts: Hosts) -> None:
    one, two = hosts.all
    code = "import socket; print(socket.gethostname(), socket.gethostbyname(socket.gethostname()))"
    assert one.run([sys.executable, "-c", code]) == "one 127.0.1.1\n"
    assert "10.77.0.2" in two.run(["ip", "-4", "-o", "addr", "show", "eth0"])
    assert len(two.run(["ps", "-e", "-o", "comm="]).split()) <= 3


def test_a_cut_link_loses_packets_until_it_is_restored(hosts: Hosts, tmp_path: Path) -> None:
    one, two = hosts.all
    listener = one.start([sys.executable, "-m", "http.server", "--bind", one.address, "8000"], tmp_path / "log")

    def answers() -> bool:
        try:
            two.run([sys.executable, "-c", ASK.format(one.address, 8000)])
        except subprocess.CalledProcessError:
            return False
        return True

    wait_until(answers, "a connection", timeout=20)
    hosts.cut(one)
    assert not answers() and listener.poll() is None
    hosts.restore(one)
    wait_until(answers, "a connection over the restored link", timeout=20)


def test_a_killed_host_has_no_process_left_and_starts_empty(hosts: Hosts, tmp_path: Path) -> None:
    one = hosts[0]
    process = one.start(["sh", "-c", "echo 1 > /tmp/kept; (setsid sleep 600 &); sleep 600"], tmp_path / "log")
    wait_until(lambda: len(one.processes()) >= 3 and one.path("/tmp/kept").exists(), "its processes", timeout=10)
    pids = list(one.processes())
    one.kill()
    assert process.wait(10) != 0
    wait_until(lambda: not any(Path("/proc", str(pid)).exists() for pid in pids), "their end", timeout=10)
    hosts.connect(one)
    assert not one.path("/tmp/kept").exists()


@pytest.mark.long
def test_a_server_in_the_network_of_one_host_is_reached_from_another(hosts: Hosts, tmp_path: Path) -> None:
    one, two = hosts.all
    server = S3Server(tmp_path, address=one.address, location=NetworkOf(one))
    try:
        with serving(server):
            bucket = server.bucket()
            code = f"import fsspec; f = fsspec.filesystem('s3'); f.pipe('{bucket}/a', b'1'); print(f.cat('{bucket}/a'))"
            assert two.run([sys.executable, "-c", code], **server.environment) == "b'1'\n"
    except ServerUnavailable as error:
        pytest.skip(f"no S3 server: {error}")
