"""`compare`: runs every entry on every corpus, and writes one page that shows the results side by side.

All runs are validated before the first one starts. Finished runs are skipped, a failed run does not stop the others,
and the same command resumes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from cluster.comparison import ComparisonPlan, read, write
from cluster.console import console
from cluster.program import command
from cluster.report import comparison as report
from cluster.report.comparison_rows import ComparedResult
from cluster.result import relative
from cluster.run_many import NamedRun, exit_code, run_many
from cluster.stored_runs import upload_folder
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
    outcomes = [ComparedResult(run, result) for run, result in zip(comparing.runs, results, strict=True)]
    _print_summary(comparing, outcomes, time.monotonic() - started)
    return exit_code(results)


def _print_summary(comparing: ComparisonPlan, outcomes: Sequence[ComparedResult], seconds: float) -> None:
    """Print the failed runs with their errors, the paths of page and tables, and the command that resumes."""
    again = command("compare", comparing.path, comparing.overrides)
    page = report.write(comparing, outcomes, again)
    upload_folder(comparing.folder, comparing.workdir)
    for outcome in outcomes:
        if outcome.error:
            print(f"{outcome.compared.name}: failed. {outcome.error}")
    left = sum(not outcome.done for outcome in outcomes)
    print(f"\n{len(outcomes) - left} of {len(outcomes)} done, {figures.duration(seconds)}.")
    print(f"  page        {relative(page)}\n  tables      {relative(page.with_name(report.TABLES))}")
    if left:
        print(f"To resume, run:\n{again}")
