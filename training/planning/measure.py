"""Measures a model on this machine: its parameters, and the time and memory of one small step of its shape.

A process of its own, since it loads torch: `python -m training.planning.measure`, a question as JSON on its standard
input, the answer as its last line. It takes 5 to 20 s: a micro-batch is made smaller until it should take seconds, and
what is measured is scaled by tokens. A model that would take more than half of the free memory is only counted.
"""

from __future__ import annotations

import ctypes
import json
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from pipeline.core.files import JsonObject
from training.engines import device as devices
from training.models.base import Model, build
from training.models.layers import IGNORE
from training.section import Pretrain

ENOUGH_FLOPS = 1.5e11  # of a measured step: seconds on a core
ROUNDS = 3
HIDDEN_SHARE = 0.15  # of tokens that a masked model predicts


class ShapeQuestion(TypedDict):
    """What to measure: a `pretrain` section as JSON, and what the stages before it decide."""

    section: JsonObject
    vocabulary: int
    length: int
    threads: int


class Measured(TypedDict, total=False):
    """Bytes and seconds of one process.

    `row_seconds`: of forward and backward of a row; `update_seconds`: of the optimizer. `base_bytes`: of a worker
    before there is a model. `row_bytes`: what each row adds at the peak. `problem`: why nothing was timed.
    """

    parameters: int
    trained: int
    matrices: int  # numbers in the matrices of blocks, which Muon updates with one state
    embeddings: int
    largest: int  # numbers of the largest tensor
    device: str
    precision: str
    base_bytes: int
    row_bytes: int
    row_seconds: float
    update_seconds: float
    problem: str


def measure(question: ShapeQuestion) -> Measured:
    """Count and time a model."""
    section = Pretrain.model_validate(question["section"])
    torch.set_num_threads(question["threads"])
    device = devices.device()
    precision = devices.precision(section.precision, device)
    if section.engine.name == "zero":
        from training.engines.zero import deepspeed_for

        deepspeed_for(device)
    base = _resident()
    with torch.device("meta"):
        answer = _counted(_model(section, question))
    answer |= {"device": devices.describe(device), "precision": precision, "base_bytes": base}
    if 16 * answer["parameters"] > _available() / 2:
        return answer | {"problem": "the model is too large to be tried in the memory that is free here"}
    try:
        return answer | _timed(_model(section, question).to(device), section, question, answer)
    except (RuntimeError, TypeError, KeyError) as error:  # a family whose inputs only its objective makes
        return answer | {"problem": f"a step of it could not be tried alone ({' '.join(str(error).split())[:80]})"}


def _model(section: Pretrain, question: ShapeQuestion) -> Model:
    return build(
        section.model.name, section.model.options, vocabulary=question["vocabulary"], context=question["length"] + 3
    )


def _counted(model: Model) -> Measured:
    kinds, sizes = model.kinds(), {name: p.numel() for name, p in model.named_parameters()}
    of_kind = {kind: sum(size for name, size in sizes.items() if kinds[name] == kind) for kind in set(kinds.values())}
    return {
        "parameters": sum(sizes.values()), "trained": sum(sizes.values()), "matrices": of_kind.get("matrix", 0),
        "embeddings": of_kind.get("embedding", 0), "largest": max(sizes.values()),
    }  # fmt: skip


def _timed(model: Model, section: Pretrain, question: ShapeQuestion, counted: Measured) -> Measured:
    device, length = next(model.parameters()).device, question["length"]
    micro_tokens = section.engine.options.get("micro_batch_tokens") or devices.micro_batch_tokens(device)
    most = max(1, min(micro_tokens, section.batch_tokens) // length)
    rows = max(1, min(most, int(ENOUGH_FLOPS / (6 * counted["parameters"] * length))))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-9, fused=True)
    batch = _batch(section, question, rows)

    # on a CPU its own time: other work on the machine is not this model's
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    threads = 1 if device.type == "cuda" else question["threads"]

    def step() -> float:
        began = clock()
        with torch.autocast(device.type, torch.bfloat16, enabled=counted["precision"] == "bf16", cache_enabled=False):
            loss = model(*(tensor.to(device) for tensor in batch))
        (loss / loss.detach().abs().clamp_min(1)).backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (clock() - began) / threads

    first = step()
    optimizer.step()
    _return_free_memory()
    before = _resident()
    _reset_peak()
    seconds = sorted(step() for _ in range(ROUNDS if first < 2 else 1))
    peak = max(_peak() - before, 0)
    began = clock()
    optimizer.step()
    return {
        # less weights, gradient and the two states: with the libraries and kernels that the first step loaded
        "base_bytes": max(counted["base_bytes"], before - 16 * counted["parameters"]),
        "row_seconds": seconds[len(seconds) // 2] / rows, "row_bytes": peak // rows,
        "update_seconds": (clock() - began) / threads,
    }  # fmt: skip


def _batch(section: Pretrain, question: ShapeQuestion, rows: int) -> tuple[Tensor, Tensor]:
    """Tokens and targets, drawn at random: all predicted, or as many as a masked objective hides."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, question["vocabulary"], (rows, question["length"]), generator=generator)
    if section.objective.name != "masked":
        return tokens, tokens
    hidden = torch.rand(tokens.shape, generator=generator) < section.objective.options.get("share", HIDDEN_SHARE)
    return tokens, torch.where(hidden, tokens, IGNORE)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _return_free_memory() -> None:
    """Give what is freed back to the system, so that what is resident is in use."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _available() -> int:
    """The bytes of memory that are free on this machine, as the kernel estimates them."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))


def _reset_peak() -> None:
    with suppress(OSError):  # a kernel that does not allow it: the peak of the whole process is no less
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    marks = [int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")]
    return marks[0] if marks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    import training.trainer.worker  # noqa: F401  a worker has it in memory

    print(json.dumps(measure(json.loads(sys.stdin.read()))))
