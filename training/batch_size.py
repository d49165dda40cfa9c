"""Whether a batch of so many tokens can be cut into whole rows for every worker or block."""

from __future__ import annotations

from pipeline.core.config import Component
from training.compatibility import needs
from training.section import Pretrain


def _group(objective: Component) -> int:
    """Rows that must stay together: they are held against each other, or one lends another its text."""
    group: int = objective.options.get("group", 2 if objective.options.get("pairs") == "next_sentence" else 1)
    return group


def batch_problem(section: Pretrain, *, length: int, workers: int) -> str | None:
    """Why this batch cannot be cut into whole rows for every worker, with the nearest that can; None if it can."""
    blocks, group = section.engine.options.get("blocks"), _group(section.objective)
    if blocks and blocks % workers:
        return (
            f"{blocks} blocks cannot be shared evenly by {workers} workers. Set pretrain.engine.blocks to a multiple."
        )
    if "counts" in needs(section):  # a batch of cells of the table, of any number
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
