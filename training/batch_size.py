"""Whether a batch of so many tokens is whole rows, and what it costs where workers cannot share its rows evenly."""

from __future__ import annotations

from pipeline.core.config import Component
from training.compatibility import needs
from training.section import Pretrain

TREE_MICRO_BATCHES = 8  # of a step, where `reduction: tree` does not say: eight workers can share them


def batch_problem(section: Pretrain, *, length: int) -> str | None:
    """Why this batch is no whole number of rows for every block, and the nearest size that is; None if it is one."""
    if "counts" in needs(section):  # a batch of any number of cells of the table
        return None
    blocks, group = section.engine.options.get("blocks"), _group(section.objective)
    unit = length * (blocks or group)
    if section.batch_tokens % unit == 0:
        return None
    nearest = max(1, round(section.batch_tokens / unit)) * unit
    rows = f"groups of {group} rows" if group > 1 else "rows"
    blocks_of_it = f" for each of {blocks} blocks" if blocks else ""
    return (
        f"batch_tokens {section.batch_tokens:,} is not a whole number of {rows} of {length:,} tokens{blocks_of_it}; "
        f"{nearest:,} is."
    )


def uneven_batch(section: Pretrain, *, length: int, workers: int) -> str | None:
    """What it costs that the workers cannot share this batch evenly; None if they can.

    The rows of a step stay the same; the workers with fewer of them compute rows without tokens, or wait.
    """
    blocks, group = section.engine.options.get("blocks"), _group(section.objective)
    if section.reduction == "tree":
        return _uneven_tree(section, length=length, workers=workers)
    if blocks:
        parts, kind, option = blocks, "blocks", "pretrain.engine.blocks"
    else:
        parts, option = section.batch_tokens // (length * group), "batch_tokens"
        kind = f"groups of {group} rows" if group > 1 else "rows"
    if parts % workers == 0:
        return None
    most = -(-parts // workers)
    idle = most * workers / parts - 1
    even = most * workers if blocks else most * workers * length * group
    return (
        f"{parts:,} {kind} a step are not shared evenly by {workers:,} workers: a step takes as long as one of "
        f"{most * workers:,}, {idle:.0%} more than its share. {option}: {even:,} would be even."
    )


def tree_micro_batches(section: Pretrain, *, batch_rows: int, group: int) -> tuple[int, int]:
    """Rows of a micro-batch, and micro-batches of a step, under `reduction: tree`: the section alone decides both.

    There are fewer than the section says where its rows are not enough for all.
    """
    groups = batch_rows // group
    micro_rows = -(-groups // (section.micro_batches or TREE_MICRO_BATCHES)) * group
    return micro_rows, -(-batch_rows // micro_rows)


def _uneven_tree(section: Pretrain, *, length: int, workers: int) -> str | None:
    """What it costs that the workers cannot share the micro-batches evenly: some wait."""
    cut = {"batch_rows": section.batch_tokens // length, "group": _group(section.objective)}
    _, parts = tree_micro_batches(section, **cut)
    if parts % workers == 0:
        return None
    even = -(-parts // workers) * workers
    more = section.model_copy(update={"micro_batches": even})
    advice = ""
    if tree_micro_batches(more, **cut)[1] == even:
        advice = f" micro_batches: {even:,} would be even, with other last bits."
    return (
        f"{parts:,} micro-batches a step are not shared evenly by {workers:,} workers: a step takes as long as one of "
        f"{even:,}, {even / parts - 1:.0%} more than its share.{advice}"
    )


def _group(objective: Component) -> int:
    """The number of rows that must stay together: they are compared with each other, or share text."""
    group: int = objective.options.get("group", 2 if objective.options.get("pairs") == "next_sentence" else 1)
    return group
