"""The tables of `make chaos`: a line for each run, then kills, recoveries and time lost for each class of process."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

Record = dict[str, Any]
"""An Outcome as JSON, with the median time of undisturbed runs as `undisturbed_s`."""


def run_line(record: Record) -> str:
    kills = ", ".join(f"{kill['victim']} at {kill['at_s']:.0f} s" for kill in record["kills"]) or "no kill came"
    end = record["problem"] or "ended, same data"
    weights = "" if record["problem"] else ", same model" if record["same_model"] else ", other last bits of the model"
    lost = record["seconds"] - record["undisturbed_s"]
    return (
        f"run {record['run']:3}: {kills}; {record['resubmissions']} resubmitted; {record['seconds']:.0f} s"
        f" ({lost:+.0f}); {end}{weights}"
    )


def table(records: Sequence[Record]) -> str:
    """Markdown. Time lost is of runs with one kill: their wall time less that of undisturbed runs."""
    ended = sum(not record["problem"] for record in records)
    same = sum(bool(record["same_model"]) for record in records)
    kills = sum(len(record["kills"]) for record in records)
    head = (
        f"{len(records)} runs, {kills} kills: {ended} ended with the same data, {same} with the same bytes of model and"
        f" scores\n\n| killed | kills | run went on | submitted again | s lost, median | s lost, most |\n"
        f"| --- | ---: | ---: | ---: | ---: | ---: |"
    )
    return "\n".join([head, *_rows(records)])


def _rows(records: Sequence[Record]) -> Iterator[str]:
    victims = sorted({kill["victim"] for record in records for kill in record["kills"]})
    for victim in victims:
        kills = [kill for record in records for kill in record["kills"] if kill["victim"] == victim]
        again = sum(kill["resubmitted"] for kill in kills)
        lost = [
            record["seconds"] - record["undisturbed_s"]
            for record in records if [kill["victim"] for kill in record["kills"]] == [victim]
        ]  # fmt: skip
        median, most = (f"{statistics.median(lost):.0f}", f"{max(lost):.0f}") if lost else ("–", "–")
        yield f"| {victim} | {len(kills)} | {len(kills) - again} | {again} | {median} | {most} |"
