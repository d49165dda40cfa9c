"""`sweep`: every combination of some values, one run each; stages they share are done once, by the store.

`pretrain.optimizer.muon.lr=0.01,0.02` tries two values; a comma inside brackets, braces or quotes parts nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.config import Loaded, load
from cluster.console import console
from cluster.execute import STOPPED, Wish, execute
from cluster.plan import plan
from cluster.program import command
from cluster.table import table
from pipeline.core.errors import UserError
from pipeline.core.files import read_json
from pipeline.core.store import Store

FAILED = "failed"


def sweep(path: Path, grid: Sequence[str], *, end: str | None) -> int:
    """Run them all; 0 when all are done, 1 when some failed, 130 when stopped.

    Raises: ConfigError, UserError before any work, for every combination at once.
    """
    combinations = [list(one) for one in itertools.product(*map(choices, grid))]
    loaded = [load(path, combination) for combination in combinations]
    screen, codes = console(), []
    for number, (one, combination) in enumerate(zip(loaded, combinations, strict=True), 1):
        screen.say(f"\n— {number} of {len(loaded)}: {' '.join(combination)}")
        try:
            codes.append(execute(one, Wish(end=end), screen))
        finally:
            screen.close()
        if codes[-1] == STOPPED:
            break
    varied = [assignment.partition("=")[0] for assignment in grid if len(choices(assignment)) > 1]
    print(f"\n{compared(loaded, codes, combinations, varied)}")
    if any(codes):
        print(f"\nTo go on:\n{command('sweep', path, grid, ['--to', end] if end else [])}")
    return STOPPED if STOPPED in codes else 1 if any(codes) else 0


def choices(assignment: str) -> list[str]:
    """ "a.b=1,2" -> ["a.b=1", "a.b=2"].

    Raises: UserError when it is no assignment.
    """
    name, equals, text = assignment.partition("=")
    if not equals or not name or not text:
        raise UserError(f"{assignment}: write section.key=value,value,…")
    return [f"{name}={value}" for value in _parted(text)]


def _parted(text: str) -> list[str]:
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


def compared(
    loaded: Sequence[Loaded], codes: Sequence[int], combinations: Sequence[Sequence[str]], varied: Sequence[str]
) -> str:
    """A table: a row a combination, its varied values, then every score that is there."""
    found = [
        _scores(one) if code == 0 else {} for one, code in zip(loaded, codes, strict=False)
    ]  # fewer codes when it was stopped
    names = list(dict.fromkeys(name for scores in found for name in scores))
    rows = []
    for scores, code, combination in zip(found, codes, combinations, strict=False):
        values = dict(assignment.split("=", 1) for assignment in combination)
        missing = FAILED if code else "–"
        rows.append([*(values[name] for name in varied), *(scores.get(name, missing) for name in names or [""])])
    return table([*varied, *(names or ["scores"])], rows)


def _scores(loaded: Loaded) -> dict[str, str]:
    store = Store(loaded.workdir)
    found: dict[str, str] = {}
    for one in plan(loaded, store):
        if one.spec.makes != "scores" or one.artifact is None:
            continue
        rows: list[dict[str, Any]] = read_json(one.artifact.file("scores.json"))
        for row in rows:
            if row.get("language") in (None, "all") and row.get("value") is not None:
                found[f"{row['task']}.{row['metric']}"] = f"{row['value']:.4f}"
    return found
