"""`sample`: generates text with a model of a run and prints it token by token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from cluster.models import model_of_run
from cluster.run import find
from cluster.sections import stage_table
from pipeline.core.errors import UserError
from pipeline.core.registry import load
from pipeline.core.sampling import Sampler, SamplingOptions
from pipeline.core.store import Store


def sample(
    workdir: Path, name: str | None, prompts: Sequence[str], options: SamplingOptions, *, of: str | None = None
) -> None:
    """Print the model's continuation of each prompt; without a prompt, the beginning of a document.

    Raises: UserError when the run has no trained model, several and `of` names none, or a number is not finite.
    """
    if not math.isfinite(options.temperature):
        raise UserError(
            f"sample: --temperature {options.temperature} is not a finite number. Write one from 0 to about 2."
        )
    run = find(workdir, name)
    step, artifact = model_of_run(run, Store(run.workdir), of)
    spec = next((candidate for candidate in stage_table() if candidate.name == step.stage), None)
    if spec is None or spec.sampler is None:
        raise UserError(f"{run.path.name}: models of the stage {step.stage} cannot generate text.")
    sampler: Sampler = load(spec.sampler)()
    if refusal := sampler.refusal(artifact):
        raise UserError(f"{run.path.name}: {refusal}")
    texts = list(prompts) or [""]
    for number, (prompt, pieces) in enumerate(zip(texts, sampler.write(artifact, texts, options), strict=True)):
        print("\n" * (number > 0) + prompt, end="", flush=True)
        for piece in pieces:
            print(piece, end="", flush=True)
        print()
