"""What `cluster` asks for and this machine, or the Ray cluster, does not have: said before anything waits for it.

`problems` is what can be known without starting anything (milliseconds; up to ANSWER_S for a Ray address that does not
answer). A Ray cluster's own CPUs and GPUs are compared with the request once it is joined (on_ray.py).
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ANSWER_S = 3.0  # a host that drops packets never refuses
DEVICES = Path("/dev")


@dataclass(frozen=True)
class Missing:
    """An option of `cluster` that cannot be met, why, and what to do."""

    option: str
    what: str
    hint: str


def problems(launcher: str, *, address: str | None, workers: int, gpus_per_worker: int) -> list[Missing]:
    """What cannot be met, as far as this machine knows."""
    if launcher == "ray" and address:
        why = why_no_answer(address)
        return [Missing("address", why, ADDRESS_HINT)] if why else []
    return gpu_problems(visible_gpus(), workers=workers, gpus_per_worker=gpus_per_worker)


ADDRESS_HINT = "Start Ray there (ray start --head), correct the address, or leave it out to start Ray on this machine."


def gpu_problems(gpus: int | None, *, workers: int, gpus_per_worker: int) -> list[Missing]:
    """Whether this machine's GPUs are enough; None says that they could not be counted."""
    needed = workers * gpus_per_worker
    if gpus is None or needed <= gpus:
        return []
    what = f"{_many(workers, 'worker')} with {_many(gpus_per_worker, 'GPU')} each; this machine has {gpus or 'none'}."
    return [Missing("gpus_per_worker", what, "Write gpus_per_worker: 0 to train on the CPU, or use fewer workers.")]


def visible_gpus(devices: Path = DEVICES, environment: Mapping[str, str] = os.environ) -> int | None:
    """The GPUs that a process here may use, by their device files: no driver is loaded. None when that cannot tell."""
    if any((devices / name).exists() for name in ("kfd", "dxg")):  # ROCm, and Windows' subsystem: one file for all
        return None
    names = [path.name for path in devices.iterdir()] if devices.is_dir() else []
    count = sum(1 for name in names if re.fullmatch(r"nvidia\d+", name))
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or count == 0:
        return count
    listed = [entry for entry in chosen.split(",") if entry.strip() not in ("", "-1")]
    # parts of a GPU (MIG) are named one by one and may be more than the device files
    return len(listed) if any(entry.strip().startswith("MIG") for entry in listed) else min(count, len(listed))


def why_no_answer(address: str, *, timeout_s: float = ANSWER_S) -> str | None:
    """Why nobody answers at a Ray address, in a sentence; None when somebody does, or Ray itself has to look."""
    found = re.fullmatch(r"(?:ray://)?\[?(?P<host>[^\s/\]]+?)\]?:(?P<port>\d{1,5})", address)
    if found is None:
        return None  # "auto", or a form that Ray knows
    try:
        with socket.create_connection((found["host"], int(found["port"])), timeout=timeout_s):
            return None
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"no Ray answers at {address} ({reason})."


def places(nodes: Iterable[Mapping[str, float]], needs: Mapping[str, float]) -> int:
    """How many workers that need so much of each resource find a place on nodes with such resources."""
    wanted = {name: amount for name, amount in needs.items() if amount > 0}
    return sum(int(min(node.get(name, 0.0) // amount for name, amount in wanted.items())) for node in nodes)


def why_no_place(
    nodes: Sequence[Mapping[str, float]],
    needs: Mapping[str, float],
    *,
    workers: int,
    growth: Mapping[str, float] | None,
) -> str | None:
    """Why so many workers can never start on a cluster, in a sentence; None when they can.

    `growth`: what an autoscaler may bring each resource to in all; None without one.
    """
    room = places(nodes, needs)
    if room >= workers:
        return None
    if growth and all(growth.get(name, 0.0) >= workers * amount for name, amount in needs.items()):
        return None
    each = " and ".join(_many(amount, name) for name, amount in needs.items() if amount)
    has = " and ".join(_many(sum(node.get(name, 0.0) for node in nodes), name) for name in needs)
    return (
        f"cluster.workers: {_many(workers, 'worker')} of {each} each; the Ray cluster has room for {room} "
        f"({has} on {_many(len(nodes), 'node')}). Ask for less, or add nodes to the cluster."
    )


def _many(count: float, what: str) -> str:
    return f"{count:g} {what}{'' if count == 1 else 's'}"
