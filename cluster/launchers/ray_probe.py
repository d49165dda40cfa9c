"""Measure a Ray cluster: what each node has, how fast nodes reach each other, and how far their clocks differ.

An actor on each node answers. It holds no resources, so it also starts where all are in use. Links are measured one
after another, each node to the next: about a second for each node, after Ray has started a Python process there.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from cluster.launchers import node_probe
from cluster.launchers.node_probe import NodeFacts, StoreFacts
from cluster.launchers.ray_nodes import Node, living_nodes
from cluster.launchers.ray_session import join_ray, last_line, start_ray
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonValue
from pipeline.core.job import ClusterOptions

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

READY_S = 60.0
CLOCK_TRIES = 15


class HealthChecks(TypedDict):
    """A node is lost when `threshold` checks of the head in a row fail, each after `period` and `timeout`."""

    period_s: float
    timeout_s: float
    threshold: int


@dataclass(frozen=True)
class Link:
    """From one node to another: bytes per second over one connection, and the median round trip in seconds."""

    source: str
    target: str
    rate: float
    round_trip_s: float
    problem: str = ""


@dataclass(frozen=True)
class Clock:
    """How far the clock of a node is ahead of this machine's, and how sure that is (half a round trip), in seconds."""

    ahead_s: float
    error_s: float


@dataclass(frozen=True)
class ClusterFacts:
    """Everything that was measured; by the address of a node. `own` is what this machine says of itself."""

    own: NodeFacts
    nodes: Mapping[str, NodeFacts]
    totals: Mapping[str, Mapping[str, float]]  # what Ray hands out on each
    problems: Mapping[str, str]
    clocks: Mapping[str, Clock]
    links: Sequence[Link]
    store: Mapping[str, StoreFacts]
    without_workdir: Sequence[str]
    health: HealthChecks


class NodeProbe:
    """The actor on a node."""

    def __init__(self, address: str) -> None:
        self.address = address

    def facts(self) -> NodeFacts:
        return node_probe.node_facts(self.address)

    def clock(self) -> float:
        return time.time()

    def health_checks(self) -> HealthChecks:
        from ray._raylet import Config  # type: ignore[attr-defined]  # a process of the cluster has the settings of its head

        return {
            "period_s": Config.health_check_period_ms() / 1000, "timeout_s": Config.health_check_timeout_ms() / 1000,
            "threshold": Config.health_check_failure_threshold(),
        }  # fmt: skip

    def listen(self, nonce: bytes) -> int:
        return node_probe.listen(self.address, nonce)

    def measure(self, address: str, port: int, nonce: bytes) -> tuple[float, float]:
        return node_probe.measure_link(address, port, nonce)

    def store(self, url: str) -> StoreFacts:
        return node_probe.measure_store(url)

    def sees(self, path: str, nonce: str) -> bool:
        """Whether a file of the driver's is here too."""
        file = Path(path)
        return file.exists() and file.read_text(encoding="utf-8") == nonce


def probe_cluster(options: ClusterOptions, workdir: str) -> ClusterFacts:
    """Measure the Ray cluster that these options name; without an address, a local Ray that is started for it.

    `workdir`: a folder, or the URL of a store. Raises: UserError, StageFailed when Ray cannot be joined.
    """
    session = join_ray(options.address, "doctor") if options.address else start_ray(os.cpu_count() or 1, "doctor")
    with session:
        nodes = living_nodes()
        probes, problems = _start(nodes)
        is_store = "://" in workdir
        return ClusterFacts(
            own=node_probe.node_facts("this machine"),
            nodes={address: _ask(probe.facts.remote()) for address, probe in probes.items()},
            totals={node.address: node.total for node in nodes},
            problems=problems,
            clocks={address: _clock_of(probe) for address, probe in probes.items()},
            links=list(_links(probes)),
            store={address: _ask(probe.store.remote(workdir)) for address, probe in probes.items()} if is_store else {},
            without_workdir=[] if is_store else _without(probes, Path(workdir)),
            health=_ask(next(iter(probes.values())).health_checks.remote()),
        )


def _start(nodes: Sequence[Node]) -> tuple[dict[str, ActorHandle], dict[str, str]]:
    """A probe on each node that answers, and the problem of each that does not."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    actor = ray.remote(num_cpus=0, max_concurrency=2)(NodeProbe)
    probes = {
        node.address: actor.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)
        ).remote(node.address)
        for node in nodes
    }  # fmt: skip
    answering, problems = {}, {}
    for address, probe in probes.items():
        try:
            ray.get(probe.clock.remote(), timeout=READY_S)
            answering[address] = probe
        except Exception as error:  # Ray has an error for each reason, and a timeout is another
            problems[address] = f"does not start a process of Bloomery's: {last_line(error)}"
    if not answering:
        raise StageFailed(f"no node of the Ray cluster answers: {next(iter(problems.values()), 'there is none')}")
    return answering, problems


def _ask(reference: ObjectRef) -> JsonValue:
    import ray

    return ray.get(reference, timeout=READY_S)


def _clock_of(probe: ActorHandle) -> Clock:
    """The quickest of some answers says most about a clock."""
    answers = []
    for _ in range(CLOCK_TRIES):
        sent = time.time()
        theirs: float = _ask(probe.clock.remote())
        received = time.time()
        answers.append(Clock(theirs - (sent + received) / 2, (received - sent) / 2))
    return min(answers, key=lambda clock: clock.error_s)


def _links(probes: Mapping[str, ActorHandle]) -> Iterator[Link]:
    """Each node to the next, and the last to the first: the order in which an all-reduce goes around."""
    addresses = list(probes)
    for source, target in zip(addresses, addresses[1:] + addresses[:1], strict=True):
        if source == target:
            return
        nonce = secrets.token_bytes(16)
        try:
            port = _ask(probes[target].listen.remote(nonce))
            rate, round_trip = _ask(probes[source].measure.remote(target, port, nonce))
            yield Link(source, target, rate, round_trip)
        except Exception as error:  # an OSError of the node arrives as an error of Ray's
            yield Link(source, target, 0.0, 0.0, last_line(error))


def _without(probes: Mapping[str, ActorHandle], workdir: Path) -> list[str]:
    """The nodes that do not see a file in the work directory of this machine."""
    with _marker(workdir) as (path, nonce):
        return [address for address, probe in probes.items() if not _ask(probe.sees.remote(str(path), nonce))]


@contextmanager
def _marker(workdir: Path) -> Iterator[tuple[Path, str]]:
    """A file with a content of its own, in the folder or in the nearest one above it that exists."""
    folder = workdir.absolute()
    while not folder.exists():
        folder = folder.parent
    nonce = secrets.token_hex(8)
    path = folder / f".bloomery-doctor-{nonce}"
    path.write_text(nonce, encoding="utf-8")
    try:
        yield path, nonce
    finally:
        path.unlink(missing_ok=True)
