"""Text that a model writes on, a piece at a time.

The same model, prompt, settings and seed give the same text (within one numerics class): draws are made on the CPU from
a generator of their own, in fp32, whatever the device of the model. Cost: one pass over one token each, where the
family keeps what it has read (`Model.cache`), else one pass over the window.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from pipeline.core.errors import StageFailed
from pipeline.tokenizers import reference_encoder, token_bytes
from training.evaluation.section import Sampling


class Writer(Protocol):
    """What is asked of a model: its longest window, and logits (B, T → B, T, vocabulary). Ours and any other."""

    context: int

    def logits(self, tokens: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Speller:
    """A tokenizer.json to generate with: text to ids, and ids to bytes."""

    reference: reference_encoder.ReferenceEncoder
    pieces: token_bytes.TokenBytes

    @classmethod
    def read(cls, path: Path) -> Speller:
        return cls(reference_encoder.load(path), token_bytes.load(path))


def generate(model: Writer, speller: Speller, prompt: str, sampling: Sampling, *, seed: int) -> Iterator[str]:
    """What follows `prompt`, in pieces of whole characters, until the text ends or `sampling.tokens` are drawn.

    The prompt is read as the beginning of a document: after an end of text, as in training.
    """
    end = speller.pieces.end_of_text
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in tokens(model, [end, *speller.reference.encode_prompt(prompt)], sampling, seed=seed):
        if token == end:
            break
        if text := decoder.decode(speller.pieces.spelled[token]):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


def tokens(model: Writer, prompt: list[int], sampling: Sampling, *, seed: int) -> Iterator[int]:
    """The tokens drawn after `prompt`, `sampling.tokens` of them, end-of-text included."""
    draw = torch.Generator().manual_seed(seed)
    window = _Window(model, prompt)
    for _ in range(sampling.tokens):
        token = choose(window.logits(), sampling, draw)
        yield token
        window.append(token)


def choose(logits: Tensor, sampling: Sampling, draw: torch.Generator) -> int:
    """One token by its logits (V, fp32, CPU): the likeliest at temperature 0, else drawn from those let through.

    Raises: StageFailed when the logits are not numbers; minus infinity is one, of a token that is never drawn.
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
    chances = torch.softmax(ordered.values[:count], dim=-1)
    # the smallest set that holds `top_p`: what lies before a token is already enough without it
    allowed = chances.cumsum(-1) - chances < sampling.top_p
    allowed[0] = True
    at = torch.multinomial(chances * allowed, 1, generator=draw)
    return int(ordered.indices[at])


class _Window:
    """The last tokens that the model sees. A full window goes on with its later half: every token costs the same.

    A model that carries a state has no window: it goes on from all it has read, as it learned to.
    """

    def __init__(self, model: Writer, prompt: list[int]) -> None:
        self._model = model
        self._endless = bool(getattr(model, "carries", False))
        self._tokens = prompt if self._endless else prompt[-model.context :]
        self._restart()

    def _restart(self) -> None:
        make = getattr(self._model, "cache", None)
        self._cache: Any = make() if make else None
        self._unread = self._tokens

    def append(self, token: int) -> None:
        self._tokens, self._unread = [*self._tokens, token], [*self._unread, token]
        if len(self._tokens) > self._model.context and not self._endless:
            self._tokens = self._tokens[-max(1, self._model.context // 2) :]
            self._restart()

    def logits(self) -> Tensor:
        """The logits of the next token: V, fp32, on the CPU."""
        with torch.inference_mode():
            if self._cache is None:
                found = self._model.logits(self._on_device(self._tokens))
            else:
                found = self._model.logits(self._on_device(self._unread), self._cache)  # type: ignore[call-arg]
        self._unread = []
        return found[0, -1].float().cpu()

    def _on_device(self, tokens: list[int]) -> Tensor:
        parameters = getattr(self._model, "parameters", None)
        device = next(parameters()).device if parameters else "cpu"
        return torch.tensor([tokens], dtype=torch.long, device=device)
