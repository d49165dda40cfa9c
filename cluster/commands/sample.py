"""`sample`: let a run's model write, shown as it comes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from cluster.program import program
from cluster.run import artifacts_of, find
from pipeline.core.errors import UserError
from pipeline.core.files import read_json
from pipeline.core.registry import load
from pipeline.core.store import Store

# by name, so that torch is imported when there is something to write and not before
MODEL = "training.models.saved:load"
SAMPLING = "training.evaluation.section:Sampling"
SPELLER = "training.evaluation.generate:Speller"
CANNOT = "training.families:why_not_sampled"
GENERATE = "training.evaluation.generate:generate"


def sample(
    workdir: Path, name: str | None, prompts: Sequence[str], *, tokens: int, temperature: float, top: int, seed: int
) -> None:
    """Print what the model makes of each prompt; without one, how it begins a document.

    Raises: UserError when the run has no trained model, or a number is none.
    """
    if not math.isfinite(temperature):
        raise UserError(f"sample: --temperature {temperature} is not a finite number. Write one from 0 to about 2.")
    run = find(workdir, name)
    made = [
        artifact for artifact in artifacts_of(run, Store(run.workdir)).values() if artifact.manifest.kind == "model"
    ]
    if not made:
        raise UserError(f"{run.path.name}: no model is trained yet. Go on with: {program()} run {run.path}/config.yaml")
    folder = made[-1].folder("model")
    if told := load(CANNOT)(read_json(folder / "config.json")["family"]):
        raise UserError(f"{run.path.name}: {told}")
    sampling = load(SAMPLING)(tokens=tokens, temperature=temperature, top_k=top or None)
    model, speller = load(MODEL)(folder), load(SPELLER).read(folder / "tokenizer.json")
    generate = load(GENERATE)
    for number, prompt in enumerate(prompts or [""]):
        print("\n" * (number > 0) + prompt, end="", flush=True)
        for piece in generate(model, speller, prompt, sampling, seed=seed):
            print(piece, end="", flush=True)
        print()
