"""`doctor --cluster CONFIG`: whether the Ray cluster of a configuration can run it, and how fast its parts are.

Everything is measured, and every line says what it means. A disagreement between nodes is an error (exit code 1).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.commands.doctor import LEAST_DISK, Diagnosis
from cluster.config import load
from cluster.launchers.requirements import capacity_problem
from pipeline.core import figures
from pipeline.core.errors import UserError
from pipeline.core.job import ClusterOptions

if TYPE_CHECKING:
    from cluster.launchers.ray_probe import ClusterFacts, HealthChecks

MOST_CLOCK_S = 1.0
SLOW_LINK = 100e6  # bytes per second: about a network of 1 Gbit/s
PARAMETERS = 100e6  # of the model that a bandwidth is explained with
HEALTH_OPTION = (
    '--system-config=\'{"health_check_period_ms":1000,"health_check_timeout_ms":1000,'
    '"health_check_failure_threshold":3}\''
)


def doctor_cluster(path: Path, overrides: Sequence[str] = ()) -> int:
    """Print one line per check; return 1 when a check fails.

    Raises: ConfigError for an invalid configuration; UserError when it uses no Ray, or Ray cannot be joined.
    """
    config = load(path, overrides).config
    if config.cluster.launcher != "ray":
        raise UserError(f"{path}: cluster.launcher is {config.cluster.launcher}; only Ray has other nodes. Use: doctor")
    from cluster.launchers.ray_probe import probe_cluster

    options = config.cluster.options()
    where = options.address or "a Ray started on this machine for this check (cluster.address is not set)"
    print(f"cluster: {where}", flush=True)
    facts = probe_cluster(options, config.workdir)
    failures = 0
    for diagnosis in diagnoses(facts, options):
        print(f"{diagnosis.mark} {diagnosis.subject:<11} {diagnosis.text}", flush=True)
        failures += diagnosis.mark == "✗"
    print(f"{figures.plural(failures, 'check')} failed." if failures else "All checks passed.")
    return 1 if failures else 0


def diagnoses(facts: ClusterFacts, options: ClusterOptions) -> Iterator[Diagnosis]:
    """What the measurements mean for runs with these options."""
    yield from _nodes(facts, options)
    yield from _versions(facts)
    yield from _processors(facts)
    yield from _clocks(facts)
    yield from _disks(facts)
    yield from _links(facts)
    yield from _workdir(facts)
    yield from _node_loss(facts.health)


def _nodes(facts: ClusterFacts, options: ClusterOptions) -> Iterator[Diagnosis]:
    totals = list(facts.totals.values())
    amounts = ", ".join(f"{sum(total.get(name, 0.0) for total in totals):g} {name}" for name in ("CPU", "GPU"))
    yield Diagnosis("✓", "nodes", f"{figures.plural(len(totals), 'node')} with {amounts} to give away")
    for address, problem in facts.problems.items():
        yield Diagnosis("✗", "nodes", f"{address} {problem}")
    needs = {"CPU": float(options.threads)} | (
        {"GPU": float(options.gpus_per_worker)} if options.gpus_per_worker else {}
    )
    if shortage := capacity_problem(totals, needs, workers=options.workers, growth=None):
        yield Diagnosis("✗", "room", shortage)
    for address, node in facts.nodes.items():
        offered = facts.totals[address].get("GPU", 0.0)
        if node["gpus"] is not None and offered != node["gpus"]:
            text = f"{address} has {node['gpus']}, Ray gives away {offered:g}: restart Ray there, or mend the driver"
            yield Diagnosis("✗", "GPUs", text)


def _versions(facts: ClusterFacts) -> Iterator[Diagnosis]:
    """Every node against this machine, which starts the run."""
    own, wrong = facts.own["versions"], 0
    for address, node in facts.nodes.items():
        names = sorted(own.keys() | node["versions"].keys())
        pairs = [(name, node["versions"].get(name, "absent"), own.get(name, "absent")) for name in names]
        different = [f"{name} {theirs} (here {ours})" for name, theirs, ours in pairs if theirs != ours]
        if different:
            wrong += 1
            text = (
                f"{address} has {', '.join(different)}: install the same versions, or results and messages may differ"
            )
            yield Diagnosis("✗", "versions", text)
    if not wrong:
        text = f"Python {own['python']} and {len(own) - 1} libraries are the same on all nodes and here"
        yield Diagnosis("✓", "versions", text)


def _processors(facts: ClusterFacts) -> Iterator[Diagnosis]:
    kinds = sorted({f"{node['machine']} {node['cpu']}" for node in facts.nodes.values()})
    if len(kinds) == 1:
        yield Diagnosis("✓", "processors", f"{kinds[0]} on all nodes: a restart elsewhere gives the same bits")
    else:
        text = f"{', '.join(kinds)}: the last bits depend on the nodes; write pretrain.precision instead of auto"
        yield Diagnosis("!", "processors", text)


def _clocks(facts: ClusterFacts) -> Iterator[Diagnosis]:
    for address, clock in facts.clocks.items():
        if abs(clock.ahead_s) - clock.error_s > MOST_CLOCK_S:
            direction = "ahead of" if clock.ahead_s > 0 else "behind"
            text = (
                f"that of {address} is {figures.duration(abs(clock.ahead_s))} {direction} this one: synchronise it "
                "(NTP); stores refuse requests that are 15 min off, and times in logs mislead"
            )
            yield Diagnosis("✗", "clocks", text)
    if facts.clocks:
        widest = max(facts.clocks.values(), key=lambda clock: abs(clock.ahead_s))
        if abs(widest.ahead_s) - widest.error_s <= MOST_CLOCK_S:
            text = f"at most {1000 * abs(widest.ahead_s):.1f} ms (± {1000 * widest.error_s:.1f} ms) from this one"
            yield Diagnosis("✓", "clocks", f"{text}; no result depends on them")


def _disks(facts: ClusterFacts) -> Iterator[Diagnosis]:
    least = min(facts.nodes.values(), key=lambda node: node["disk_free"])
    text = f"at least {figures.size(least['disk_free'])} free for unfinished work and the cache ({least['host']})"
    yield Diagnosis("✓" if least["disk_free"] > LEAST_DISK else "!", "disk", text)


def _links(facts: ClusterFacts) -> Iterator[Diagnosis]:
    """Ranks exchange the gradients of every step: each sends about twice their size, in fp32."""
    for link in facts.links:
        if link.problem:
            text = f"{link.source} does not reach {link.target} ({link.problem}): open all ports between the nodes"
            yield Diagnosis("✗", "network", text)
    measured = [link for link in facts.links if not link.problem]
    if not measured:
        if len(facts.nodes) == 1:
            yield Diagnosis("✓", "network", "one node: workers talk over loopback")
        return
    slowest = min(measured, key=lambda link: link.rate)
    round_trip = statistics.median(link.round_trip_s for link in measured)
    seconds = 2 * 4 * PARAMETERS / slowest.rate
    text = (
        f"{figures.size(slowest.rate)}/s on the slowest of {figures.plural(len(measured), 'link')} "
        f"({slowest.source} → {slowest.target}), round trip {1000 * round_trip:.2f} ms: exchanging the gradients of "
        f"100 M parameters takes at least {figures.duration(seconds)} a step"
    )
    yield Diagnosis("✓" if slowest.rate >= SLOW_LINK else "!", "network", text)


def _workdir(facts: ClusterFacts) -> Iterator[Diagnosis]:
    for address in facts.without_workdir:
        text = f"{address} does not see the folder of this machine: share it at the same path, or use workdir: s3://…"
        yield Diagnosis("✗", "workdir", text)
    if not facts.store and not facts.without_workdir:
        yield Diagnosis("✓", "workdir", "every node sees the folder")
    yield from _store(facts)


def _store(facts: ClusterFacts) -> Iterator[Diagnosis]:
    working = {}
    for address, store in facts.store.items():
        if store["problem"]:
            yield Diagnosis("✗", "store", f"from {address}: {store['problem']}")
        else:
            working[address] = store
    if working:
        slowest = min(working, key=lambda address: working[address]["read"])
        rates: Mapping[str, float] = {"write": working[slowest]["write"], "read": working[slowest]["read"]}
        text = f"writes {figures.size(rates['write'])}/s and reads {figures.size(rates['read'])}/s"
        checkpoint = f"a checkpoint of 1 GB takes {figures.duration(1e9 / rates['write'])}"
        yield Diagnosis("✓", "store", f"{text} from {slowest}, the slowest node: {checkpoint}")


def _node_loss(health: HealthChecks) -> Iterator[Diagnosis]:
    from cluster.launchers.ray_hosts import SILENT_S

    delay = health["threshold"] * (health["period_s"] + health["timeout_s"])
    checks = f"{health['threshold']} × ({health['period_s']:g} s + {health['timeout_s']:g} s)"
    text = (
        f"a node that is cut off counts as lost after at most {figures.duration(min(delay, SILENT_S))} in training and "
        f"{figures.duration(delay)} in other tasks (Ray's health checks: {checks})"
    )
    if delay <= SILENT_S:
        yield Diagnosis("✓", "node loss", text)
    else:
        yield Diagnosis("!", "node loss", f"{text}. Faster: ray start --head {HEALTH_OPTION}")
