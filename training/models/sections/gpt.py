"""The options of `gpt` (pydantic only: `check` and `plan` read this without torch)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from pipeline.core.config import Section
from pipeline.core.files import JsonObject, JsonValue

GptShape = Literal["llama", "gpt2", "qwen3"]
Choices = dict[str, tuple[JsonValue, ...]]
"""Option → its possible values."""
Architecture = Literal["llama", "gpt2", "qwen3", "arcee", "vaultgemma"]

# the options that a shape sets; each can still be set by itself, and then no Hugging Face class may fit (`exports_as`)
SHAPES: dict[str, JsonObject] = {
    "llama": {"norm": "rms", "positions": "rope", "mlp": "swiglu", "qk_norm": False, "bias": False},
    "qwen3": {"norm": "rms", "positions": "rope", "mlp": "swiglu", "qk_norm": True, "bias": False},
    "gpt2": {"norm": "layer", "positions": "learned", "mlp": "gelu", "qk_norm": False, "bias": True},
}

# the values of options that each Hugging Face class supports; an option that is not listed may have any value. Each is
# tested in tests/training/export
_LLAMA: Choices = {
    "norm": ("rms",), "positions": ("rope",), "mlp": ("swiglu",), "qk_norm": (False,), "logit_cap": (None,),
}  # fmt: skip
ARCHITECTURES: dict[Architecture, Choices] = {
    "llama": _LLAMA,
    "qwen3": {**_LLAMA, "qk_norm": (True,), "bias": (False,)},
    "gpt2": {**_LLAMA, "norm": ("layer",), "positions": ("learned",), "mlp": ("gelu", "relu2")},
    "arcee": {**_LLAMA, "mlp": ("gelu", "relu2")},  # Llama with an MLP without gate
    # a Llama whose logits are capped (its embedding is scaled and its norms count from 1, which weights make up for)
    "vaultgemma": {key: only for key, only in _LLAMA.items() if key != "logit_cap"} | {"bias": (False,)},
}


class Gpt(Section):
    """A decoder-only transformer. `shape` stands for a norm, positions, MLP and bias; each can be set by itself too."""

    ADDED: ClassVar[JsonObject] = {"logit_cap": None}

    shape: GptShape = "llama"
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    width: PositiveInt = 256
    kv_heads: PositiveInt | None = None  # fewer than heads: grouped-query attention; None: as many as heads
    hidden: PositiveInt | None = None  # width of the MLP; None: 4 × width, or the SwiGLU of about as many weights
    context: PositiveInt | None = None  # longest row; None: pack.length
    norm: Literal["rms", "layer"] = "rms"
    positions: Literal["rope", "learned"] = "rope"
    mlp: Literal["swiglu", "gelu", "relu2"] = "swiglu"  # relu2: squared ReLU, ungated (Primer, arXiv 2109.08668)
    qk_norm: bool = False
    bias: bool = False
    tied: bool = True  # the head shares the embedding's weights
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    rope_theta: float = Field(10000.0, gt=0.0)
    logit_cap: PositiveFloat | None = None  # cap × tanh(logits / cap), as Gemma 2 has it (arXiv 2408.00118)

    @model_validator(mode="before")
    @classmethod
    def _fill_shape(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        shape = SHAPES.get(str(value.get("shape", "llama")), {})
        filled = {**shape, **value}
        if isinstance(width := filled.get("width", 256), int) and filled.get("hidden") is None:
            filled["hidden"] = _hidden(width, str(filled.get("mlp")))
        if filled.get("kv_heads") is None:
            filled["kv_heads"] = filled.get("heads", 4)
        return filled

    @model_validator(mode="after")
    def _heads_fit(self) -> Gpt:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.heads % (self.kv_heads or self.heads):
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        if self.positions == "rope" and (self.width // self.heads) % 2:
            raise ValueError(f"rope needs an even head width, is {self.width // self.heads}")
        return self

    @property
    def exports_as(self) -> Architecture | None:
        """The Hugging Face architecture that computes exactly this model, or None."""
        for name, choices in ARCHITECTURES.items():
            fits = all(getattr(self, key) in allowed for key, allowed in choices.items())
            # gpt2 alone has no grouped heads; its bias vectors are zeros where this model has none
            if fits and (name != "gpt2" or self.kv_heads == self.heads):
                return name
        return None


def _hidden(width: int, mlp: str) -> int:
    """4 × width for two matrices; for SwiGLU's three, 8/3 × width rounded up to a multiple of 64."""
    return 4 * width if mlp != "swiglu" else -(-8 * width // 3 // 64) * 64
