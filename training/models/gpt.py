"""A decoder-only transformer in the shapes of Llama, Qwen 3 and GPT-2 (sections/gpt.py), complete in one file.

Weights by name: embed.weight, positions.weight (learned), blocks.N.{attention_norm, mlp_norm}.weight,
blocks.N.attention.{query, key, value, out, query_norm, key_norm}, blocks.N.mlp.{gate, up, down}, norm.weight,
head.weight (untied). Matrices are (out, in), as in nn.KernelLinear.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from training.models.base import Model
from training.models.document_mask import DocumentMask
from training.models.layers import (
    CausalAttention,
    Gelu,
    KernelLinear,
    KeyValueCache,
    LayerNorm,
    Relu2,
    RmsNorm,
    Rope,
    Swiglu,
    head_loss,
    scores,
)
from training.models.sections import gpt as section

SPREAD = 0.02
MLPS = {"swiglu": Swiglu, "gelu": Gelu, "relu2": Relu2}


class GptBlock(nn.Module):
    """Attention and MLP, each on a normalised copy and added to the residual stream."""

    def __init__(self, config: section.Gpt, rope: Rope | None) -> None:
        super().__init__()
        hidden = config.hidden or 4 * config.width
        kv_heads = config.kv_heads or config.heads
        self.attention_norm = _norm(config)
        self.mlp_norm = _norm(config)
        self.attention = CausalAttention(
            config.width, config.heads, kv_heads=kv_heads, bias=config.bias, qk_norm=config.qk_norm, rope=rope,
            dropout=config.dropout,
        )  # fmt: skip
        self.mlp = MLPS[config.mlp](config.width, hidden, bias=config.bias)
        self.dropout = config.dropout

    def forward(
        self,
        x: Tensor,
        added: Tensor | None,
        cache: KeyValueCache | None = None,
        documents: DocumentMask | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The residual stream, and what the next norm adds to it: an addition and the norm after it are one pass."""
        x, normed = self.attention_norm.of_sum(x, added)
        added = F.dropout(self.attention(normed, cache, documents), self.dropout, self.training)
        x, normed = self.mlp_norm.of_sum(x, added)
        return x, F.dropout(self.mlp(normed), self.dropout, self.training)


class Gpt(Model):
    """See the module. `context` is the longest row; rope models of one context run at any shorter one."""

    family = "gpt"
    config: section.Gpt
    supports_document_mask = True

    def __init__(self, config: section.Gpt, *, vocabulary: int, context: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.context = config.context or context
        self.embed = nn.Embedding(vocabulary, config.width)
        learned = config.positions == "learned"
        self.positions = nn.Embedding(self.context, config.width) if learned else None
        rope = None if learned else Rope(config.width // config.heads, self.context, config.rope_theta)
        self.blocks = nn.ModuleList(GptBlock(config, rope) for _ in range(config.layers))
        self.norm = _norm(config)
        self.head = None if config.tied else KernelLinear(config.width, vocabulary, bias=False)
        self._initialize()

    def _initialize(self) -> None:
        """Normal with 0.02; matrices that write into the residual stream are scaled down by the depth (GPT-2)."""
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                deep = name.endswith(("out.weight", "down.weight"))
                spread = SPREAD / (2 * self.config.layers) ** 0.5 if deep else SPREAD
                nn.init.normal_(parameter, 0.0, spread)

    def hidden(
        self, tokens: Tensor, caches: Sequence[KeyValueCache] | None = None, *, lengths: Tensor | None = None,
        documents: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """The normalised outputs of the last block: B, T, C. With `caches` (`cache`), tokens continue those in them;
        with `documents` (B, T; document_mask.py), no token sees another document."""
        x = self.embed(tokens)
        mask = None if documents is None else DocumentMask(documents, causal=True)
        if self.positions is not None and mask is not None:
            x = x + self.positions(mask.positions)
        elif self.positions is not None:
            first = caches[0].length if caches else 0
            x = x + self.positions.weight[first : first + tokens.shape[1]]
        x = F.dropout(x, self.config.dropout, self.training)
        added = None
        for layer, block in enumerate(self.blocks):
            x, added = block(x, added, caches[layer] if caches else None, mask)
        out: Tensor = self.norm.of_sum(x, added)[1]
        return out

    def forward(
        self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, documents: Tensor | None = None
    ) -> Tensor:
        x = self.hidden(tokens, documents=documents)
        return head_loss(
            x.reshape(-1, x.shape[-1]), self._head(), targets.reshape(-1),
            label_smoothing=label_smoothing, cap=self.config.logit_cap,
        )  # fmt: skip

    def logits(
        self, tokens: Tensor, cache: list[KeyValueCache] | None = None, *, documents: Tensor | None = None
    ) -> Tensor:
        return scores(self.hidden(tokens, cache, documents=documents), self._head(), self.config.logit_cap)

    def cache(self) -> list[KeyValueCache]:
        return [KeyValueCache() for _ in self.blocks]

    def _head(self) -> Tensor:
        weight: Tensor = self.embed.weight if self.head is None else self.head.weight
        return weight


def _norm(config: section.Gpt) -> RmsNorm | LayerNorm:
    return RmsNorm(config.width) if config.norm == "rms" else LayerNorm(config.width)
