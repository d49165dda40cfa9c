"""What `run` says of the time that steps will take: before the first one, and again when more is known."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cluster.estimates import estimates
from cluster.plan import PlannedStep
from cluster.supervisor import Supervisor

SHOWN = ("reads", "time")  # `plan` shows all


def announce_estimates(supervisor: Supervisor, steps: Mapping[str, PlannedStep], due: Collection[str]) -> None:
    """Say of each due step how much it reads and how long it takes, with warnings; nothing is said twice.

    Only what was measured for a plan is known of its speed: a run does not wait to measure.
    """
    for step, estimate in estimates(supervisor.loaded, list(steps.values()), only=due):
        shown = "; ".join(text for name, text in estimate.lines if name in SHOWN and "unknown" not in text)
        warnings = [*estimate.warnings, *([estimate.problem] if estimate.problem else [])]
        for text in [shown, *(f"! {warning}" for warning in warnings)]:
            text = f"{step.id}: {text}" if text else ""
            if text and text not in supervisor.announced:
                supervisor.announced.add(text)
                supervisor.console.say(text)
