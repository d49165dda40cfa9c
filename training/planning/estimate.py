"""The estimate of a training: what `bloomery plan` prints, and `run` before it begins. Loads no torch itself.

What is measured comes from a process of `measure.py`, once for a shape and a machine. Everything else is arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core import figures
from pipeline.core.errors import UserError
from pipeline.core.estimate import Estimate, StepFacts
from pipeline.core.files import JsonObject
from pipeline.core.registry import did_you_mean
from pipeline.tokenizers.section import Pack, Tokenizer
from training.families import FAMILIES
from training.planning.hardware import GPUS, MFU, Gpu
from training.planning.memory import MemoryLayout, nearest_that_fits
from training.section import Precision, Pretrain

MEASURE = "training.planning.measure"
GPU_BASE_BYTES = 1_000_000_000  # of the device: context and libraries of CUDA, as commonly seen; not measured here
# up to 4 passes are nearly as good as new text, and beyond 16 little is gained (Muennighoff et al. 2023, 2305.16264)
FEW_PASSES, MANY_PASSES = 4, 16
LEAST_PIECE_BYTES = 2
LONG_HOURS = 8.0
CPU_TOKENS, GPU_TOKENS = 8192, 32768  # a micro-batch, as devices.micro_batch_tokens has it


@dataclass(frozen=True)
class _Duration:
    """How long a training takes; `passes` over the text, None while the text is not packed."""

    steps: int
    tokens: int
    passes: float | None


def estimate(facts: StepFacts) -> Estimate:
    """The figures of a training, warnings about passes and hours, and whether it fits.

    Raises: UserError when no GPU of that name is known.
    """
    section = facts.section
    assert isinstance(section, Pretrain)
    gpu = _gpu(facts.hardware)
    family = FAMILIES.get(section.model.name)
    duration = _duration(section, facts)
    lines, warnings = [_tokens_line(duration)], passes_warnings(duration.passes)
    if family is not None and family.vectors:
        return Estimate(tuple(lines), ())  # epochs are their measure, and a step takes milliseconds
    vocabulary, length = _vocabulary(facts), _length(facts)
    if vocabulary is None or length is None:
        return Estimate((*lines, ("needs", "unknown: there is no tokenizer or pack section to go by")), tuple(warnings))
    question: JsonObject = {
        "section": section.model_dump(mode="json"), "vocabulary": vocabulary, "length": length,
        "threads": facts.cluster.threads,
    }  # fmt: skip
    measured = facts.measure(MEASURE, question)
    if measured is None or "parameters" not in measured:
        needs = [("needs", f"unknown: {measured['problem']}")] if measured else []
        return Estimate((*lines, *needs), tuple(warnings))
    layout = _layout(section, facts, measured, length=length, on_gpu=gpu is not None)
    lines += _size_lines(layout, measured, section)
    speed = _tokens_per_second(section, facts, layout, measured, length, gpu)
    figures_of: dict[str, float] = {
        "parameters": measured["parameters"], "tokens": duration.tokens, "worker_bytes": layout.worker_bytes,
        "checkpoint_bytes": layout.checkpoint_bytes, "step_bytes": layout.step_bytes,
    }  # fmt: skip
    if duration.passes is not None:
        figures_of["passes"] = duration.passes
    if not duration.tokens:
        lines.append(("time", "known once pack is done"))
    elif speed is None:
        lines.append(("time", _no_time(measured, gpu)))
    else:
        hours = duration.tokens / speed / 3600
        figures_of |= {"tokens_per_second": speed, "hours": hours}
        basis = f"{gpu.name}, an MFU of {MFU:.0%} assumed" if gpu else f"measured here ({measured['device']})"
        lines.append(("time", f"{figures.duration(hours * 3600)} at {figures.rate(speed, 'tokens')}: {basis}"))
        warnings += _hours_warnings(hours)
        if facts.price is not None:
            figures_of["euros"] = hours * facts.price
            lines.append(("cost", f"{hours * facts.price:,.2f} EUR at {facts.price:g} an hour"))
    return Estimate(tuple(lines), tuple(warnings), _problem(layout, facts, gpu, length), figures_of)


def passes_warnings(passes: float | None) -> list[str]:
    """What to say about so many passes over the text."""
    if passes is None or passes <= FEW_PASSES:
        return []
    loud = "that is far more than text is worth: " if passes > MANY_PASSES else ""
    return [
        f"{passes:.1f} passes over the text: {loud}up to {FEW_PASSES} are nearly as good as new text, beyond "
        f"{MANY_PASSES} little is gained (arXiv 2305.16264). Use more text, or fewer pretrain.steps."
    ]


def passes_remark(section: Pretrain, text_bytes: int) -> str | None:
    """What to say before any work about the passes over raw text of so many bytes; None if there is nothing."""
    if section.epochs is not None or not text_bytes:
        return None
    steps = min(_steps_of(section, precision) for precision in _precisions(section))
    # a piece of less than two bytes on average is not to be expected: hardly more tokens than this
    passes = steps * section.batch_tokens / (text_bytes / LEAST_PIECE_BYTES)
    warnings = passes_warnings(passes)
    return f"about {warnings[0]} (by the size of the raw files)" if warnings else None


def _hours_warnings(hours: float) -> list[str]:
    if hours <= LONG_HOURS:
        return []
    return [
        f"training takes about {figures.duration(hours * 3600)}. Fewer pretrain.steps, a smaller model or other "
        "hardware (`plan --hardware`) make it shorter."
    ]


def _precisions(section: Pretrain) -> tuple[Precision, ...]:
    return ("bf16", "fp32") if section.precision == "auto" else (section.precision,)


def _steps_of(section: Pretrain, precision: Precision) -> int:
    return section.steps_at(precision, rows=0, batch_rows=1)


def _duration(section: Pretrain, facts: StepFacts) -> _Duration:
    """By the most steps of any precision that may be used."""
    tokens = facts.artifacts.get("tokens")
    split = tokens.manifest.counts.get("splits", {}).get("train") if tokens is not None else None
    length = _length(facts) or 1
    batch_rows = max(1, section.batch_tokens // length)
    rows = split["rows"] if split else 0
    steps = max(section.steps_at(precision, rows=rows, batch_rows=batch_rows) for precision in _precisions(section))
    if section.epochs is not None:
        return _Duration(steps, steps * section.batch_tokens if split else 0, section.epochs)
    return _Duration(steps, steps * section.batch_tokens, steps * batch_rows / rows if rows else None)


def _tokens_line(duration: _Duration) -> tuple[str, str]:
    passes = (
        "passes known once pack is done" if duration.passes is None else f"{duration.passes:.1f} passes over the text"
    )
    if not duration.tokens:
        return "reads", passes
    return "reads", f"{figures.short(duration.tokens)} tokens in {duration.steps:,} steps, {passes}"


def _size_lines(layout: MemoryLayout, measured: JsonObject, section: Pretrain) -> list[tuple[str, str]]:
    place = "of the device" if layout.on_gpu else "of its process"
    whose = f"{place}, for each of {figures.plural(layout.workers, 'worker')}"
    layout_text = f"{layout.name}, micro-batches of {figures.plural(layout.micro_rows, 'row')}"
    size = figures.size
    lines = [
        ("model", f"{figures.short(measured['parameters'])} parameters, {size(4 * layout.parameters)}"),
        ("memory", f"{size(layout.worker_bytes)} {whose} ({layout_text})"),
        ("checkpoint", f"{size(layout.checkpoint_bytes)}, of which {section.keep:,} are kept"),
    ]
    if layout.workers > 1:
        lines.append(("network", f"{figures.size(layout.step_bytes)} sent by each worker in a step"))
    return lines


def _layout(section: Pretrain, facts: StepFacts, measured: JsonObject, *, length: int, on_gpu: bool) -> MemoryLayout:
    workers = facts.cluster.workers
    micro_tokens = section.engine.options.get("micro_batch_tokens") or (GPU_TOKENS if on_gpu else CPU_TOKENS)
    batch_rows = max(1, section.batch_tokens // length)
    worker_rows = -(-batch_rows // workers)
    micro_rows = max(1, min(worker_rows, micro_tokens // length))
    state = 2 * measured["trained"] - (measured["matrices"] if section.optimizer.name == "muon" else 0)
    return MemoryLayout(
        section.engine.name, section.engine.options.get("stage", 0), workers, measured["parameters"],
        measured["largest"], state, micro_rows, -(-worker_rows // micro_rows), measured.get("row_bytes", 0),
        GPU_BASE_BYTES if on_gpu else measured["base_bytes"], on_gpu,
    )  # fmt: skip


def _tokens_per_second(
    section: Pretrain, facts: StepFacts, layout: MemoryLayout, measured: JsonObject, length: int, gpu: Gpu | None
) -> float | None:
    """Of all workers; None where it is not known. Communication is not in it."""
    if gpu is not None:
        # 6 operations a parameter and token (Kaplan et al. 2020), and those of attention (PaLM, appendix B)
        options = section.model.options
        attention = 12 * options.get("layers", 0) * options.get("width", 0) * length
        untied = measured["embeddings"] if options.get("tied", True) else measured["embeddings"] / 2
        flops = 6 * (measured["matrices"] + untied) + attention
        return float(MFU * gpu.flops * layout.workers / flops)
    if "row_seconds" not in measured:
        return None
    rows = layout.micro_rows * layout.micro_batches
    step_s: float = rows * measured["row_seconds"] + measured["update_seconds"] / (
        layout.workers if layout.engine == "zero" and layout.stage else 1
    )
    return section.batch_tokens / step_s


def _no_time(measured: JsonObject, gpu: Gpu | None) -> str:
    return f"unknown: {measured.get('problem', 'nothing was measured')}. Name a GPU: plan --hardware h100"


def _problem(layout: MemoryLayout, facts: StepFacts, gpu: Gpu | None, length: int) -> str:
    """Why it does not fit, and the nearest that would; empty where it fits, or where the memory is not known."""
    if gpu is not None:
        limit, where = gpu.size_bytes, f"the {figures.size(gpu.size_bytes)} of an {gpu.name}"
    elif facts.cluster.launcher == "local" and not facts.cluster.gpus_per_worker:
        limit = facts.memory_bytes / layout.workers
        share = "" if layout.workers == 1 else f"a worker's share (1 of {layout.workers:,}) of "
        where = f"{share}the {figures.size(facts.memory_bytes)} of this machine"
    else:
        return ""
    if layout.worker_bytes <= limit:
        return ""
    sentence = f"a worker needs {figures.size(layout.worker_bytes)}, which does not fit into {where}."
    nearest = nearest_that_fits(layout, limit)
    if nearest is None:
        return f"{sentence} No smaller micro-batch and no ZeRO stage would fit: use a smaller model or more workers."
    changes = []
    if nearest.name != layout.name:
        changes.append(
            f"engine: {{zero: {{stage: {nearest.stage}, micro_batch_tokens: {nearest.micro_rows * length}}}}}"
        )
    else:
        changes.append(f"engine.micro_batch_tokens={nearest.micro_rows * length}")
    return f"{sentence} It would fit with pretrain.{', '.join(changes)} ({figures.size(nearest.worker_bytes)})."


def _gpu(name: str | None) -> Gpu | None:
    if name is None:
        return None
    if name not in GPUS:
        raise UserError(
            f"plan --hardware {name}: no such GPU. {did_you_mean(name, list(GPUS))} Known: {', '.join(GPUS)}."
        )
    return GPUS[name]


def _length(facts: StepFacts) -> int | None:
    pack = facts.sections.get("tokens")
    return pack.length if isinstance(pack, Pack) else None


def _vocabulary(facts: StepFacts) -> int | None:
    artifact, tokenizer = facts.artifacts.get("tokenizer"), facts.sections.get("tokenizer")
    if artifact is not None and (published := artifact.manifest.counts.get("vocabulary")):
        return published
    return tokenizer.vocabulary if isinstance(tokenizer, Tokenizer) else None
