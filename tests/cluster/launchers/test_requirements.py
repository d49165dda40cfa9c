"""What is asked for and is not there is said in a sentence, and nothing waits for it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cluster.launchers import launcher
from cluster.launchers.requirements import (
    address_problem,
    capacity_problem,
    count_places,
    gpu_problems,
    problems,
    visible_gpus,
)
from pipeline.core.errors import UserError
from pipeline.core.job import ClusterOptions, Job

NODES = [{"CPU": 4.0, "memory": 1e9}, {"CPU": 3.0, "GPU": 2.0}]


@pytest.fixture
def closed() -> str:
    """An address of this machine at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_a_gpu_that_is_not_there_is_named() -> None:
    assert not gpu_problems(2, workers=2, gpus_per_worker=1)
    assert not gpu_problems(0, workers=2, gpus_per_worker=0)
    assert not gpu_problems(None, workers=2, gpus_per_worker=1)
    [missing] = gpu_problems(0, workers=1, gpus_per_worker=1)
    assert (missing.option, missing.what) == ("gpus_per_worker", "1 worker with 1 GPU each; this machine has none.")
    [missing] = gpu_problems(2, workers=2, gpus_per_worker=2)
    assert missing.what == "2 workers with 2 GPUs each; this machine has 2."


@pytest.mark.parametrize(
    ("files", "environment", "count"),
    [
        ([], {}, 0),
        (["nvidiactl", "nvidia-uvm"], {}, 0),
        (["nvidia0", "nvidia1", "nvidiactl"], {}, 2),
        (["nvidia0", "nvidia1"], {"CUDA_VISIBLE_DEVICES": "1"}, 1),
        (["nvidia0", "nvidia1"], {"CUDA_VISIBLE_DEVICES": ""}, 0),
        (["nvidia0"], {"CUDA_VISIBLE_DEVICES": "MIG-aa,MIG-bb"}, 2),
        (["kfd"], {}, None),
    ],
)
def test_gpus_are_counted_by_their_device_files(
    files: list[str], environment: dict[str, str], count: int | None, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).touch()
    assert visible_gpus(tmp_path, environment) == count


def test_an_address_where_nobody_listens_is_named(closed: str) -> None:
    for address in (closed, f"ray://{closed}"):
        [missing] = problems("ray", address=address, workers=1, gpus_per_worker=0)
        assert missing.option == "address"
        assert missing.what == f"no Ray answers at {address} (Connection refused)."
    assert problems("local", address=closed, workers=1, gpus_per_worker=0) == []
    [missing] = problems("local", "ray", address=closed, workers=1, gpus_per_worker=0)
    assert missing.option == "address"


def test_a_missing_ray_is_named_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.launchers.requirements.find_spec", lambda name: None)
    [missing] = problems("local", "ray", address=None, workers=1, gpus_per_worker=0)
    assert (missing.option, missing.what) == ("beam.runner", "Ray is not installed.")
    assert problems("local", "embedded", address=None, workers=1, gpus_per_worker=0) == []


@pytest.mark.parametrize("address", ["no-such-host.invalid:6379", "127.0.0.1:99999"])
def test_an_address_that_cannot_be_reached_is_named(address: str) -> None:
    why = address_problem(address)
    assert why is not None
    assert why.startswith(f"no Ray answers at {address} (")


def test_an_address_that_answers_or_that_ray_looks_up_is_no_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert address_problem(f"127.0.0.1:{server.getsockname()[1]}") is None
    assert address_problem("auto") is None


def test_workers_find_places_on_whole_nodes() -> None:
    assert count_places(NODES, {"CPU": 2.0, "GPU": 0.0}) == 3
    assert count_places(NODES, {"CPU": 1.0, "GPU": 1.0}) == 2
    assert count_places(NODES, {"CPU": 8.0}) == 0


def test_more_than_the_ray_cluster_has_is_said_with_what_it_has() -> None:
    assert capacity_problem(NODES, {"CPU": 2.0}, workers=3, growth=None) is None
    assert capacity_problem(NODES, {"CPU": 2.0, "GPU": 2.0}, workers=4, growth=None) == (
        "cluster.workers: 4 workers of 2 CPUs and 2 GPUs each; the Ray cluster has room for 1 (7 CPUs and 2 GPUs on "
        "2 nodes). Ask for less, or add nodes to the cluster."
    )


def test_a_cluster_that_can_grow_is_waited_for() -> None:
    assert capacity_problem(NODES, {"CPU": 2.0}, workers=9, growth={"CPU": 18.0}) is None
    assert capacity_problem(NODES, {"CPU": 2.0}, workers=9, growth={"CPU": 17.0}) is not None


def test_a_gang_for_a_ray_that_does_not_answer_fails_at_once(members: str, job: Job, closed: str) -> None:
    ray = launcher(ClusterOptions(launcher="ray", address=closed, workers=2))
    with pytest.raises(
        UserError, match=r"^cluster\.address: no Ray answers at 127\.0\.0\.1:\d+ \(Connection refused\)"
    ):
        ray.gang(f"{members}:say", {}, sizes=[2], job=job)


@pytest.mark.long
def test_a_gpu_that_ray_does_not_have_fails_at_once(members: str, job: Job) -> None:
    ray = launcher(ClusterOptions(launcher="ray", workers=2, gpus_per_worker=64))
    with pytest.raises(UserError, match=r"^cluster\.workers: 2 workers of 1 CPU and 64 GPUs each; the Ray cluster has"):
        ray.gang(f"{members}:say", {}, sizes=[2], job=job)
