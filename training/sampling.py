"""Text from a trained model, for `bloomery sample`; torch is imported when a model is loaded and not before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.core.artifact import Artifact
from pipeline.core.files import read_json
from pipeline.core.sampling import SamplingOptions
from training.families import sampling_problem

MODEL, CONFIG = "model", "model/config.json"


class ModelSampler:
    """The sampler of the stage pretrain (pipeline/core/sampling.py: Sampler)."""

    def refusal(self, artifact: Artifact) -> str | None:
        """By the family that the model's config names."""
        if not artifact.has(CONFIG):
            return f"{artifact.uri} has no {CONFIG}."
        return sampling_problem(read_json(artifact.file(CONFIG))["family"])

    def write(self, artifact: Artifact, prompts: Sequence[str], options: SamplingOptions) -> Iterator[Iterator[str]]:
        """The model is loaded once, for all prompts."""
        from training.evaluation.generate import GenerationTokenizer, generate
        from training.evaluation.section import Sampling
        from training.models.saved import load

        folder = artifact.folder(MODEL)
        sampling = Sampling(tokens=options.tokens, temperature=options.temperature, top_k=options.top_k)
        model, tokenizer = load(folder), GenerationTokenizer.read(folder / "tokenizer.json")
        for prompt in prompts:
            yield generate(model, tokenizer, prompt, sampling, seed=options.seed)
