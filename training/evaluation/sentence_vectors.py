"""The vectors of texts: from a model's last layer, as in the contrastive objective, or from each layer.

A text longer than the context is read in windows, MAX_WINDOWS at most; its vector is the mean over all its tokens.
Batches follow from the texts alone, so the same texts give the same bits. Cost: a pass in fp32; memory: texts × width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from pipeline.core.errors import StageFailed
from pipeline.kernels import column
from pipeline.tokenizers import reference_encoder
from training.evaluation.held_out import TokenIds
from training.models.base import Model
from training.objectives.sentences import TextTemplate, mean, rows_of

MAX_WINDOWS = 16
BATCH_TOKENS = 4096  # of a batch, padding included
# tokens B, T and lengths B → the states of one layer or several, each B, T, C
LayerStates: TypeAlias = Callable[[Tensor, Tensor], Sequence[Tensor]]


class TextWindow(NamedTuple):
    """A part of a text that fits the context: the text's place in the list, and the tokens."""

    text: int
    tokens: TokenIds


def sentence_vectors(model: Model, tokenizer: Path, texts: Sequence[str]) -> Tensor:
    """A vector for each text: texts × width, fp32, on the CPU.

    Raises: StageFailed when the model's numbers are not finite.
    """
    return _vectors(lambda tokens, lengths: [model.hidden(tokens, lengths=lengths)], model, tokenizer, texts)[:, 0]


def layer_vectors(model: Model, tokenizer: Path, texts: Sequence[str]) -> Tensor:
    """A vector for each text and layer, the embedding first: texts × layers × width, fp32, on the CPU.

    Raises: StageFailed when the model's numbers are not finite.
    """
    return _vectors(lambda tokens, lengths: layer_states(model, tokens, lengths), model, tokenizer, texts)


def layer_states(model: Model, tokens: Tensor, lengths: Tensor) -> list[Tensor]:
    """The states of every token at each layer, the embedding first: B, T, C each. Of an LSTM that reads to the right,
    the embedding and the last layer alone: those between may have another width."""
    own_layers = getattr(model, "layers", None)
    if own_layers is not None and not isinstance(own_layers, nn.Module):
        return list(own_layers(tokens, lengths))
    states: list[Tensor] = []
    blocks = list(getattr(model, "blocks", ()))[:-1]
    hooks = [
        block.register_forward_hook(lambda _block, _input, output: states.append(_state(output))) for block in blocks
    ]
    try:
        last = model.hidden(tokens, lengths=lengths)
    finally:
        for hook in hooks:
            hook.remove()
    return [model.get_submodule("embed")(tokens), *states, last]


def _state(output: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """The state after a block; a block of a gpt gives its residual stream and what the next norm adds to it."""
    return output if isinstance(output, Tensor) else output[0] + output[1]


def language_of(texts: Sequence[str]) -> str | None:
    """The language that the script of the texts points to, as ingest tags it: zh, und-Latn …; None if to none."""
    language: str | None = column.languages(pa.array(["\n".join(texts)], pa.large_string()))[0].as_py()
    return language


def _vectors(layer_states: LayerStates, model: Model, tokenizer: Path, texts: Sequence[str]) -> Tensor:
    template, reference = TextTemplate.read(tokenizer), reference_encoder.load(tokenizer)
    width = model.context - template.size(model)
    windows: list[TextWindow] = []
    for at, text in enumerate(texts):
        ids = np.asarray(reference.encode_text(text)[: MAX_WINDOWS * width], np.int64)
        windows += [TextWindow(at, ids[first : first + width]) for first in range(0, len(ids), width)]
    sums: Tensor | None = None
    weights = torch.zeros(len(texts))
    device = next(model.parameters()).device
    with torch.inference_mode():
        for batch in _batches(windows):
            longest = max(len(window.tokens) for window in batch)
            rows, row_lengths = rows_of([window.tokens for window in batch], longest, template.end_of_text)
            tokens, lengths = (tensor.to(device) for tensor in template.apply(model, rows, row_lengths))
            means = [mean(states, lengths).cpu() for states in layer_states(tokens, lengths)]
            places, lengths = torch.tensor([window.text for window in batch]), lengths.cpu()
            sums = torch.zeros(len(texts), len(means), means[0].shape[1]) if sums is None else sums
            sums.index_add_(0, places, torch.stack(means, 1) * lengths.view(-1, 1, 1))
            weights.index_add_(0, places, lengths.float())
    if sums is None or not bool(torch.isfinite(sums).all()):
        raise StageFailed(
            "evaluate: the model's vectors of texts are not finite numbers: its weights diverged. "
            "Train it again with a lower optimizer.lr, or with clip."
        )
    return sums / weights.clamp_min(1).view(-1, 1, 1)


def _batches(windows: Sequence[TextWindow]) -> Iterator[list[TextWindow]]:
    """Windows of about one length together; the order follows from them alone."""
    ordered = sorted(windows, key=lambda window: (len(window.tokens), window.text))
    batch: list[TextWindow] = []
    for window in ordered:
        if batch and (len(batch) + 1) * len(window.tokens) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch
