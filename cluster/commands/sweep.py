"""`sweep`: one run for every combination of some values. Stages that runs share are run once.

`pretrain.optimizer.muon.lr=0.01,0.02` tries two values. A comma inside brackets, braces or quotes separates nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from cluster.config import load
from cluster.console import console
from cluster.program import command
from cluster.result import RunResult
from cluster.run_many import NamedRun, exit_code, run_many
from cluster.table import table
from pipeline.core.errors import UserError
from pipeline.core.files import read_json

FAILED, SCORES = "failed", "scores.json"


def sweep(path: Path, grid: Sequence[str], *, end: str | None) -> int:
    """Run all combinations. Returns 0 (all finished), 1 (some failed) or 130 (stopped).

    Raises: ConfigError, UserError before any work, for every combination at once.
    """
    combinations = [list(values) for values in itertools.product(*map(choices, grid))]
    runs = [NamedRun(" ".join(combination), load(path, combination)) for combination in combinations]
    screen = console()
    try:
        results = run_many(runs, screen, log=runs[0].loaded.workdir / "ray.log", end=end)
    finally:
        screen.close()
    if code := exit_code(results):
        print(f"\nTo resume, run:\n{command('sweep', path, grid, ['--to', end] if end else [])}")
    varied = [assignment.partition("=")[0] for assignment in grid if len(choices(assignment)) > 1]
    print(f"\n{compared(results, combinations, varied)}")
    return code


def choices(assignment: str) -> list[str]:
    """ "a.b=1,2" -> ["a.b=1", "a.b=2"].

    Raises: UserError if it is not an assignment.
    """
    name, equals, text = assignment.partition("=")
    if not equals or not name or not text:
        raise UserError(f"{assignment}: not a list of values to try. Write it as section.key=value,value,…")
    return [f"{name}={value}" for value in _split(text)]


def _split(text: str) -> list[str]:
    parts, depth, quote = [""], 0, ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        if sign == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def compared(results: Sequence[RunResult], combinations: Sequence[Sequence[str]], varied: Sequence[str]) -> str:
    """A table with a row per combination: the varied values, then every available score."""
    scores = [_scores(result) if result.exit_code == 0 else {} for result in results]
    names = list(dict.fromkeys(name for of_run in scores for name in of_run))
    rows = []
    for of_run, result, combination in zip(scores, results, combinations, strict=True):
        values = dict(assignment.split("=", 1) for assignment in combination)
        missing = FAILED if result.exit_code else "–"
        rows.append([*(values[name] for name in varied), *(of_run.get(name, missing) for name in names or [""])])
    return table([*varied, *(names or ["scores"])], rows)


def _scores(result: RunResult) -> dict[str, str]:
    scores: dict[str, str] = {}
    for step, artifact in result.of_kind("scores"):
        prefix = f"{step.name}." if step.name else ""
        for row in read_json(artifact.file(SCORES)):
            if row.get("language") in (None, "all") and row.get("value") is not None:
                scores[f"{prefix}{row['task']}.{row['metric']}"] = f"{row['value']:.4f}"
    return scores
