"""From a message of a stage (`pipeline/core/messages.py`) to a line of events.jsonl, and to a line for people."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import cast, get_args, get_type_hints

from cluster.progress import ProgressMessage
from cluster.run_records import EventFields
from pipeline.core import figures
from pipeline.core.messages import FREQUENT, Message

UNKNOWN = "told"  # the event of a message whose kind has no type, such as one of a plug-in


def event_of(message: ProgressMessage, stage: str) -> tuple[str, EventFields] | None:
    """The kind and the fields of the event that records a message of the step `stage`.

    None for the kinds that come too often to be recorded one by one.
    """
    kind = str(message.get("kind", ""))
    if kind in FREQUENT:
        return None
    fields = _fields_of_kinds().get(kind)
    if fields is None:
        return UNKNOWN, {"stage": stage, "message": message}
    values: Mapping[str, object] = {name: value for name, value in message.items() if name in fields}
    return kind, cast(EventFields, {**values, "stage": stage})


def announcement(message: ProgressMessage) -> str | None:
    """What the console says at once, beside the progress line; None for the kinds that need no attention."""
    kind, cause = message.get("kind"), str(message.get("cause", ""))
    reason = f": {cause}" if cause else ""
    if kind == "worker_lost":
        host = f" on {message['host']}" if message.get("host") else ""
        return f"worker {message.get('worker', '?')}{host} was lost{reason}"
    if kind == "gang_restarted":
        return f"training restarts with {message.get('workers', '?')} workers, attempt {message.get('attempt')}{reason}"
    if kind == "gang_recovered":
        return f"training goes on{_steps(message)} after {message.get('seconds', 0):.1f} s"
    return None


def _steps(message: ProgressMessage) -> str:
    """ " from step 30 (11 steps are repeated)"; empty where the workers report no steps."""
    step, from_step = message.get("step"), message.get("from_step")
    if not isinstance(step, int) or from_step is None:
        return ""
    return f" from step {from_step:,} ({figures.plural(max(0, step - from_step), 'step')} repeated)"


@cache
def _fields_of_kinds() -> dict[str, frozenset[str]]:
    """Kind → the names of its fields, without `kind`."""
    hints = [get_type_hints(message_type) for message_type in get_args(Message)]
    return {get_args(hint["kind"])[0]: frozenset(hint) - {"kind"} for hint in hints}
