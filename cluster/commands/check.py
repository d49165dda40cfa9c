"""`check` and `plan`: validate a configuration and show what a run would do. Writes nothing but hashes of raw files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.config import LoadedConfig, load
from cluster.program import command
from pipeline.core import figures
from pipeline.core.errors import UserError

if TYPE_CHECKING:
    from cluster.plan import PlannedStep

MARKS = {"done": "=", "resume": "↻", "stale": "✱", "run": "+"}
WORDS = {"done": "cached", "resume": "resumed", "stale": "changed", "run": "new"}


def check(path: Path, overrides: Sequence[str]) -> None:
    """Raises: ConfigError with every problem."""
    loaded = load(path, overrides)
    stages = ", ".join(step.id for step in loaded.steps)
    total = figures.plural(len(loaded.steps), "stage")
    for remark in loaded.remarks:
        print(f"{remark} (no problem)")
    print(f"{path}: no problems found. {total}: {stages}.\nNext: {command('plan', path, overrides)}")


def show_plan(path: Path, overrides: Sequence[str], *, hardware: str | None = None, price: float | None = None) -> None:
    """Print each step with its state, the reason, its fingerprint and its inputs; of what is due, what it will need.

    Raises: UserError when a step cannot run with the memory that there is.
    """
    from cluster.plan import plan
    from cluster.reasons import RAW
    from pipeline.core.store import Store

    loaded = load(path, overrides)
    for remark in loaded.remarks:
        print(f"{remark} (no problem)")
    planned = plan(loaded, Store(loaded.workdir))
    width = max(len(step.id) for step in planned)
    for step in planned:
        steps = [source.step for sources in step.reads.values() for source in sources]
        external_inputs = [
            "raw files" if name == RAW else name for name in step.inputs if name in (RAW, *step.externals)
        ]
        reads = ", ".join([*dict.fromkeys(steps), *external_inputs]) or "nothing"
        print(f"{MARKS[step.state]} {step.id:<{width}}  {WORDS[step.state]:<8} {step.reason}")
        print(f"  {'':<{width}}  {step.fingerprint[:12]}, reads {reads}")
        if step.numerics:
            print(f"  {'':<{width}}  {step.numerics}")
    problems = _show_estimates(loaded, planned, hardware, price)
    todo = sum(step.state != "done" for step in planned)
    following = command("run", path, overrides)
    total = figures.plural(len(planned), "stage")
    if problems:
        raise UserError("\n".join(problems))
    print(f"{todo} of {total} to run. Next: {following}" if todo else f"{total}, all cached.")


def _show_estimates(
    loaded: LoadedConfig, planned: Sequence[PlannedStep], hardware: str | None, price: float | None
) -> list[str]:
    """Print what each step that is due will need; returns why steps cannot run."""
    from cluster.estimates import Wishes, estimates, measured

    problems, shown = [], 0
    for step, estimate in estimates(loaded, planned, Wishes(hardware, price), measure=measured):
        print(f"\n{step.id}, estimated:")
        for name, text in estimate.lines:
            print(f"  {name:<11} {text}")
        for warning in estimate.warnings:
            print(f"  ! {warning}")
        problems += [f"{step.id}: {estimate.problem}"] if estimate.problem else []
        shown += 1
    if not shown and (hardware is not None or price is not None):
        print("--hardware and --price-per-hour change nothing here: no training is due.")
    return problems
