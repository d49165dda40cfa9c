"""The options of the model families (pydantic only: `check` and `plan` read this without torch)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from pipeline.core.config import Section

Shape = Literal["llama", "gpt2", "qwen3"]

# what a shape stands for; each option can still be set by itself, and then no Hugging Face class may fit (`exports_as`)
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {"norm": "rms", "positions": "rope", "mlp": "swiglu", "qk_norm": False, "bias": False},
    "qwen3": {"norm": "rms", "positions": "rope", "mlp": "swiglu", "qk_norm": True, "bias": False},
    "gpt2": {"norm": "layer", "positions": "learned", "mlp": "gelu", "qk_norm": False, "bias": True},
}


class Gpt(Section):
    """A decoder-only transformer. `shape` names the Hugging Face architecture it is exported as."""

    shape: Shape = "llama"
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    width: PositiveInt = 256
    kv_heads: PositiveInt | None = None  # fewer than heads: grouped-query attention; None: as many as heads
    hidden: PositiveInt | None = None  # width of the MLP; None: 4 × width, or the SwiGLU of about as many weights
    context: PositiveInt | None = None  # longest row; None: pack.length
    norm: Literal["rms", "layer"] = "rms"
    positions: Literal["rope", "learned"] = "rope"
    mlp: Literal["swiglu", "gelu"] = "swiglu"
    qk_norm: bool = False
    bias: bool = False
    tied: bool = True  # the head shares the embedding's weights
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    rope_theta: float = Field(10000.0, gt=0.0)

    @model_validator(mode="before")
    @classmethod
    def _fill_shape(cls, value: Any) -> Any:
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
    def exports_as(self) -> Shape | None:
        """The Hugging Face architecture that computes exactly this model, or None."""
        own = {"norm": self.norm, "positions": self.positions, "mlp": self.mlp, "qk_norm": self.qk_norm}
        for name, options in SHAPES.items():
            fits = all(options[key] == item for key, item in own.items())
            # gpt2 has bias vectors: a model without them is exported with zeros; the others have none
            if fits and (name == "gpt2" or not self.bias):
                if name == "gpt2" and (not self.tied or self.kv_heads != self.heads):
                    return None
                return name  # type: ignore[return-value]
        return None


def _hidden(width: int, mlp: str) -> int:
    """4 × width for two matrices; for SwiGLU's three, 8/3 × width rounded up to a multiple of 64."""
    return 4 * width if mlp != "swiglu" else -(-8 * width // 3 // 64) * 64
