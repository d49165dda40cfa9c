"""Our GPT under the names and in the layouts of the Hugging Face classes: config.json, and the weights one by one.

Each weight is read on demand from a memory-mapped file. Only GPT-2's matrices are copied: it stores them transposed,
and query, key and value as one.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject
from training.export.section import refusal
from training.export.translation import HubSpecials, ReadTensor, Translation
from training.models.base import SavedConfig
from training.models.layers import EPS
from training.models.sections.gpt import Architecture, Gpt

NamedTensors = Iterator[tuple[str, Tensor]]

CLASSES: dict[Architecture, str] = {
    "llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM", "gpt2": "GPT2LMHeadModel", "arcee": "ArceeForCausalLM",
    "vaultgemma": "VaultGemmaForCausalLM",
}  # fmt: skip


def translation(saved: SavedConfig, read: ReadTensor, specials: HubSpecials) -> Translation:
    """A saved GPT as the architecture that computes exactly this model.

    Raises: StageFailed when there is none.
    """
    options = Gpt.model_validate(saved["options"])
    shape = options.exports_as
    if shape is None:
        raise StageFailed(f"export: huggingface: {refusal(options)}")
    hub_config = config(shape, options, vocabulary=saved["vocabulary"], context=saved["context"], specials=specials)
    return Translation(hub_config, weights(shape, options, read))


def config(shape: Architecture, options: Gpt, *, vocabulary: int, context: int, specials: HubSpecials) -> JsonObject:
    """config.json. Not written by the library, whose version and other defaults would change our bytes."""
    common = {
        "architectures": [CLASSES[shape]],
        "model_type": shape,
        "dtype": "float32",
        "vocab_size": vocabulary,
        "tie_word_embeddings": options.tied,
        "initializer_range": 0.02,
        "use_cache": True,
        **specials.config("bos_token", "eos_token", "pad_token"),
    }
    return common | (_gpt2_config(options, context) if shape == "gpt2" else _llama_config(shape, options, context))


def _gpt2_config(options: Gpt, context: int) -> JsonObject:
    return {
        "n_embd": options.width,
        "n_layer": options.layers,
        "n_head": options.heads,
        "n_inner": options.hidden,
        "n_positions": context,
        "activation_function": options.mlp,
        "layer_norm_epsilon": EPS,
        "attn_pdrop": options.dropout,
        "embd_pdrop": options.dropout,
        "resid_pdrop": options.dropout,
    }


def _llama_config(shape: Architecture, options: Gpt, context: int) -> JsonObject:
    common: JsonObject = {
        "hidden_size": options.width,
        "intermediate_size": options.hidden,
        "num_hidden_layers": options.layers,
        "num_attention_heads": options.heads,
        "num_key_value_heads": options.kv_heads or options.heads,
        "head_dim": options.width // options.heads,
        "max_position_embeddings": context,
        "hidden_act": "silu" if options.mlp == "swiglu" else options.mlp,
        "rms_norm_eps": EPS,
        "attention_bias": options.bias,
        "attention_dropout": options.dropout,
        # the first key is that of transformers 5, the second that of earlier versions and of other libraries
        "rope_parameters": {"rope_type": "default", "rope_theta": options.rope_theta},
        "rope_theta": options.rope_theta,
    }
    if shape == "vaultgemma":
        return common | {
            "hidden_activation": common.pop("hidden_act"),
            "query_pre_attn_scalar": options.width // options.heads,
            "layer_types": ["full_attention"] * options.layers,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": options.logit_cap,
        }
    return common | ({"use_sliding_window": False} if shape == "qwen3" else {"mlp_bias": options.bias})


def weights(shape: Architecture, options: Gpt, read: ReadTensor) -> dict[str, Tensor]:
    """Every tensor under its Hugging Face name."""
    tensors = dict(_gpt2(options, read) if shape == "gpt2" else _llama(shape, options, read))
    if not options.tied:
        tensors["lm_head.weight"] = read("head.weight")
    return _as_gemma(tensors, options) if shape == "vaultgemma" else tensors


def _llama(shape: Architecture, options: Gpt, read: ReadTensor) -> NamedTensors:
    yield "model.embed_tokens.weight", read("embed.weight")
    yield "model.norm.weight", read("norm.weight")
    mlp_norm = "pre_feedforward_layernorm" if shape == "vaultgemma" else "post_attention_layernorm"
    matrices = {f"attention.{part}": f"self_attn.{part[0]}_proj" for part in ("query", "key", "value", "out")}
    matrices |= {f"mlp.{part}": f"mlp.{part}_proj" for part in ("up", "down")}
    matrices |= {"mlp.gate": "mlp.gate_proj"} if options.mlp == "swiglu" else {}
    for layer in range(options.layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        yield f"{theirs}.input_layernorm.weight", read(f"{ours}.attention_norm.weight")
        yield f"{theirs}.{mlp_norm}.weight", read(f"{ours}.mlp_norm.weight")
        for part, name in matrices.items():
            yield f"{theirs}.{name}.weight", read(f"{ours}.{part}.weight")
            if options.bias:
                yield f"{theirs}.{name}.bias", read(f"{ours}.{part}.bias")
        if options.qk_norm:
            yield f"{theirs}.self_attn.q_norm.weight", read(f"{ours}.attention.query_norm.weight")
            yield f"{theirs}.self_attn.k_norm.weight", read(f"{ours}.attention.key_norm.weight")


def _as_gemma(tensors: dict[str, Tensor], options: Gpt) -> dict[str, Tensor]:
    """Gemma multiplies embeddings by √width and norms by 1 + weight: the weights undo both.

    A tied head shares the divided embedding, so the last norm multiplies it again.
    """
    scale = options.width**0.5
    norms = {name: tensor - 1.0 for name, tensor in tensors.items() if name.endswith("norm.weight")}
    last = tensors["model.norm.weight"] * (scale if options.tied else 1.0) - 1.0
    embed = tensors["model.embed_tokens.weight"] / scale
    return {**tensors, **norms, "model.norm.weight": last, "model.embed_tokens.weight": embed}


def _gpt2(options: Gpt, read: ReadTensor) -> NamedTensors:
    yield "transformer.wte.weight", read("embed.weight")
    yield "transformer.wpe.weight", read("positions.weight")
    for part in ("weight", "bias"):
        yield f"transformer.ln_f.{part}", read(f"norm.{part}")
    for layer in range(options.layers):
        ours, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
        for name, norm in (("ln_1", "attention_norm"), ("ln_2", "mlp_norm")):
            for part in ("weight", "bias"):
                yield f"{theirs}.{name}.{part}", read(f"{ours}.{norm}.{part}")
        joined = [f"{ours}.attention.{part}" for part in ("query", "key", "value")]
        yield from _transposed(f"{theirs}.attn.c_attn", joined, options, read)
        yield from _transposed(f"{theirs}.attn.c_proj", [f"{ours}.attention.out"], options, read)
        yield from _transposed(f"{theirs}.mlp.c_fc", [f"{ours}.mlp.up"], options, read)
        yield from _transposed(f"{theirs}.mlp.c_proj", [f"{ours}.mlp.down"], options, read)


def _transposed(theirs: str, ours: list[str], options: Gpt, read: ReadTensor) -> NamedTensors:
    """Matrices side by side as (in, out), and their biases: zeros where our model has none."""
    matrix = torch.cat([read(f"{name}.weight") for name in ours])  # out, in
    yield f"{theirs}.weight", matrix.t().contiguous()
    bias = torch.cat([read(f"{name}.bias") for name in ours]) if options.bias else torch.zeros(len(matrix))
    yield f"{theirs}.bias", bias
