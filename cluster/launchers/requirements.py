"""Checks that this machine, or the Ray cluster, has what the `cluster` section requests, before anything waits for it.

`problems` checks what is known without starting anything (milliseconds; up to ANSWER_S for a Ray address that does not
answer). The CPUs and GPUs of a Ray cluster are compared with the request once it is joined (on_ray.py).
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ANSWER_S = 3.0  # a host that drops packets never refuses a connection
DEVICES = Path("/dev")


@dataclass(frozen=True)
class Missing:
    """An option of `cluster` that cannot be satisfied, what is missing, and a hint."""

    option: str
    what: str
    hint: str


def problems(
    launcher: str, runner: str = "embedded", *, address: str | None, workers: int, gpus_per_worker: int
) -> list[Missing]:
    """The options that cannot be satisfied, as far as this machine knows."""
    users = [option for option, name in (("launcher", launcher), ("beam.runner", runner)) if name == "ray"]
    if users and find_spec("ray") is None:
        return [Missing(option, "Ray is not installed.", f"Install it: {RAY_INSTALL}") for option in users]
    if users and address and (problem := address_problem(address)):
        return [Missing("address", problem, ADDRESS_HINT)]
    if launcher == "ray" and address:
        return []  # its nodes have the GPUs
    return gpu_problems(visible_gpus(), workers=workers, gpus_per_worker=gpus_per_worker)


RAY_INSTALL = "pip install -c constraints.txt 'ray[train]'"
ADDRESS_HINT = "Start Ray there (ray start --head), correct the address, or leave it out to start Ray on this machine."


def gpu_problems(gpus: int | None, *, workers: int, gpus_per_worker: int) -> list[Missing]:
    """Compare the requested GPUs with this machine's; None means that they could not be counted."""
    needed = workers * gpus_per_worker
    if gpus is None or needed <= gpus:
        return []
    reason = f"{_many(workers, 'worker')} with {_many(gpus_per_worker, 'GPU')} each; this machine has {gpus or 'none'}."
    return [Missing("gpus_per_worker", reason, "Write gpus_per_worker: 0 to train on the CPU, or use fewer workers.")]


def visible_gpus(devices: Path = DEVICES, environment: Mapping[str, str] = os.environ) -> int | None:
    """The number of GPUs that a process may use, from their device files: loads no driver. None if unknown."""
    if any((devices / name).exists() for name in ("kfd", "dxg")):  # ROCm, and Windows' subsystem: one file for all
        return None
    names = [path.name for path in devices.iterdir()] if devices.is_dir() else []
    count = sum(1 for name in names if re.fullmatch(r"nvidia\d+", name))
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None or count == 0:
        return count
    listed = [entry for entry in visible.split(",") if entry.strip() not in ("", "-1")]
    # parts of a GPU (MIG) are named one by one and may be more than the device files
    return len(listed) if any(entry.strip().startswith("MIG") for entry in listed) else min(count, len(listed))


def address_problem(address: str, *, timeout_s: float = ANSWER_S) -> str | None:
    """Why no Ray can be reached at an address, in a sentence; None if it can, or if only Ray can tell."""
    match = re.fullmatch(r"(?:ray://)?\[?(?P<host>[^\s/\]]+?)\]?:(?P<port>\d{1,5})", address)
    if match is None:
        return None  # "auto", or another form that Ray accepts
    try:
        with socket.create_connection((match["host"], int(match["port"])), timeout=timeout_s):
            return None
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"no Ray answers at {address} ({reason})."


def count_places(nodes: Iterable[Mapping[str, float]], needs: Mapping[str, float]) -> int:
    """The number of workers with such needs that fit on nodes with such resources."""
    positive = {name: amount for name, amount in needs.items() if amount > 0}
    return sum(int(min(node.get(name, 0.0) // amount for name, amount in positive.items())) for node in nodes)


def capacity_problem(
    nodes: Sequence[Mapping[str, float]],
    needs: Mapping[str, float],
    *,
    workers: int,
    growth: Mapping[str, float] | None,
) -> str | None:
    """Why so many workers can never start on a cluster, in a sentence; None if they can.

    `growth`: the total of each resource that an autoscaler may reach; None without an autoscaler.
    """
    capacity = count_places(nodes, needs)
    if capacity >= workers:
        return None
    if growth and all(growth.get(name, 0.0) >= workers * amount for name, amount in needs.items()):
        return None
    each = " and ".join(_many(amount, name) for name, amount in needs.items() if amount)
    has = " and ".join(_many(sum(node.get(name, 0.0) for node in nodes), name) for name in needs)
    return (
        f"cluster.workers: {_many(workers, 'worker')} of {each} each; the Ray cluster has room for {capacity} "
        f"({has} on {_many(len(nodes), 'node')}). Ask for less, or add nodes to the cluster."
    )


def _many(count: float, noun: str) -> str:
    return f"{count:g} {noun}{'' if count == 1 else 's'}"
