"""Three hosts on one machine that share nothing but a network: Linux namespaces joined by a bridge.

A host has its own network, processes, host name, shared memory and mount view. Its /tmp, /var/tmp and home (so caches
and scratch, too) are a file system in memory of its own; the code and the virtual environment are the same for all, and
what a host writes there stays its own (an overlay); everything else is read-only. Processors, kernel and clock are
shared. Its name resolves to 127.0.1.1, as on Debian and Ubuntu, and no name server answers.

A host ends with its first process, whoever ends that; all of them end with this process. Needs root, `unshare`,
`nsenter` and `ip`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.support.processes import end_with_parent, kill_group, processes_of

CODE = Path(__file__).resolve().parents[2]
HOME = Path("~").expanduser()
CLONE_NEWNET = 0x4000_0000
NETWORK, NETWORK_6 = "10.77.0.", "fd77::"
# the first process of a host: Linux gives it the orphans, which it reaps
INIT = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
print("up", flush=True)
while signal.sigwait({signal.SIGCHLD}):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""
# $1 name, $2 home, $3 python, $4 the first process, $5 the shared folder or nothing; then folders that a host overlays
SET_UP = """
set -e
name=$1 home=$2 python=$3 init=$4 shared=$5
shift 5
mount --make-rprivate /
mount -t sysfs sysfs /sys
mount -t tmpfs -o size=6g tmpfs /mnt
mkdir -m 1777 /mnt/tmp /mnt/var
mkdir /mnt/home
if [ -n "$shared" ]; then
    mkdir /mnt/shared
    mount --bind "$shared" /mnt/shared
fi
number=0
for folder; do
    number=$((number + 1))
    mkdir /mnt/up$number /mnt/work$number /mnt/both$number
    mount -t overlay overlay -o "lowerdir=$folder,upperdir=/mnt/up$number,workdir=/mnt/work$number" /mnt/both$number
done
printf '127.0.0.1 localhost\\n127.0.1.1 %s\\n' "$name" > /mnt/hosts
printf 'nameserver 127.0.0.1\\noptions timeout:1 attempts:1\\n' > /mnt/resolv.conf
mount --bind /mnt/hosts /etc/hosts
mount --bind /mnt/resolv.conf /etc/resolv.conf
mount -t tmpfs -o size=2g tmpfs /dev/shm
mount --bind /mnt/tmp /tmp
mount --bind /mnt/var /var/tmp
mount --bind /mnt/home "$home"
number=0
for folder; do
    number=$((number + 1))
    mkdir -p "$folder"
    mount --bind /mnt/both$number "$folder"
done
mount -o remount,bind,ro /
hostname "$name"
ip link set lo up
exec "$python" -S -c "$init"
"""

T = TypeVar("T")


class CommandFailed(subprocess.CalledProcessError):
    """A command on a host failed; the message has its output."""

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.output}"


class HostsUnavailable(Exception):
    """Namespaces cannot be made here; the message says why."""


@dataclass
class Host:
    """A host with an address. Paths of files are as the host sees them; `path` gives them as this process does."""

    name: str
    address: str
    environment: dict[str, str] = field(default_factory=dict)  # of every process that is started on it
    shared: Path | None = None  # a folder of this machine that the host has at /mnt/shared
    pid: int = 0  # of its first process, as this process sees it; 0: off

    def boot(self) -> None:
        """Switch it on, with empty folders. Raises: HostsUnavailable."""
        command = ["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
        set_up = ["sh", "-c", SET_UP, "sh", self.name, str(HOME), sys.executable, INIT]
        folders = [str(self.shared or ""), *map(str, _folders())]
        try:
            self._outer = subprocess.Popen(
                [*command, *set_up, *folders], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True, preexec_fn=end_with_parent(),
            )  # fmt: skip
        except FileNotFoundError as error:
            raise HostsUnavailable(str(error)) from error
        assert self._outer.stdout is not None and self._outer.stderr is not None
        if self._outer.stdout.readline() != "up\n":
            raise HostsUnavailable(self._outer.stderr.read().strip() or "unshare ended")
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        self.pid = int(children[0])

    def path(self, path: str | Path) -> Path:
        """A file of the host, for this process."""
        return Path(f"/proc/{self.pid}/root", str(path).lstrip("/"))

    def command(self, command: Sequence[str | Path]) -> list[str]:
        """The command line that runs a command on the host, in its /tmp."""
        enter = ["nsenter", f"--target={self.pid}", "--net", "--mount", "--uts", "--ipc", "--pid", "--"]
        return [*enter, "sh", "-c", 'cd /tmp && exec "$@"', "sh", *(str(word) for word in command)]

    def start(self, command: Sequence[str | Path], log: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command. Its output goes to `log`, a file of this process. Its exit status is that of the command."""
        with log.open("ab") as stream:
            return subprocess.Popen(
                self.command(command), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, process_group=0,
                env={**_clean(), **self.environment, **environment},
            )  # fmt: skip

    def run(self, command: Sequence[str | Path], *, timeout: float = 60.0, **environment: str) -> str:
        """The output of a command.

        Raises: CommandFailed with what it printed; TimeoutExpired, after it was killed.
        """
        process = subprocess.Popen(
            self.command(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, process_group=0, env={**_clean(), **self.environment, **environment},
        )  # fmt: skip
        try:
            printed, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            kill_group(process)
            raise
        if process.returncode:
            raise CommandFailed(process.returncode, process.args, printed)
        return printed

    def processes(self) -> dict[int, str]:
        """The processes of the host, without its first: pid as this process sees it → command line."""
        return {pid: line for pid, line in processes_of(self.pid).items() if pid != self.pid}

    def call(self, function: Callable[[], T]) -> T:
        """Call a function of this process, in a thread that is in the network of the host."""
        with ThreadPoolExecutor(1) as executor:
            return executor.submit(self._call, function).result()

    def _call(self, function: Callable[[], T]) -> T:
        with open(f"/proc/{self.pid}/ns/net", "rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return function()

    def kill(self) -> None:
        """Switch it off as a power cut does: all processes, memory and files end at once."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._outer.wait()
            self.pid = 0


@dataclass(frozen=True)
class NetworkOf:
    """The network of a host with the files and processes of this machine."""

    host: Host

    def command(self, command: Sequence[str | Path]) -> list[str]:
        return ["nsenter", f"--target={self.host.pid}", "--net", "--", *(str(word) for word in command)]

    def call(self, function: Callable[[], T]) -> T:
        return self.host.call(function)


@dataclass
class Hosts:
    """Hosts on one bridge; those of `names` get the addresses 10.77.0.1, .2 and so on, or fd77::1, ::2 alone."""

    names: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    shared: Path | None = None
    network: str = NETWORK

    def __post_init__(self) -> None:
        self.switch = Host("switch", "")
        self.all = [
            Host(name, f"{self.network}{number}", dict(self.environment), self.shared)
            for number, name in enumerate(self.names, 1)
        ]

    def __getitem__(self, index: int) -> Host:
        return self.all[index]

    def boot(self) -> None:
        """Switch on the bridge and all hosts."""
        self.switch.boot()
        self._switch("link", "add", "br0", "type", "bridge")
        self._switch("link", "set", "br0", "up")
        for host in self.all:
            self.connect(host)

    def connect(self, host: Host) -> None:
        """Switch on a host and connect it."""
        host.boot()
        port = self._port(host)
        self._switch("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
        self._switch("link", "set", port, "master", "br0", "up")
        # without the seconds in which others are asked whether they have this address of IPv6 already
        width = ["/64", "dev", "eth0", "nodad"] if ":" in host.address else ["/24", "dev", "eth0"]
        _ip(host, "addr", "add", f"{host.address}{width[0]}", *width[1:])
        _ip(host, "link", "set", "eth0", "up")

    def cut(self, host: Host) -> None:
        """Pull the cable: packets are lost, no connection is closed, the processes of the host go on."""
        self._switch("link", "set", self._port(host), "down")

    def restore(self, host: Host) -> None:
        self._switch("link", "set", self._port(host), "up")

    def kill(self) -> None:
        for host in (*self.all, self.switch):
            host.kill()

    def _port(self, host: Host) -> str:
        return f"p{self.all.index(host) + 1}"

    def _switch(self, *arguments: str) -> None:
        _ip(self.switch, *arguments)


@contextmanager
def booted(
    names: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    shared: Path | None = None,
    network: str = NETWORK,
) -> Iterator[Hosts]:
    """Hosts for the length of the block; they have the folder `shared` at /mnt/shared. Raises: HostsUnavailable."""
    hosts = Hosts(names, environment or {}, shared, network)
    try:
        hosts.boot()
        yield hosts
    finally:
        hosts.kill()


def install_kernels(host: Host) -> None:
    """Give a host the compiled kernels of this machine: compiling takes 5 s of a processor."""
    from pipeline.kernels.compiler import cache_folder

    source = cache_folder()
    shutil.copytree(source, host.path(HOME / ".cache" / source.name), dirs_exist_ok=True)


def _folders() -> list[Path]:
    """The code, where Python writes its caches, and what of Python lies in a folder that each host has of its own."""
    own = (Path("/tmp"), Path("/var/tmp"), HOME)
    python = [Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)]
    hidden = [folder for folder in python if any(folder.is_relative_to(parent) for parent in own)]
    return [CODE, *(folder for folder in dict.fromkeys(hidden) if not folder.is_relative_to(CODE))]


def _clean() -> dict[str, str]:
    kept = ("PATH", "LANG", "LC_ALL")
    return {"HOME": str(HOME), "TMPDIR": "/tmp"} | {name: os.environ[name] for name in kept if name in os.environ}


def _ip(host: Host, *arguments: str) -> None:
    command = ["nsenter", f"--target={host.pid}", "--net", "--", "ip", *arguments]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise HostsUnavailable(f"{' '.join(arguments)}: {getattr(error, 'stderr', None) or error}".strip()) from error
