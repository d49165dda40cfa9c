"""Text generation, piece by piece.

The same model, prompt, settings and seed give the same text (within one numerics class): sampling is done on the CPU
from a generator of its own, in fp32, whatever the device of the model. Cost: one pass over one token for each token,
where the family caches what it has read (`Model.cache`), else one pass over the window.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from pipeline.core.errors import StageFailed
from pipeline.tokenizers import reference_encoder
from pipeline.tokenizers.token_bytes import TokenBytes
from pipeline.tokenizers.token_bytes import load as load_token_bytes
from training.evaluation.section import Sampling


class CausalModel(Protocol):
    """What a model must have: its longest window, and logits (B, T → B, T, vocabulary). Ours and any other."""

    context: int

    def logits(self, tokens: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class GenerationTokenizer:
    """A tokenizer.json to generate with: text to ids, and ids to bytes."""

    reference: reference_encoder.ReferenceEncoder
    token_bytes: TokenBytes

    @classmethod
    def read(cls, path: Path) -> GenerationTokenizer:
        return cls(reference_encoder.load(path), load_token_bytes(path))


def generate(
    model: CausalModel, tokenizer: GenerationTokenizer, prompt: str, sampling: Sampling, *, seed: int
) -> Iterator[str]:
    """What follows `prompt`, in pieces of whole characters, until the text ends or `sampling.tokens` are generated.

    The prompt is read as the beginning of a document: after an end of text, as in training.
    """
    end_of_text = tokenizer.token_bytes.end_of_text
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    prompt_tokens = [end_of_text, *tokenizer.reference.encode_prompt(prompt)]
    for token in generate_tokens(model, prompt_tokens, sampling, seed=seed):
        if token == end_of_text:
            break
        if text := decoder.decode(tokenizer.token_bytes.by_id[token]):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


def generate_tokens(model: CausalModel, prompt: list[int], sampling: Sampling, *, seed: int) -> Iterator[int]:
    """The tokens that follow `prompt`, `sampling.tokens` of them, end-of-text included."""
    generator = torch.Generator().manual_seed(seed)
    window = _Window(model, prompt)
    for _ in range(sampling.tokens):
        token = sample_token(window.logits(), sampling, generator)
        yield token
        window.append(token)


def sample_token(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """One token by its logits (V, fp32, CPU): the likeliest at temperature 0, else sampled from the allowed ones.

    Raises: StageFailed when a logit is NaN or plus infinity; a token of minus infinity is never sampled.
    """
    if not math.isfinite(float(logits.max())):  # NaN is the maximum wherever there is one
        raise StageFailed(
            "the model's scores of the next token are not finite numbers: its weights diverged. "
            "Train it again with a lower optimizer.lr, or with clip."
        )
    if sampling.temperature == 0:
        return int(logits.argmax())
    count = min(sampling.top_k or len(logits), len(logits))
    # stable, so that equal logits keep the order of their ids
    ordered = torch.sort(logits / sampling.temperature, descending=True, stable=True)
    probabilities = torch.softmax(ordered.values[:count], dim=-1)
    # the smallest set with a sum of `top_p`: a token is left out when those before it already reach it
    allowed = probabilities.cumsum(-1) - probabilities < sampling.top_p
    allowed[0] = True
    rank = torch.multinomial(probabilities * allowed, 1, generator=generator)
    return int(ordered.indices[rank])


class _Window:
    """The last tokens that the model sees. A full window continues with its later half: every token costs the same.

    A model that carries a state has no window: it continues from all it has read, as in training.
    """

    def __init__(self, model: CausalModel, prompt: list[int]) -> None:
        self._model = model
        self._endless = bool(getattr(model, "carries", False))
        self._tokens = prompt if self._endless else prompt[-model.context :]
        self._restart()

    def _restart(self) -> None:
        make_cache = getattr(self._model, "cache", None)
        self._cache: object = make_cache() if make_cache else None
        self._unread = self._tokens

    def append(self, token: int) -> None:
        self._tokens = [*self._tokens, token]
        self._unread = [*self._unread, token]
        if len(self._tokens) > self._model.context and not self._endless:
            self._tokens = self._tokens[-max(1, self._model.context // 2) :]
            self._restart()

    def logits(self) -> Tensor:
        """The logits of the next token: V, fp32, on the CPU."""
        with torch.inference_mode():
            if self._cache is None:
                logits = self._model.logits(self._on_device(self._tokens))
            else:
                logits = self._model.logits(self._on_device(self._unread), self._cache)  # type: ignore[call-arg]
        self._unread = []
        return logits[0, -1].float().cpu()

    def _on_device(self, tokens: list[int]) -> Tensor:
        parameters = getattr(self._model, "parameters", None)
        device = next(parameters()).device if parameters else "cpu"
        return torch.tensor([tokens], dtype=torch.long, device=device)
