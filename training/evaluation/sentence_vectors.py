"""The vectors that a model makes of texts: by its last layer, as the contrastive objective has them, or by each layer.

A text longer than the context is read in windows, WINDOWS of them at most; its vector is the mean over all its tokens.
Batches follow from the texts alone, so the same texts give the same bits. Cost: a pass in fp32; memory: texts × width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from pipeline.core.errors import StageFailed
from pipeline.kernels import column
from pipeline.tokenizers import reference_encoder
from training.models.base import Model
from training.objectives.sentences import Frame, Ids, mean, rows_of

WINDOWS = 16
BATCH_TOKENS = 4096  # of a batch, with what fills its rows up
Hidden = Callable[[Tensor, Tensor], Sequence[Tensor]]  # tokens B, T and lengths B → some of B, T, C


def sentence_vectors(model: Model, tokenizer: Path, texts: Sequence[str]) -> Tensor:
    """A vector a text: texts × width, fp32, on the CPU.

    Raises: StageFailed when the model's numbers are not finite.
    """
    return _vectors(lambda tokens, lengths: [model.hidden(tokens, lengths=lengths)], model, tokenizer, texts)[:, 0]


def layer_vectors(model: Model, tokenizer: Path, texts: Sequence[str]) -> Tensor:
    """A vector a text and layer, the embedding first: texts × layers × width, fp32, on the CPU.

    Raises: StageFailed when the model's numbers are not finite.
    """
    return _vectors(lambda tokens, lengths: layers_of(model, tokens, lengths), model, tokenizer, texts)


def layers_of(model: Model, tokens: Tensor, lengths: Tensor) -> list[Tensor]:
    """What each layer makes of every token, the embedding first: B, T, C each. Of an LSTM that reads to the right, the
    embedding and the last layer alone: those between may have another width."""
    own = getattr(model, "layers", None)
    if own is not None and not isinstance(own, nn.Module):
        return list(own(tokens, lengths))
    kept: list[Tensor] = []
    blocks = list(getattr(model, "blocks", ()))[:-1]
    hooks = [block.register_forward_hook(lambda _block, _given, said: kept.append(said)) for block in blocks]
    try:
        last = model.hidden(tokens, lengths=lengths)
    finally:
        for hook in hooks:
            hook.remove()
    return [model.get_submodule("embed")(tokens), *kept, last]


def language_of(texts: Sequence[str]) -> str | None:
    """The language that the script of the texts points to, as ingest tells it: zh, und-Latn …; None if to none."""
    found: str | None = column.languages(pa.array(["\n".join(texts)], pa.large_string()))[0].as_py()
    return found


def _vectors(hidden: Hidden, model: Model, tokenizer: Path, texts: Sequence[str]) -> Tensor:
    frame, reference = Frame.read(tokenizer), reference_encoder.load(tokenizer)
    width = model.context - frame.size(model)
    windows: list[tuple[int, Ids]] = []
    for at, text in enumerate(texts):
        ids = np.asarray(reference.encode_text(text)[: WINDOWS * width], np.int64)
        windows += [(at, ids[first : first + width]) for first in range(0, len(ids), width)]
    summed: Tensor | None = None
    weights = torch.zeros(len(texts))
    device = next(model.parameters()).device
    with torch.inference_mode():
        for batch in _batches(windows):
            bare = rows_of([ids for _, ids in batch], max(len(ids) for _, ids in batch), frame.end_of_text)
            tokens, lengths = (one.to(device) for one in frame.around(model, *bare))
            found = [mean(one, lengths).cpu() for one in hidden(tokens, lengths)]
            places, lengths = torch.tensor([at for at, _ in batch]), lengths.cpu()
            summed = torch.zeros(len(texts), len(found), found[0].shape[1]) if summed is None else summed
            summed.index_add_(0, places, torch.stack(found, 1) * lengths.view(-1, 1, 1))
            weights.index_add_(0, places, lengths.float())
    if summed is None or not bool(torch.isfinite(summed).all()):
        raise StageFailed(
            "evaluate: the model's vectors of texts are not finite numbers: its weights diverged. "
            "Train it again with a lower optimizer.lr, or with clip."
        )
    return summed / weights.clamp_min(1).view(-1, 1, 1)


def _batches(windows: Sequence[tuple[int, Ids]]) -> Iterator[list[tuple[int, Ids]]]:
    """Windows of about one length together; the order follows from them alone."""
    ordered = sorted(windows, key=lambda window: (len(window[1]), window[0]))
    batch: list[tuple[int, Ids]] = []
    for window in ordered:
        if batch and (len(batch) + 1) * len(window[1]) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch
