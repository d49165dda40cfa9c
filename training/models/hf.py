"""Any architecture of `transformers` as a model of ours: the only file that imports the library for training.

The model is created from a config (with random weights) or from a local folder (training continues from its weights;
never the network, a pickle, or the folder's code). A saved model holds the complete config, so that neither the folder
nor the library's defaults are needed to build it again. Speed and memory are those of the library's class.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject
from pipeline.core.registry import did_you_mean
from training.models.base import Model, ModelCache, ParameterKind
from training.models.layers import summed_loss, wide
from training.models.sections import hf as section

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel
    from transformers.utils import ModelOutput

# keys about the library or a folder, which do not describe the model
UNRELATED_KEYS = (
    "transformers_version", "_name_or_path", "_attn_implementation", "dtype", "torch_dtype", "id2label", "label2id",
    "problem_type",
)  # fmt: skip


class Hf(Model):
    """`inner` is the library's model. `vocabulary` is the tokenizer's; the model's own may be padded beyond it."""

    family = "hf"
    config: section.Hf

    def __init__(self, config: section.Hf, *, vocabulary: int, context: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.context = config.context or context
        create = _from_folder if config.folder else _from_config
        self.inner: PreTrainedModel = create(config, vocabulary=vocabulary, context=self.context)
        self.config = config.model_copy(update={"config": _complete_config(self.inner.config), "folder": None})
        if problem := _problem(self):
            raise UserError(f"pretrain.model: {problem}")
        for parameter in _unused_parameters(self.inner, min(8, self.context)):
            parameter.requires_grad_(False)
        # the library gives its padding token no gradient; here it may be a real token, and padding is never read
        self.inner.get_input_embeddings().padding_idx = None
        self.register_state_dict_post_hook(_remove_ties)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_restore_ties)  # type: ignore[no-untyped-call]

    def forward(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, **inputs: Tensor) -> Tensor:
        """`inputs`: lengths (B) where a row is short; segments (B, T), 0 and 1, where rows are two texts."""
        logits = wide(self._run(tokens, inputs.get("lengths"), inputs.get("segments")).logits)
        return summed_loss(logits.flatten(0, 1), targets.flatten(), label_smoothing=label_smoothing)

    def logits(self, tokens: Tensor, cache: ModelCache = None, *, lengths: Tensor | None = None) -> Tensor:
        """Only of the tokenizer's tokens: the padding of the vocabulary spells no text."""
        return wide(self._run(tokens, lengths).logits[..., : self.vocabulary])

    def hidden(self, tokens: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        out: Tensor = self._run(tokens, lengths, output_hidden_states=True).hidden_states[-1]
        return out

    def _run(
        self, tokens: Tensor, lengths: Tensor | None, segments: Tensor | None = None, **options: bool
    ) -> ModelOutput:
        inputs: dict[str, Tensor] = {}
        if lengths is not None:
            positions = torch.arange(tokens.shape[1], device=tokens.device)
            inputs["attention_mask"] = (positions < lengths.clamp_min(1).unsqueeze(1)).long()
        if segments is not None:
            inputs["token_type_ids"] = segments
        if self.config.head == "causal":
            options["use_cache"] = False
        return self.inner(input_ids=tokens, **inputs, **options)

    def kinds(self) -> dict[str, ParameterKind]:
        lookups = {f"{name}.weight" for name, part in self.named_modules() if isinstance(part, nn.Embedding)}
        head = self.inner.get_output_embeddings().weight
        return {name: _parameter_kind(p, name in lookups or p is head) for name, p in self.named_parameters()}

    def write(self, folder: Path) -> None:
        """Write the library's own folder of this model: config.json and one model.safetensors."""
        self.inner.save_pretrained(folder, max_shard_size="1000GB")


def _parameter_kind(parameter: Tensor, embedding: bool) -> ParameterKind:
    """Muon orthogonalises matrices of two dimensions; stacks of them (experts) and convolutions count as embeddings."""
    if parameter.dim() < 2:
        return "vector"
    return "embedding" if embedding or parameter.dim() > 2 else "matrix"


def _from_config(config: section.Hf, *, vocabulary: int, context: int) -> PreTrainedModel:
    """A new model from a config; vocabulary and positions are those of the data where the config has none."""
    transformers = import_transformers()
    written = dict(config.config or {})
    kind = written.pop("model_type")
    if kind not in transformers.CONFIG_MAPPING:
        raise UserError(
            f"pretrain.model.config: transformers has no model_type {kind!r}. "
            f"{did_you_mean(kind, transformers.CONFIG_MAPPING.keys())}"
        )
    config_class = transformers.CONFIG_MAPPING[kind]
    aliases = {alias: name for name, alias in getattr(config_class, "attribute_map", {}).items()}
    written_keys = {aliases.get(key, key) for key in written}
    try:
        default = config_class()
        filled = {"vocab_size": vocabulary, "max_position_embeddings": context}
        extra = {key: value for key, value in filled.items() if key not in written_keys and hasattr(default, key)}
        _refuse_unknown(written, default, aliases)
        complete = config_class.from_dict({**written, **extra})
        model: PreTrainedModel = _auto_class(transformers, config.head).from_config(complete, dtype=torch.float32)
        return model
    except UserError:
        raise
    except Exception as error:  # the library's validation raises errors of many types
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"pretrain.model.config: transformers cannot create a {config.head} {kind} from it ({reason})."
        ) from error


def _refuse_unknown(written: JsonObject, default: PretrainedConfig, aliases: dict[str, str]) -> None:
    """Refuse a key that the class does not know, probably a typing error: the library would silently ignore it.

    A config that has every key of its class was written by the library, and may have more.
    """
    class_keys = set(default.to_dict()) | set(aliases) | set(aliases.values())
    if (
        unknown := sorted(set(written) - class_keys)
        if set(default.to_dict()) - set(UNRELATED_KEYS) - set(written)
        else []
    ):
        raise UserError(
            f"pretrain.model.config: {default.model_type} has no {unknown[0]!r}. {did_you_mean(unknown[0], class_keys)}"
        )


def _from_folder(config: section.Hf, *, vocabulary: int, context: int) -> PreTrainedModel:
    """The model of a folder, with its weights, in fp32."""
    folder = Path(config.folder or "")
    if problem := section.folder_problem(folder):
        raise UserError(f"pretrain.model.folder: {problem}")
    transformers = import_transformers()
    try:
        model, loading_info = _auto_class(transformers, config.head).from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False, use_safetensors=True,
            output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # whatever the library raises, the folder is the reason
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"pretrain.model.folder: {folder} does not load as a {config.head} model ({reason})."
        ) from error
    if missing := sorted(loading_info["missing_keys"]):
        raise UserError(
            f"pretrain.model.folder: {folder} lacks {missing[0]} and so is no complete {config.head} model "
            f"({type(model).__name__}). Use a folder saved with its head."
        )
    parameters = dict(model.named_parameters(remove_duplicate=False))
    if buffers := sorted(name for name in model.state_dict() if name not in parameters):
        raise UserError(
            f"pretrain.model.folder: {folder} has {buffers[0]} beside its parameters, and a saved model of ours holds "
            "parameters alone. Use another architecture."
        )
    trained: PreTrainedModel = model.train()
    return trained


def _auto_class(transformers: ModuleType, head: str) -> type[PreTrainedModel]:
    auto: type[PreTrainedModel] = (
        transformers.AutoModelForMaskedLM if head == "masked" else transformers.AutoModelForCausalLM
    )
    return auto


def _complete_config(config: PretrainedConfig) -> JsonObject:
    """Every key of a config with its default, so that other defaults change nothing. No path, no version."""
    values = {key: value for key, value in config.to_dict().items() if key not in UNRELATED_KEYS}
    return {**values, "model_type": config.model_type}


def _problem(model: Hf) -> str | None:
    """Why this model cannot be trained on this data; None if it can."""
    inner = model.inner
    kind = model.inner.config.model_type
    head = model.inner.get_output_embeddings()
    if head is None:
        return f"{kind} has no output matrix over a vocabulary, so it predicts no tokens."
    if problem := section.vocabulary_problem(int(head.weight.shape[0]), model.vocabulary):
        return problem
    if (longest := _max_positions(inner)) is not None and longest < model.context:
        return (
            f"a row has up to {model.context:,} tokens, and this {kind} has positions for {longest:,}. "
            "Shorten pack.length, or raise max_position_embeddings of config."
        )
    if model.config.head == "causal" and _sees_next_token(inner):
        return f"this {kind} sees the tokens it should predict. Write is_decoder: true in config, or objective: masked."
    return None


def _max_positions(inner: PreTrainedModel) -> int | None:
    """The number of positions; None where the architecture has no limit."""
    longest: int | None = getattr(inner.config, "max_position_embeddings", None)
    for name, part in inner.named_modules():
        # RoBERTa counts positions from the one after the id of its padding token
        if name.endswith("position_embeddings") and isinstance(part, nn.Embedding) and part.padding_idx is not None:
            return part.num_embeddings - part.padding_idx - 1
    return longest


def _sees_next_token(inner: PreTrainedModel) -> bool:
    """Whether the second token changes the logits at the first: two passes over two tokens."""
    training = inner.training
    inner.eval()
    with torch.no_grad():
        first, second = (inner(input_ids=torch.tensor([[1, token]]), use_cache=False).logits[0, 0] for token in (2, 3))
    inner.train(training)
    return not torch.allclose(first, second, rtol=1e-4, atol=1e-5 * float(first.abs().max()))


def _unused_parameters(inner: PreTrainedModel, length: int) -> list[nn.Parameter]:
    """Parameters that no logit depends on, such as the pooler of another head; they are not trained.

    Workers would wait for their gradients forever. One pass over `length` tokens, forward and backward.
    """
    training = inner.training
    parameters = [p for p in inner.parameters() if p.requires_grad]
    logits = inner.eval()(input_ids=torch.arange(length).unsqueeze(0)).logits
    gradients = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
    inner.train(training)
    return [parameter for parameter, gradient in zip(parameters, gradients, strict=True) if gradient is None]


def _remove_ties(model: nn.Module, state: dict[str, Tensor], prefix: str, _: object) -> None:
    """Save a tied weight once, under its name among the parameters; buffers follow from the config."""
    own = {f"{prefix}{name}" for name, _ in model.named_parameters()}
    for name in [key for key in state if key.startswith(prefix) and key not in own]:
        del state[name]


def _restore_ties(model: Hf, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Add the names that `_remove_ties` left out, with the values of the model."""
    every = dict(model.named_parameters(remove_duplicate=False))
    first = {id(p): name for name, p in reversed(every.items())}
    for name, value in model.inner.state_dict().items():
        own = f"inner.{name}"
        saved = first[id(every[own])] if own in every else None
        if saved is None or f"{prefix}{saved}" in state:
            state.setdefault(f"{prefix}{own}", value if saved is None else state[f"{prefix}{saved}"])


def import_transformers() -> ModuleType:
    """transformers, without network access and without its progress bars."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    module: ModuleType = transformers
    return module
