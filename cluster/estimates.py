"""What the steps of a plan will need, by the function that their stage's table names; measurements are kept.

A module that measures runs in a process of its own, with its question as JSON on standard input, and its answer, the
last line that it prints, is kept under ~/.cache/bloomery/estimates for as long as nothing changes: the question, the
versions of the libraries, the processor.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cluster.config import LoadedConfig
from cluster.machine import machine, memory_bytes
from cluster.plan import PlannedStep
from pipeline.core.estimate import Estimate, Measure, StepFacts
from pipeline.core.files import JsonObject, canonical_json, read_json, write_json
from pipeline.core.registry import load

FOLDER = "~/.cache/bloomery"
VERSION = 1  # of what a measurement means: raise it when the code that measures changes
LONGEST_S = 300.0


@dataclass(frozen=True)
class Wishes:
    """What a person asks about: the GPU of a worker (None: this machine), euros that an hour of everything costs."""

    hardware: str | None = None
    price: float | None = None


def estimates(
    loaded: LoadedConfig, steps: Sequence[PlannedStep], wishes: Wishes = Wishes(), *, measure: Measure | None = None,
    only: Collection[str] | None = None,
) -> Iterator[tuple[PlannedStep, Estimate]]:  # fmt: skip
    """Of each step that has to run, or of those in `only`, whose stage can tell.

    By default nothing is measured that is not kept.
    """
    by_id = {step.id: step for step in steps}
    for step in steps:
        is_asked = step.state != "done" if only is None else step.id in only
        if step.spec.estimate is None or not is_asked:
            continue
        sources = {kind: by_id[inputs[-1].step] for kind, inputs in step.reads.items() if inputs}
        spec_type = {step.id: load(step.spec.section_type) for step in (step, *sources.values())}
        facts = StepFacts(
            section=spec_type[step.id].model_validate(step.section),
            sections={kind: spec_type[source.id].model_validate(source.section) for kind, source in sources.items()},
            artifacts={kind: source.artifact for kind, source in sources.items() if source.artifact is not None},
            cluster=loaded.config.cluster.options(), measure=measure or kept, memory_bytes=memory_bytes(),
            hardware=wishes.hardware, price=wishes.price,
        )  # fmt: skip
        estimate: Estimate = load(step.spec.estimate)(facts)
        yield step, estimate


def kept(module: str, question: JsonObject) -> JsonObject | None:
    """The kept answer to a question; None if there is none that can be read."""
    with suppress(OSError, ValueError):
        answer: JsonObject = read_json(_path(module, question))
        return answer
    return None


def measured(module: str, question: JsonObject) -> JsonObject:
    """The kept answer to a question, or a new one; where the module failed, its `problem`, which is not kept."""
    if (answer := kept(module, question)) is not None:
        return answer
    environment = {**os.environ, "OMP_NUM_THREADS": str(question.get("threads", 1))}
    try:
        done = subprocess.run(
            [sys.executable, "-m", module], input=json.dumps(question), capture_output=True, text=True,
            timeout=LONGEST_S, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"problem": f"measuring took more than {LONGEST_S:.0f} s"}
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return {"problem": f"measuring failed ({(done.stderr.splitlines() or ['no message'])[-1]})"}
    new_answer: JsonObject = json.loads(lines[-1])
    path = _path(module, question)
    with suppress(OSError):  # a home folder that cannot be written: it is measured again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, new_answer)
    return new_answer


def _path(module: str, question: JsonObject) -> Path:
    from cluster.child import versions

    about = {"module": module, "version": VERSION, "question": question, "machine": machine(), "versions": versions()}
    key = hashlib.sha256(canonical_json(about)).hexdigest()[:24]
    return Path(os.environ.get("BLOOMERY_SCRATCH") or FOLDER).expanduser() / "estimates" / f"{key}.json"
