"""Any architecture of `transformers` as a model of ours: the one file that imports the library to train.

From a config (weights are drawn from torch's state) or from a local folder (training goes on from its weights; never
the network, never a pickle, never the folder's code). A saved model holds the whole config, so that neither the folder
nor the library's defaults are needed to build it again. Costs what the library's class costs: no form of ours is in it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core.errors import UserError
from pipeline.core.registry import did_you_mean
from training.models.base import Model, ParameterKind
from training.models.layers import summed_loss, wide
from training.models.sections import hf as section

# said by the library about itself or about a folder: no part of what a model is
PASSING = (
    "transformers_version", "_name_or_path", "_attn_implementation", "dtype", "torch_dtype", "id2label", "label2id",
    "problem_type",
)  # fmt: skip


class Hf(Model):
    """`inner` is the library's model. `vocabulary` is the tokenizer's; the model's own may be padded beyond it."""

    family = "hf"

    def __init__(self, config: section.Hf, *, vocabulary: int, context: int) -> None:
        super().__init__()
        self.vocabulary, self.context = vocabulary, config.context or context
        make = _begun if config.folder else _drawn
        self.inner: Any = make(config, vocabulary=vocabulary, context=self.context)
        self.config = config.model_copy(update={"config": _plain(self.inner.config), "folder": None})
        if problem := _problem(self):
            raise UserError(f"pretrain.model: {problem}")
        for parameter in _unreached(self.inner, min(8, self.context)):
            parameter.requires_grad_(False)
        # the library gives its padding token no gradient; here it may be a real token, and padding is never looked at
        self.inner.get_input_embeddings().padding_idx = None
        self.register_state_dict_post_hook(_without_ties)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_with_ties)  # type: ignore[no-untyped-call]

    def forward(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, **more: Any) -> Tensor:
        """`more`: lengths (B) where a row is short; segments (B, T), 0 and 1, where rows are two texts."""
        logits = wide(self._asked(tokens, more.get("lengths"), more.get("segments")).logits)
        return summed_loss(logits.flatten(0, 1), targets.flatten(), label_smoothing=label_smoothing)

    def logits(self, tokens: Tensor, cache: Any = None, *, lengths: Tensor | None = None) -> Tensor:
        """Of the tokenizer's tokens alone: what pads the vocabulary is no text."""
        return wide(self._asked(tokens, lengths).logits[..., : self.vocabulary])

    def hidden(self, tokens: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        out: Tensor = self._asked(tokens, lengths, output_hidden_states=True).hidden_states[-1]
        return out

    def _asked(self, tokens: Tensor, lengths: Tensor | None, segments: Tensor | None = None, **more: Any) -> Any:
        if lengths is not None:
            places = torch.arange(tokens.shape[1], device=tokens.device)
            more["attention_mask"] = (places < lengths.clamp_min(1).unsqueeze(1)).long()
        if segments is not None:
            more["token_type_ids"] = segments
        if self.config.head == "causal":
            more["use_cache"] = False
        return self.inner(input_ids=tokens, **more)

    def kinds(self) -> dict[str, ParameterKind]:
        lookups = {f"{name}.weight" for name, part in self.named_modules() if isinstance(part, nn.Embedding)}
        head = self.inner.get_output_embeddings().weight
        return {name: _kind(p, name in lookups or p is head) for name, p in self.named_parameters()}

    def write(self, folder: Path) -> None:
        """The library's own folder of this model: config.json and model.safetensors, in one file."""
        self.inner.save_pretrained(folder, max_shard_size="1000GB")


def _kind(parameter: Tensor, embedding: bool) -> ParameterKind:
    """Muon turns matrices of two dimensions: stacks of them (experts) and convolutions go the way of embeddings."""
    if parameter.dim() < 2:
        return "vector"
    return "embedding" if embedding or parameter.dim() > 2 else "matrix"


def _drawn(config: section.Hf, *, vocabulary: int, context: int) -> Any:
    """A new model by its config; vocabulary and positions are the data's where they are not written."""
    transformers, written = _library(), dict(config.config or {})
    kind = written.pop("model_type")
    if kind not in transformers.CONFIG_MAPPING:
        raise UserError(
            f"pretrain.model.config: transformers has no model_type {kind!r}. "
            f"{did_you_mean(kind, transformers.CONFIG_MAPPING.keys())}"
        )
    known = transformers.CONFIG_MAPPING[kind]
    aliases = {theirs: name for name, theirs in getattr(known, "attribute_map", {}).items()}
    named = {aliases.get(key, key) for key in written}
    try:
        default = known()
        filled = {"vocab_size": vocabulary, "max_position_embeddings": context}
        extra = {key: value for key, value in filled.items() if key not in named and hasattr(default, key)}
        _refuse_unknown(written, default, aliases)
        found = known.from_dict({**written, **extra})
        return _kind_of(transformers, config.head).from_config(found, dtype=torch.float32)
    except UserError:
        raise
    except Exception as error:  # the library's validation raises what it likes
        what = " ".join(str(error).split())[:300]
        raise UserError(f"pretrain.model.config: transformers makes no {config.head} {kind} of it ({what}).") from error


def _refuse_unknown(written: dict[str, Any], default: Any, aliases: dict[str, str]) -> None:
    """A key that the class does not know is a mistake of typing: the library would keep it and never look at it.

    A config that names every key of its class was written by the library, and may hold more.
    """
    known = set(default.to_dict()) | set(aliases) | set(aliases.values())
    if unknown := sorted(set(written) - known) if set(default.to_dict()) - set(PASSING) - set(written) else []:
        raise UserError(
            f"pretrain.model.config: {default.model_type} has no {unknown[0]!r}. {did_you_mean(unknown[0], known)}"
        )


def _begun(config: section.Hf, *, vocabulary: int, context: int) -> Any:
    """The model of a folder, with its weights, in fp32."""
    folder = Path(config.folder or "")
    if problem := section.folder_problem(folder):
        raise UserError(f"pretrain.model.folder: {problem}")
    transformers = _library()
    try:
        model, found = _kind_of(transformers, config.head).from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False, use_safetensors=True,
            output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # whatever the library raises, the folder is the reason
        what = " ".join(str(error).split())[:300]
        raise UserError(f"pretrain.model.folder: {folder} does not load as a {config.head} model ({what}).") from error
    if missing := sorted(found["missing_keys"]):
        raise UserError(
            f"pretrain.model.folder: {folder} lacks {missing[0]} and so is no whole {config.head} model "
            f"({type(model).__name__}). Use a folder saved with its head."
        )
    named = dict(model.named_parameters(remove_duplicate=False))
    if kept := sorted(name for name in model.state_dict() if name not in named):
        raise UserError(
            f"pretrain.model.folder: {folder} keeps {kept[0]} beside its parameters, and a saved model of ours holds "
            "parameters alone. Use another architecture."
        )
    return model.train()


def _kind_of(transformers: Any, head: str) -> Any:
    return transformers.AutoModelForMaskedLM if head == "masked" else transformers.AutoModelForCausalLM


def _plain(config: Any) -> dict[str, Any]:
    """Every key of a config, defaults too: another version's defaults change nothing. No path, no version."""
    found = {key: value for key, value in config.to_dict().items() if key not in PASSING}
    return {**found, "model_type": config.model_type}


def _problem(model: Hf) -> str | None:
    """Why this model cannot be trained on this data; None if it can."""
    inner, kind, head = model.inner, model.inner.config.model_type, model.inner.get_output_embeddings()
    if head is None:
        return f"{kind} has no output matrix over a vocabulary, so it predicts no tokens."
    if problem := section.vocabulary_problem(int(head.weight.shape[0]), model.vocabulary):
        return problem
    if (longest := _longest(inner)) is not None and longest < model.context:
        return (
            f"a row and its marks are {model.context:,} tokens, and this {kind} has positions for {longest:,}. "
            "Shorten pack.length, or raise max_position_embeddings of config."
        )
    if model.config.head == "causal" and _looks_ahead(inner):
        return f"this {kind} sees the tokens it should predict. Write is_decoder: true in config, or objective: masked."
    return None


def _longest(inner: Any) -> int | None:
    """How many positions there are; None where the architecture has no end."""
    longest: int | None = getattr(inner.config, "max_position_embeddings", None)
    for name, part in inner.named_modules():
        # RoBERTa counts positions from behind the number of its padding token
        if name.endswith("position_embeddings") and isinstance(part, nn.Embedding) and part.padding_idx is not None:
            return part.num_embeddings - part.padding_idx - 1
    return longest


def _looks_ahead(inner: Any) -> bool:
    """Whether the second token changes what is said at the first: two passes over two tokens."""
    learning = inner.training
    inner.eval()
    with torch.no_grad():
        one, two = (inner(input_ids=torch.tensor([[1, second]]), use_cache=False).logits[0, 0] for second in (2, 3))
    inner.train(learning)
    return not torch.allclose(one, two, rtol=1e-4, atol=1e-5 * float(one.abs().max()))


def _unreached(inner: Any, length: int) -> list[nn.Parameter]:
    """Parameters that no logit depends on (a pooler that another head would ask): they stay as they came.

    Workers would wait for their gradients for ever. One pass over `length` tokens, forward and back.
    """
    learning, parameters = inner.training, [p for p in inner.parameters() if p.requires_grad]
    logits = inner.eval()(input_ids=torch.arange(length).unsqueeze(0)).logits
    found = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
    inner.train(learning)
    return [parameter for parameter, gradient in zip(parameters, found, strict=True) if gradient is None]


def _without_ties(model: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    """A tied weight is saved once, under the name that parameters have it by; buffers follow from the config."""
    own = {f"{prefix}{name}" for name, _ in model.named_parameters()}
    for name in [key for key in state if key.startswith(prefix) and key not in own]:
        del state[name]


def _with_ties(model: Hf, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Give back what `_without_ties` left out, as the model has it."""
    every = dict(model.named_parameters(remove_duplicate=False))
    first = {id(p): name for name, p in reversed(every.items())}
    for name, value in model.inner.state_dict().items():
        own = f"inner.{name}"
        saved = first[id(every[own])] if own in every else None
        if saved is None or f"{prefix}{saved}" in state:
            state.setdefault(f"{prefix}{own}", value if saved is None else state[f"{prefix}{saved}"])


def _library() -> Any:
    """transformers, without network and without its progress bars."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers
