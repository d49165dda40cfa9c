"""The launcher on Ray: a gang is a TorchTrainer, tasks are Ray tasks. The only file that imports Ray.

Without `cluster.address` a local Ray starts on this machine (9 s from its start to a worker's first line) and ends with
the stage; `head.py` holds one for many runs. Its temporary folder has a short path, since the path of a socket may have
107 bytes. What Ray and the workers print goes to the run's log. Nothing is reported through Ray while training:
`ray.train.report` is a barrier, and its result can still be lost; checkpoints are our own and are in the draft.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypedDict

from cluster.launchers import network, requirements
from cluster.launchers.base import Launcher, LaunchOrder, read_failure, run_target
from pipeline.core.errors import BloomeryError, StageFailed, UserError
from pipeline.core.files import JsonObject, JsonValue
from pipeline.core.job import ClusterOptions, Job

# read when ray is imported; its token authentication stays on
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_TRAIN_ENABLE_PRINT_PATCH": "0", "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5", "PYTHONSAFEPATH": "1",
    # Ray runs its workers at niceness 15: a gang would then wait for other processes at every step
    "RAY_worker_niceness": "0",
}  # fmt: skip
# Ray's own default when it starts; who joins must use the same. The user's cluster may have no authentication
TOKEN = {"RAY_AUTH_MODE": "token"}
# Ray adds about 75 bytes to its folder before the name of a socket
LONGEST_FOLDER = 20


class WorkerGroup(Protocol):
    """The workers of a TorchTrainer, as its backend sees them."""

    def execute(self, function: Callable[[], None]) -> object:
        """Run a function in every worker."""


class WorkerConfig(TypedDict):
    """What Ray Train passes to each worker."""

    order: LaunchOrder
    spec: JsonObject


class RayLauncher(Launcher):
    """Starts processes through Ray; see the module."""

    def __init__(self, cluster: ClusterOptions) -> None:
        super().__init__(cluster)
        self.address = cluster.address
        self.gpus = cluster.gpus_per_worker
        self.head = cluster.head  # the address of a Ray that head.py holds

    def gang(self, target: str, spec: JsonObject, *, processes: int, job: Job) -> None:
        with self._ray(processes, job) as folder:
            from ray.train import RunConfig, ScalingConfig
            from ray.train.torch import TorchTrainer
            from ray.train.v2.api.config import LoggingConfig

            _require_resources(self._resources(), workers=processes)
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
                raise _error_of(error, folder, job) from error

    def tasks(self, target: str, specs: Sequence[JsonObject], *, job: Job) -> list[JsonValue]:
        """Ray retries a killed task three times, its default; a task that raises is not retried."""
        if not specs:
            return []
        with self._ray(min(self.workers, len(specs)), job) as folder:
            import ray

            order = self.order(target, folder, job, gang=False)
            _require_resources({"CPU": float(self.threads), "GPU": float(min(self.gpus, 1))}, workers=1)
            task = ray.remote(num_cpus=self.threads, num_gpus=min(self.gpus, 1))(_task)
            try:
                results: list[JsonValue] = ray.get(
                    [task.remote(order, spec, index) for index, spec in enumerate(specs)]
                )
            except Exception as error:
                raise _error_of(error, folder, job) from error
            return results

    def _resources(self) -> dict[str, float]:
        return {"CPU": float(self.threads)} | ({"GPU": float(self.gpus)} if self.gpus else {})

    @contextmanager
    def _ray(self, processes: int, job: Job) -> Iterator[Path]:
        """Start or join Ray for the length of the block; gives a folder that every host can access."""
        folder = job.place.scratch / "launches" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        cpus = max(os.cpu_count() or 1, processes * self.threads)
        try:
            if self.address:
                ray = _join_ray(self.address, job.stage)
            else:
                ray = _join_ray(self.head, job.stage, TOKEN) if self.head else start_ray(cpus, job.stage)
            with ray:
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def start_ray(cpus: int, label: str) -> Iterator[str]:
    """Start a local Ray for the length of the block; gives its address.

    Raises: StageFailed when it does not start.
    """
    folder = _new_folder()
    try:
        with _join_ray("local", label, TOKEN, num_cpus=cpus, include_dashboard=False, _temp_dir=folder) as address:
            yield address
    finally:
        _remove(Path(folder))


@contextmanager
def _join_ray(address: str, label: str, settings: Mapping[str, str] | None = None, **options: object) -> Iterator[str]:
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
            raise StageFailed(f"{label}: Ray did not start: {_last_line(error)} ({hint})") from error
        yield str(ray.get_runtime_context().gcs_address)
    finally:
        ray.shutdown()


def _require_resources(needs: Mapping[str, float], *, workers: int) -> None:
    """Check the resources of the cluster: Ray waits silently, without end, for what it does not have.

    Raises: UserError when so many workers with such needs can never start.
    """
    import ray
    from ray._private.state import state  # the only access to an autoscaler's limits

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    growth = state.get_max_resources_from_cluster_config()
    if problem := requirements.capacity_problem(nodes, needs, workers=workers, growth=growth):
        raise UserError(problem)


def _torch_config(backend: str) -> object:
    """Ray Train's process group, through the network interface of each worker's node."""
    from ray.train.torch import TorchConfig
    from ray.train.torch.config import _TorchBackend

    class NodeInterface(_TorchBackend):  # type: ignore[misc]
        def on_start(self, worker_group: WorkerGroup, backend_config: TorchConfig) -> None:
            worker_group.execute(_use_interface_of_node)  # before the workers connect
            super().on_start(worker_group, backend_config)

    class Config(TorchConfig):  # type: ignore[misc]
        @property
        def backend_cls(self) -> type[_TorchBackend]:
            return NodeInterface

    return Config(backend=backend)


def _use_interface_of_node() -> None:
    import ray

    address = ray.util.get_node_ip_address()
    os.environ.update(network.socket_settings(address, os.environ, network.local_interfaces()))


def _train(config: WorkerConfig) -> None:
    """The function of a Ray Train worker; Ray has set RANK and joined the process group."""
    _redirect_output(config["order"])
    run_target(config["order"], config["spec"], int(os.environ["RANK"]))


def _task(order: LaunchOrder, spec: JsonObject, index: int) -> JsonValue:
    """The function of a Ray task."""
    _redirect_output(order)
    return run_target(order, spec, index)


def _redirect_output(order: LaunchOrder) -> None:
    """Send the output of this process and its children to the run's log, if this host has it; else Ray keeps it."""
    log = Path(order["log"])
    if not log.parent.is_dir():
        return
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _error_of(error: Exception, folder: Path, job: Job) -> BloomeryError:
    recorded = read_failure(folder)
    if recorded is not None:
        return recorded
    # a killed worker records nothing; Ray Train has one error for each rank
    failures = getattr(error, "worker_failures", None) or {}
    first = next(iter(failures.values()), error)
    if "died" in str(first):
        reason = "a worker was killed or crashed: out of memory is the usual reason"
        return StageFailed(f"{job.stage}: {reason} (more in {job.log.name}).")
    return StageFailed(f"{job.stage}: {_last_line(first)} (more in {job.log.name})")


def _last_line(error: BaseException) -> str:
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
