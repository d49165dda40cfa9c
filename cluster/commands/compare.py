"""`compare`: every entry on every corpus, one run after the other, and one page that sets them side by side.

All runs are checked before the first begins. What is done is skipped, a run that fails does not end the others, and the
same command goes on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from cluster.comparison import ComparisonPlan, read, write
from cluster.console import console
from cluster.program import command
from cluster.report import comparison as report
from cluster.report.comparison_rows import Outcome
from cluster.result import relative
from cluster.run_many import NamedRun, exit_code, run_many
from pipeline.core import figures


def compare(path: Path, overrides: Sequence[str]) -> int:
    """Run what is not published yet, then write the page. Returns 0 (all done), 1 (some runs failed) or 130 (stopped).

    Raises: ConfigError or UserError before any work, for all runs at once; WorkdirLocked when another run holds the
        work directory.
    """
    started = time.monotonic()
    comparing = read(path, overrides)
    write(comparing)
    screen = console()
    runs = [NamedRun(run.name, run.loaded) for run in comparing.runs]
    try:
        results = run_many(runs, screen, log=comparing.folder / "ray.log")
    finally:
        screen.close()
    outcomes = [Outcome(run, result) for run, result in zip(comparing.runs, results, strict=True)]
    _print_summary(comparing, outcomes, time.monotonic() - started)
    return exit_code(results)


def _print_summary(comparing: ComparisonPlan, outcomes: Sequence[Outcome], seconds: float) -> None:
    """The failed ones with their sentences, where the page is, the command that goes on."""
    again = command("compare", comparing.path, comparing.overrides)
    page = report.write(comparing, outcomes, again)
    for outcome in outcomes:
        if outcome.error:
            print(f"{outcome.compared.name}: failed. {outcome.error}")
    left = sum(not outcome.done for outcome in outcomes)
    print(f"\n{len(outcomes) - left} of {len(outcomes)} done, {figures.duration(seconds)}.")
    print(f"  page        {relative(page)}\n  tables      {relative(page.with_name(report.TABLES))}")
    if left:
        print(f"To go on:\n{again}")
