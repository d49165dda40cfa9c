"""The same two calls on Ray: a gang is a TorchTrainer, tasks are Ray tasks. The only file that imports Ray.

Without `cluster.address` a Ray of our own starts on this machine (9 s from its start to a worker's first line) in a
short temporary folder, since the path of a socket may have 107 bytes, and ends with the stage; `head.py` holds one for
many runs. What Ray and the workers print goes to the run's log. Nothing is reported through Ray while training:
`ray.train.report` is a barrier, and one that had returned can still be lost; checkpoints are ours and lie in the draft.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.launchers import network, requirements
from cluster.launchers.base import Launcher, failure, member
from pipeline.core.errors import BloomeryError, StageFailed, UserError
from pipeline.core.job import ClusterOptions, Job

# read when ray is imported; its token authentication stays on
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_TRAIN_ENABLE_PRINT_PATCH": "0", "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5", "PYTHONSAFEPATH": "1",
    # Ray runs its workers at niceness 15: a gang then waits at every step for whatever else the machine does
    "RAY_worker_niceness": "0",
}  # fmt: skip
# what Ray does by itself where it starts one; who joins it must say the same. A cluster of the user's may have none
TOKEN = {"RAY_AUTH_MODE": "token"}
# Ray adds about 75 bytes to its folder before the name of a socket
LONGEST_FOLDER = 20


class OnRay(Launcher):
    """See the module."""

    def __init__(self, cluster: ClusterOptions) -> None:
        super().__init__(cluster)
        self.address = cluster.address
        self.gpus = cluster.gpus_per_worker
        self.head = cluster.head  # one that head.py holds for us

    def gang(self, target: str, spec: dict[str, Any], *, processes: int, job: Job) -> None:
        with self._ray(processes, job) as folder:
            from ray.train import RunConfig, ScalingConfig
            from ray.train.torch import TorchTrainer
            from ray.train.v2.api.config import LoggingConfig

            _require_places(self._resources(), workers=processes)
            trainer = TorchTrainer(
                _train,
                train_loop_config={"order": self.order(target, folder, job, gang=True), "spec": spec},
                torch_config=_torch_config("nccl" if self.gpus else "gloo"),
                scaling_config=ScalingConfig(
                    num_workers=processes, use_gpu=self.gpus > 0, resources_per_worker=self._resources()
                ),
                run_config=RunConfig(
                    name=job.stage, storage_path=str(folder / "ray"),
                    logging_config=LoggingConfig(log_level="CRITICAL"),
                ),
            )  # fmt: skip
            try:
                trainer.fit()
            except Exception as error:
                raise _why(error, folder, job) from error

    def tasks(self, target: str, specs: Sequence[dict[str, Any]], *, job: Job) -> list[Any]:
        """A killed task is tried again three times, as Ray does by default; an exception is not."""
        if not specs:
            return []
        with self._ray(min(self.workers, len(specs)), job) as folder:
            import ray

            order = self.order(target, folder, job, gang=False)
            _require_places({"CPU": float(self.threads), "GPU": float(min(self.gpus, 1))}, workers=1)
            task = ray.remote(num_cpus=self.threads, num_gpus=min(self.gpus, 1))(_task)
            try:
                results: list[Any] = ray.get([task.remote(order, spec, index) for index, spec in enumerate(specs)])
            except Exception as error:
                raise _why(error, folder, job) from error
            return results

    def _resources(self) -> dict[str, float]:
        return {"CPU": float(self.threads)} | ({"GPU": float(self.gpus)} if self.gpus else {})

    @contextmanager
    def _ray(self, processes: int, job: Job) -> Iterator[Path]:
        """Ray, quiet, for the length of the block; gives a folder that every host sees."""
        folder = job.place.scratch / "launches" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        cpus = max(os.cpu_count() or 1, processes * self.threads)
        try:
            if self.address:
                ray = _joined(self.address, job.stage)
            else:
                ray = _joined(self.head, job.stage, TOKEN) if self.head else started(cpus, job.stage)
            with ray:
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def started(cpus: int, who: str) -> Iterator[str]:
    """A Ray of our own on this machine, for the length of the block; gives its address.

    Raises: StageFailed when it does not start.
    """
    own = _own_folder()
    try:
        with _joined("local", who, TOKEN, num_cpus=cpus, include_dashboard=False, _temp_dir=own) as address:
            yield address
    finally:
        _remove(Path(own))


@contextmanager
def _joined(address: str, who: str, settings: Mapping[str, str] | None = None, **options: Any) -> Iterator[str]:
    if why := requirements.why_no_answer(address):  # Ray itself would try for a minute
        raise UserError(f"cluster.address: {why} {requirements.ADDRESS_HINT}")
    chosen = {**QUIET, **(settings or {})}
    os.environ.update({name: os.environ.get(name, value) for name, value in chosen.items()})
    import ray

    try:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="error", **options)
        except Exception as error:
            hint = "cluster.launcher=local needs no Ray"
            raise StageFailed(f"{who}: Ray did not start: {_last_line(error)} ({hint})") from error
        yield str(ray.get_runtime_context().gcs_address)
    finally:
        ray.shutdown()


def _require_places(needs: Mapping[str, float], *, workers: int) -> None:
    """Ray waits without a word for what its cluster does not have, for ever.

    Raises: UserError when so many workers with such needs can never start.
    """
    import ray
    from ray._private.state import state  # the only door to an autoscaler's limits

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    growth = state.get_max_resources_from_cluster_config()
    if why := requirements.why_no_place(nodes, needs, workers=workers, growth=growth):
        raise UserError(why)


def _torch_config(backend: str) -> Any:
    """Ray Train's process group, through the interface of each worker's own node."""
    from ray.train.torch import TorchConfig
    from ray.train.torch.config import _TorchBackend

    class NodeInterface(_TorchBackend):  # type: ignore[misc]
        def on_start(self, worker_group: Any, backend_config: Any) -> None:
            worker_group.execute(_use_interface_of_node)  # before the workers meet
            super().on_start(worker_group, backend_config)

    class Config(TorchConfig):  # type: ignore[misc]
        @property
        def backend_cls(self) -> Any:
            return NodeInterface

    return Config(backend=backend)


def _use_interface_of_node() -> None:
    import ray

    address = ray.util.get_node_ip_address()
    os.environ.update(network.socket_settings(address, os.environ, network.interfaces_here()))


def _train(config: dict[str, Any]) -> None:
    """What a worker of Ray Train runs; Ray has set RANK and joined the process group."""
    _take_over(config["order"])
    member(config["order"], config["spec"], int(os.environ["RANK"]))


def _task(order: dict[str, Any], spec: dict[str, Any], index: int) -> Any:
    """What a Ray task runs."""
    _take_over(order)
    return member(order, spec, index)


def _take_over(order: dict[str, Any]) -> None:
    """From here on this process and its children print to the run's log; on a host without it, where Ray puts it."""
    log = Path(order["log"])
    if not log.parent.is_dir():
        return
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _why(error: Exception, folder: Path, job: Job) -> BloomeryError:
    told = failure(folder)
    if told is not None:
        return told
    # a killed worker says nothing; Ray Train keeps what it saw of each by rank
    failures = getattr(error, "worker_failures", None) or {}
    found = next(iter(failures.values()), error)
    if "died" in str(found):
        what = "a worker was killed or crashed: out of memory is the usual reason"
        return StageFailed(f"{job.stage}: {what} (more in {job.log.name}).")
    return StageFailed(f"{job.stage}: {_last_line(found)} (more in {job.log.name})")


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _remove(folder: Path) -> None:
    """Remove Ray's folder; its processes end within a moment of `shutdown`, and write until then."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def _own_folder() -> str:
    """A short new folder for a Ray of our own; those of killed runs go now, since nobody could remove them then."""
    above = tempfile.gettempdir()
    above = above if len(above) <= LONGEST_FOLDER else "/tmp"
    for left in Path(above).glob("bl-*-*"):
        pid = left.name.split("-")[1]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"bl-{os.getpid()}-", dir=above)
