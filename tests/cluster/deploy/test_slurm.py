"""slurm.sh under a real slurmctld and two slurmd of this machine, without systemd and cgroups."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

import cluster

pytestmark = pytest.mark.long

SCRIPT = Path(cluster.__file__).parent / "deploy" / "slurm.sh"
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "scontrol", "munged")
WAIT_S = 600.0
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
SLURM_CONF = """
ClusterName=bloomery
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobRequeue=1
KillWait=60
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=2 RealMemory=4000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 State=UP
"""
CONFIG = """
name: queued
workdir: {folder}/work
ingest: {{sources: [{{reader: jsonl, paths: "{folder}/*.jsonl"}}]}}
tokenizer: {{vocabulary: 300}}
pack: {{length: 16, validation: 0.2}}
pretrain:
  model: {{gpt: {{layers: 1, heads: 2, width: 16}}}}
  steps: 3
  batch_tokens: 96
cluster: {{workers: 2, beam: {{workers: 1}}}}
"""


@dataclass(frozen=True)
class Slurm:
    """A running SLURM; `environment` makes its commands find it."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str | Path, cwd: Path) -> str:
        ended = subprocess.run(command, cwd=cwd, env=self.environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}{self.logs()}"
        return ended.stdout

    def state(self, job: str, cwd: Path) -> str:
        return re.findall(r"JobState=(\w+)", self.run("scontrol", "show", "job", job, cwd=cwd))[0]

    def logs(self) -> str:
        return "".join(path.read_text(errors="replace")[-2000:] for path in sorted(self.folder.glob("*.log")))


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [entry.getsockname()[1] for entry in sockets]
    for entry in sockets:
        entry.close()
    return ports


@contextmanager
def daemon(*command: str | Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"{missing[0]} is not installed (Debian: slurm-wlm, munge)")
    if os.geteuid() != 0:
        pytest.skip("slurmd needs root")
    folder = Path(tempfile.mkdtemp(prefix="bl-slurm-", dir="/tmp"))
    controller, first, second = free_ports(3)
    host = socket.gethostname().partition(".")[0]
    (folder / "state").mkdir()
    (folder / "slurm.conf").write_text(
        SLURM_CONF.format(
            host=host, user=getpass.getuser(), folder=folder, controller=controller, first=first, second=second
        ),
        encoding="utf-8",
    )
    key = folder / "munge.key"
    key.touch(0o400)
    key.write_bytes(os.urandom(1024))
    cleared = ("RAY_", "SLURM", "SBATCH", "BLOOMERY_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(cleared)}
    environment |= {
        "SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_raylet_start_wait_time_s": "150",
    }  # fmt: skip
    with ExitStack() as daemons:
        munge = [f"--key-file={key}", f"--socket={folder / 'munge.socket'}", f"--pid-file={folder / 'munge.pid'}",
                 f"--log-file={folder / 'munge.log'}", f"--seed-file={folder / 'munge.seed'}"]  # fmt: skip
        daemons.enter_context(daemon("munged", "--foreground", "--force", *munge, environment=environment))
        _wait((folder / "munge.socket").exists)
        daemons.enter_context(daemon("slurmctld", "-D", environment=environment))
        for node in ("n1", "n2"):
            daemons.enter_context(daemon("slurmd", "-D", "-N", node, environment=environment))
        running = Slurm(folder, environment)
        _wait(lambda: _idle(running), running)
        yield running
        # a job outlives the daemons; what is left of one, after a failed test, ends here
        running.run("scancel", "--full", "--user", getpass.getuser(), cwd=folder)
        with suppress(AssertionError):
            _wait(lambda: not running.run("squeue", "-h", cwd=folder).strip(), running)
    shutil.rmtree(folder, ignore_errors=True)


def _idle(slurm: Slurm) -> bool:
    with suppress(AssertionError):  # the controller is not up yet
        return slurm.run("sinfo", "-h", "-o", "%t %D", cwd=slurm.folder).split() == ["idle", "2"]
    return False


def _wait(condition: Callable[[], bool], slurm: Slurm | None = None) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, slurm.logs() if slurm else "munged did not start"
        time.sleep(0.5)


@pytest.fixture
def user(tmp_path: Path) -> Path:
    sentences = ("the quiet river carries a letter", "安静的河流带着一封信")
    lines = (json.dumps({"text": f"{sentences[number % 2]} {number}"}) + "\n" for number in range(200))
    (tmp_path / "texts.jsonl").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "run.yaml").write_text(CONFIG.format(folder=tmp_path), encoding="utf-8")
    return tmp_path


def submit(slurm: Slurm, user: Path, *words: str) -> str:
    options = ["--parsable", "--nodes=2", "--cpus-per-task=1", "--time=30"]
    return slurm.run("sbatch", *options, SCRIPT, "run.yaml", *words, cwd=user).strip()


def log_of(job: str, user: Path) -> str:
    path = user / f"bloomery-{job}.log"
    ray = user / f"bloomery-{job}.ray"
    return "\n".join(file.read_text(errors="replace") for file in (path, ray) if file.exists())


def wait_for_end(slurm: Slurm, job: str, user: Path) -> str:
    deadline = time.monotonic() + WAIT_S
    while (state := slurm.state(job, user)) not in ENDED:
        assert time.monotonic() < deadline, f"{state}\n{log_of(job, user)}\n{slurm.logs()}"
        time.sleep(1)
    return state


def test_a_run_trains_on_the_nodes_of_an_allocation_and_leaves_nothing_behind(slurm: Slurm, user: Path) -> None:
    slurm.run("sbatch", "--test-only", "--nodes=2", SCRIPT, "run.yaml", cwd=user)
    job = submit(slurm, user)
    assert wait_for_end(slurm, job, user) == "COMPLETED", log_of(job, user)
    printed = log_of(job, user)
    assert "Ray on n1 n2" in printed and "pretrain  ✓" in printed
    assert list(user.glob("work/store/pretrain/*/manifest.json"))
    assert not Path(f"/tmp/bl-{job}").exists()


def test_a_failed_run_is_a_failed_job(slurm: Slurm, user: Path) -> None:
    job = submit(slurm, user, "pretrain.steps=none")
    assert wait_for_end(slurm, job, user) == "FAILED"
    assert "pretrain.steps: should be" in log_of(job, user)


def test_a_job_that_is_asked_to_end_goes_back_into_the_queue_and_resumes(slurm: Slurm, user: Path) -> None:
    job = submit(slurm, user, "pretrain.steps=100000")
    deadline = time.monotonic() + WAIT_S
    while "[4/4] pretrain" not in log_of(job, user):
        assert time.monotonic() < deadline, log_of(job, user)
        time.sleep(0.5)
    slurm.run("scancel", "--batch", "--signal=TERM", job, cwd=user)
    while "start 2: Ray on" not in log_of(job, user):
        assert time.monotonic() < deadline, log_of(job, user) + slurm.logs()
        time.sleep(1)
    while "4 stages, 3 cached" not in log_of(job, user):
        assert time.monotonic() < deadline, log_of(job, user)
        time.sleep(1)
    slurm.run("scancel", job, cwd=user)
    assert wait_for_end(slurm, job, user) == "CANCELLED"
