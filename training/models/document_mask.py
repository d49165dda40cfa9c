"""Attention within the documents of packed rows, never across them, and positions that restart at each document.

`documents` (B, T) holds for each token where in its row its document begins: tokens with the same number belong
together. What lies beyond the end of a row is a document of its own. On a CPU documents of about one length are
attended to together, as the rows of a batch: scores cost the squares of documents, not of rows. On a GPU FlexAttention
leaves out the blocks that no document reaches (Dong et al. 2024, arXiv 2412.05496).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""Attention of whole rows: q, k, v (B, H, T, D) and a mask of keys (B, T: 0 or minus infinity) → B, H, T, D. Where
attention is causal the mask is None: what it would hide lies behind every token that counts."""
LEAST = 32  # tokens: shorter documents are padded to so many, the edge of a tile of AMX


class DocumentMask:
    """The documents of a batch, found once for all layers. `causal`: a token sees those up to itself alone."""

    def __init__(self, documents: Tensor, *, causal: bool) -> None:
        self.documents = documents
        self.causal = causal
        places = torch.arange(documents.shape[1], device=documents.device)
        self.positions = places - documents  # B, T: of each token in its document
        self._groups = _Groups(self.positions) if documents.device.type == "cpu" else None
        self._blocks: Any = None

    def attend(self, q: Tensor, k: Tensor, v: Tensor, rows: Attend, *, dropout: float = 0.0) -> Tensor:
        """Attention of each document by itself. q, k, v: B, H, T, D; `rows` attends to whole rows of any length."""
        if self._groups is not None:
            return self._groups.attend(q, k, v, rows, causal=self.causal)
        if dropout:  # which FlexAttention has not
            return F.scaled_dot_product_attention(q, k, v, attn_mask=self.visible()[:, None], dropout_p=dropout)
        return self.flex(q, k, v)

    def visible(self) -> Tensor:
        """Whether a token (axis 1) sees another (axis 2): B, T, T. Memory grows with the square of a row."""
        same = self.documents[:, :, None] == self.documents[:, None, :]
        return same.tril() if self.causal else same

    def flex(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The same by FlexAttention, compiled on a GPU; its table of blocks serves all layers."""
        if self._blocks is None:
            self._blocks = self._table_of_blocks()
        attend, _ = _flex(q.device.type)
        return attend(q, k, v, block_mask=self._blocks)

    def _table_of_blocks(self) -> object:
        documents, causal = self.documents, self.causal
        B, T = documents.shape

        def visible(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
            same = documents[b, query] == documents[b, key]
            return same & (query >= key) if causal else same

        _, create = _flex(documents.device.type)
        return create(visible, B, None, T, T, device=documents.device.type)


class _Groups:
    """The documents of rows laid end to end, sorted by padded length; each group is n documents of L tokens.

    index (M): the token at each place of the groups; inverse (B × T): the place of each token; padding (P): the places
    that hold no token of their own.
    """

    def __init__(self, positions: Tensor) -> None:
        B, T = positions.shape
        firsts = (positions == 0).flatten().nonzero().squeeze(-1)
        sizes = torch.diff(firsts, append=firsts.new_tensor([B * T]))
        padded = _padded(sizes).clamp_max(T)
        order = torch.argsort(padded, stable=True)
        firsts, sizes, padded = firsts[order], sizes[order], padded[order]
        starts = padded.cumsum(0) - padded
        document = torch.repeat_interleave(torch.arange(len(order)), padded)
        inside = torch.arange(len(document)) - starts[document]
        is_padding = inside >= sizes[document]
        self.index = firsts[document] + torch.where(is_padding, 0, inside)
        self.padding = is_padding.nonzero().squeeze(-1)
        self.inverse = torch.empty(B * T, dtype=torch.long)
        self.inverse[self.index[~is_padding]] = (~is_padding).nonzero().squeeze(-1)
        lengths, counts = torch.unique_consecutive(padded, return_counts=True)
        self.groups = list(zip(counts.tolist(), lengths.tolist(), strict=True))
        self.is_padding = torch.split(is_padding, [count * length for count, length in self.groups])

    def attend(self, q: Tensor, k: Tensor, v: Tensor, rows: Attend, *, causal: bool) -> Tensor:
        B, H, T, D = q.shape
        if self.groups == [(B, T)] and not len(self.padding):  # every row is one document
            return rows(q, k, v, None)
        sizes = [count * length for count, length in self.groups]
        gathered = zip(*(torch.split(self._gather(x), sizes) for x in (q, k, v)), strict=True)
        outputs = []
        for (n, L), is_padding, parts in zip(self.groups, self.is_padding, gathered, strict=True):
            qs, ks, vs = (part.view(n, L, H, D).transpose(1, 2) for part in parts)
            mask = None
            if not causal and is_padding.any():
                mask = torch.zeros(n, L, dtype=q.dtype).masked_fill(is_padding.view(n, L), float("-inf"))
            outputs.append(rows(qs, ks, vs, mask).transpose(1, 2).reshape(n * L, H * D))
        together = _Scatter.apply(torch.cat(outputs), self.index, self.inverse, self.padding)  # type: ignore[no-untyped-call]
        return cast(Tensor, together).view(B, T, H, D).transpose(1, 2)

    def _gather(self, x: Tensor) -> Tensor:
        B, H, T, D = x.shape
        tokens = x.transpose(1, 2).reshape(B * T, H * D)
        return cast(Tensor, _Gather.apply(tokens, self.index, self.inverse))  # type: ignore[no-untyped-call]


class _Gather(Function):
    """Tokens to their places in the groups. Padding repeats a token and gets no gradient, so none has to be summed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return gradient.index_select(0, inverse), None, None


class _Scatter(Function):
    """From their places in the groups back to the tokens of the rows; padding is dropped, its gradient is zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, inverse: Tensor, padding: Tensor) -> Tensor:
        ctx.save_for_backward(index, padding)
        return x.index_select(0, inverse)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        index, padding = ctx.saved_tensors
        return gradient.index_select(0, index).index_fill_(0, padding, 0.0), None, None, None


def _padded(sizes: Tensor) -> Tensor:
    """Sizes rounded up to one of eight lengths an octave, so that few shapes occur (each costs a kernel's set-up)."""
    octave = torch.floor(torch.log2(sizes.clamp_min(LEAST).double())).long()
    step = torch.clamp_min(2 ** (octave - 3), LEAST)
    return (sizes + step - 1) // step * step


@cache
def _flex(device: str) -> tuple[Callable[..., Tensor], Callable[..., object]]:
    """FlexAttention and its table of blocks; compiled where that is worth it."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    if device == "cpu":
        return cast("Callable[..., Tensor]", flex_attention), create_block_mask
    return torch.compile(flex_attention), torch.compile(create_block_mask)
