"""What a stage says becomes an event with the fields that the README lists, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import cluster
from cluster.events import announcement, event_of
from cluster.progress import Listener, ProgressMessage, StageProgress
from cluster.run_records import EventFields
from pipeline.core.messages import FREQUENT, Message
from pipeline.core.progress import Progress

README = (Path(cluster.__file__).parent / "README.md").read_text(encoding="utf-8")
HINTS = {get_args(hints["kind"])[0]: hints for hints in map(get_type_hints, get_args(Message))}
RETRIED: ProgressMessage = {
    "kind": "task_retried", "stage": "dedupe", "step": "compare", "task": "0007", "attempt": 2, "worker": "3",
    "cause": "its node was lost",
}  # fmt: skip


def documented() -> dict[str, set[str]]:
    """Event → its fields, from the two tables of the README."""
    section = README.partition("## Events")[2].partition("\n## ")[0]
    fields = {}
    for line in (line for line in section.splitlines() if line.startswith("| `")):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name in re.findall(r"`(\w+)`", cells[0]):
            listed = cells[2] if len(cells) == 4 else cells[1]
            fields[name] = set(re.findall(r"\w+", re.sub(r"[;:].*", "", listed)))
    return fields


@pytest.mark.parametrize("kind", sorted(set(HINTS) - FREQUENT))
def test_every_kind_that_is_recorded_is_documented_with_its_fields(kind: str) -> None:
    assert documented()[kind] == set(HINTS[kind]) - {"kind"}


def test_every_documented_field_has_a_type() -> None:
    named = set().union(*documented().values())
    assert named - set(get_type_hints(EventFields)) == set()
    assert set().union(*HINTS.values()) <= set(get_type_hints(ProgressMessage))


def test_a_retried_task_is_an_event_of_its_step() -> None:
    assert event_of(RETRIED, "dedupe.part-1") == (
        "task_retried",
        {"stage": "dedupe.part-1", "step": "compare", "task": "0007", "attempt": 2, "worker": "3",
         "cause": "its node was lost"},
    )  # fmt: skip


def test_fields_that_a_kind_does_not_have_are_not_recorded() -> None:
    event = event_of({**RETRIED, "pid": 1}, "dedupe")
    assert event is not None and "pid" not in event[1] and "kind" not in event[1]


def test_frequent_messages_are_not_recorded_and_unknown_ones_are_kept_whole() -> None:
    assert all(event_of({"kind": kind}, "pack") is None for kind in FREQUENT)
    assert event_of({"kind": "mine", "text": "x"}, "pack") == (
        "told", {"stage": "pack", "message": {"kind": "mine", "text": "x"}},
    )  # fmt: skip


def test_losses_are_said_at_once_and_retries_are_counted() -> None:
    lost: ProgressMessage = {"kind": "worker_lost", "worker": "1", "host": "b", "cause": "killed (signal 9)"}
    again: ProgressMessage = {"kind": "gang_restarted", "attempt": 2, "workers": 3, "cause": "worker 1 was lost"}
    assert announcement(lost) == "worker 1 on b was lost: killed (signal 9)"
    assert announcement(again) == "training restarts with 3 workers, attempt 2: worker 1 was lost"
    assert announcement(RETRIED) is None
    progress = StageProgress("dedupe", started=0.0)
    for message in (RETRIED, RETRIED, again):
        progress.apply(message, 1.0)
    assert progress.line(1.0) == "2 tasks retried · restarted 1 ×"


def test_a_typed_message_arrives_with_its_fields() -> None:
    with Listener() as listener:
        Progress(listener.address, "pretrain").send(
            {"kind": "checkpoint_saved", "step": 600, "bytes": 1 << 20, "seconds": 0.25}
        )
        message = next(listener.receive(1.0))
    assert message == {"kind": "checkpoint_saved", "stage": "pretrain", "step": 600, "bytes": 1 << 20, "seconds": 0.25}
