"""Checks that a batch of so many tokens is a whole number of rows for every worker or block."""

from __future__ import annotations

from pipeline.core.config import Component
from training.compatibility import needs
from training.section import Pretrain


def _group(objective: Component) -> int:
    """The number of rows that must stay together: they are compared with each other, or share text."""
    group: int = objective.options.get("group", 2 if objective.options.get("pairs") == "next_sentence" else 1)
    return group


def batch_problem(section: Pretrain, *, length: int, workers: int) -> str | None:
    """Why this batch is no whole number of rows for every worker, and the nearest size that is; None if it is one."""
    blocks, group = section.engine.options.get("blocks"), _group(section.objective)
    if blocks and blocks % workers:
        return (
            f"{blocks} blocks cannot be shared evenly by {workers} workers. Set pretrain.engine.blocks to a multiple."
        )
    if "counts" in needs(section):  # a batch of any number of cells of the table
        return None
    parts, unit = (f"{blocks} blocks", length * blocks) if blocks else (f"{workers} workers", length * workers * group)
    if section.batch_tokens % unit == 0:
        return None
    nearest = max(1, round(section.batch_tokens / unit)) * unit
    rows = f"groups of {group} rows" if group > 1 else "rows"
    return (
        f"batch_tokens {section.batch_tokens:,} is not a whole number of {rows} of {length:,} tokens for each of "
        f"{parts}; {nearest:,} is."
    )
