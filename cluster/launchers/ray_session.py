"""Start a Ray on this machine, or join one that runs, for the length of a block. Quietly.

A local Ray takes 2 to 3 s to start. Its temporary folder has a short path, since the path of a socket may have 107
bytes. Whatever Ray prints goes to the run's log.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cluster.launchers import requirements
from pipeline.core.errors import StageFailed, UserError

# read when ray is imported; its token authentication stays on
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "PYTHONSAFEPATH": "1",
    # Ray runs its workers at niceness 15: a gang would then wait for other processes at every step
    "RAY_worker_niceness": "0",
}  # fmt: skip
# Ray's own default when it starts; who joins must use the same. The user's cluster may have no authentication
TOKEN = {"RAY_AUTH_MODE": "token"}
# Ray adds about 75 bytes to its folder before the name of a socket
LONGEST_FOLDER = 20


@contextmanager
def start_ray(cpus: int, label: str) -> Iterator[str]:
    """Start a local Ray for the length of the block; gives its address.

    Raises: StageFailed when it does not start.
    """
    folder = _new_folder()
    try:
        with join_ray("local", label, TOKEN, num_cpus=cpus, include_dashboard=False, _temp_dir=folder) as address:
            yield address
    finally:
        _remove(Path(folder))


@contextmanager
def join_ray(address: str, label: str, settings: Mapping[str, str] | None = None, **options: object) -> Iterator[str]:
    """Join the Ray at an address for the length of the block; gives the address of its control store.

    Raises: UserError when nothing answers there; StageFailed when Ray does not start.
    """
    if problem := requirements.address_problem(address):  # Ray itself would try for a minute
        raise UserError(f"cluster.address: {problem} {requirements.ADDRESS_HINT}")
    variables = {**QUIET, **(settings or {})}
    os.environ.update({name: os.environ.get(name, value) for name, value in variables.items()})
    import ray

    try:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="error", **options)
        except Exception as error:
            hint = "cluster.launcher=local does not need Ray"
            raise StageFailed(f"{label}: Ray did not start: {last_line(error)} ({hint})") from error
        yield str(ray.get_runtime_context().gcs_address)
    finally:
        ray.shutdown()


def last_line(error: BaseException) -> str:
    """The last line of an error's message, which is where Ray says the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _remove(folder: Path) -> None:
    """Remove Ray's folder. Its processes end shortly after `shutdown`, and write until then."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def _new_folder() -> str:
    """A new folder with a short path for a local Ray. Removes those that killed runs left behind."""
    parent = tempfile.gettempdir()
    parent = parent if len(parent) <= LONGEST_FOLDER else "/tmp"
    for leftover in Path(parent).glob("bl-*-*"):
        pid = leftover.name.split("-")[1]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(leftover, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"bl-{os.getpid()}-", dir=parent)
