"""A folder that `transformers` loads, offline and without remote code: the only file that imports it for export.

It is written from the saved tensors, with one copy in memory, and checked by loading it as a user would, after our own
model is freed. Each family's class and tensor names are in its translation (translation.py).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, read_json, replacing, write_json
from pipeline.tokenizers import adversarial, tokenizer_json
from pipeline.tokenizers.base import END_OF_TEXT
from pipeline.tokenizers.reference_encoder import load as load_tokenizer
from training.evaluation.section import Sampling
from training.export import tokenizer_files
from training.export.base import ExportSource, Format
from training.export.bert import FILL_MASK_USE
from training.export.translation import HubSpecials, LmHead, ReadTensor, Translation, head_of, translation
from training.models.base import SavedConfig, build
from training.models.hf import Hf
from training.models.saved import WEIGHTS, load, read_config
from training.objectives import special_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CAUSAL_USE = f"""\
A language model trained from scratch by Bloomery.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForCausalLM.from_pretrained(".")
inputs = tokenizer(tokenizer.bos_token + "Your text", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs)[0]))
```

The tokenizer adds no special token to a text. In training, `{END_OF_TEXT}` (`bos_token` and `eos_token`) followed each
document: put it before a prompt that is the beginning of a document. A batch is padded on the left.
"""

TOLERANCE = 1e-4
ROWS = 4  # held-out rows, spread over the split, on which logits are compared
TEXTS = 64  # held-out documents on which ids are compared, beside the adversarial texts


class Huggingface(Format):
    """See the module."""

    name = "huggingface"

    def write(self, source: ExportSource, folder: Path) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        saved = read_config(source.model)
        specials = HubSpecials.read(source.tokenizer)
        with safe_open(source.model / WEIGHTS, framework="pt") as weights:
            translated = translation(saved, weights.get_tensor, specials)
            parameters = _write_weights(translated.weights, folder / WEIGHTS)
        write_json(folder / "config.json", translated.config)
        _write_tokenizer(source, folder, translated.config, specials, context=saved["context"])
        with replacing(folder / "README.md") as beside:
            beside.write_text(_card(source, saved, translated.config, parameters), encoding="utf-8")
        names = ["config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json", "README.md"]
        if head_of(translated.config) == "masked":
            return names
        write_json(folder / "generation_config.json", _generation_config(saved["context"], specials))
        return [*names, "generation_config.json"]

    def check(self, source: ExportSource, folder: Path) -> None:
        tokens = _comparison_rows(source)
        ours = _our_logits(source.model, tokens)
        transformers = _import_transformers()
        try:
            head = head_of(read_json(folder / "config.json"))
            auto = transformers.AutoModelForMaskedLM if head == "masked" else transformers.AutoModelForCausalLM
            model = auto.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # whatever error a user would see, reported in one sentence
            raise StageFailed(f"export: huggingface: transformers does not load the folder ({error}).") from error
        _compare_logits(ours, tokens, model.eval())
        _compare_ids(source, tokenizer, head)
        _try_pipeline(transformers, model, tokenizer, head)


def architecture(saved: SavedConfig, read: ReadTensor, specials: HubSpecials) -> Translation:
    """The translation of `hf`: the config and weights that the library itself writes."""
    model = build("hf", saved["options"], vocabulary=saved["vocabulary"], context=saved["context"])
    assert isinstance(model, Hf)
    model.load_state_dict({name: read(name) for name in model.state_dict()})
    with tempfile.TemporaryDirectory() as folder:
        model.write(Path(folder))
        config = read_json(Path(folder) / "config.json")
        weights = load_file(Path(folder) / WEIGHTS)
    config.pop("transformers_version", None)
    ids = specials.config("bos_token", "eos_token", "pad_token")
    return Translation({**config, **ids, **specials.corrected(config)}, weights)


def _generation_config(context: int, specials: HubSpecials) -> JsonObject:
    """The defaults of our own sampling: a small model that always takes the likeliest token repeats itself."""
    sampling = Sampling()
    return {
        **specials.config("bos_token", "eos_token", "pad_token"), "do_sample": True,
        "temperature": sampling.temperature, "top_k": sampling.top_k, "top_p": sampling.top_p,
        # leaves room for a prompt of half the context: learned positions end with the context
        "max_new_tokens": min(sampling.tokens, max(1, context // 2)),
    }  # fmt: skip


def _write_tokenizer(
    source: ExportSource, folder: Path, config: JsonObject, specials: HubSpecials, *, context: int
) -> None:
    """A causal model reads bare text; a masked one text between [CLS] and [SEP], with segments where it has them."""
    head = head_of(config)
    segments = int(config.get("type_vocab_size", 0))
    if head == "masked":
        tokenizer_files.write_masked(source.tokenizer, folder, segments=segments)
    else:
        tokenizer_files.write_causal(source.tokenizer, folder)
    tokenizer_config = tokenizer_files.config(
        specials, context=context, head=head, segments=segments if head == "masked" else 0
    )
    write_json(folder / "tokenizer_config.json", tokenizer_config)


def _write_weights(weights: dict[str, Tensor], target: Path) -> int:
    """Write the tensors in the order of their names; returns the number of parameters."""
    ordered = {name: weights[name].contiguous() for name in sorted(weights)}
    with replacing(target) as beside:
        # one metadata key: with two, the file's hash differs from process to process
        save_file(ordered, beside, metadata={"format": "pt"})
    return sum(tensor.numel() for tensor in ordered.values())


def _card(source: ExportSource, saved: SavedConfig, config: JsonObject, parameters: int) -> str:
    architecture_name = config["architectures"][0]
    sizes = {
        "layers": config.get("num_hidden_layers", config.get("n_layer")),
        "width": config.get("hidden_size", config.get("n_embd")),
    }
    figures = {
        "architecture": architecture_name, "parameters": f"{parameters:,}",
        **{name: str(value) for name, value in sizes.items() if value is not None},
        "vocabulary": f"{saved['vocabulary']:,}", "context": f"{saved['context']:,}",
    }  # fmt: skip
    title = f"{architecture_name}, {parameters:,} parameters"
    if head_of(config) == "masked":
        return source.card.text(title=title, figures=figures, use=FILL_MASK_USE, task="fill-mask")
    use = CAUSAL_USE.replace(END_OF_TEXT, source.end_of_text)
    return source.card.text(title=title, figures=figures, use=use)


def _comparison_rows(source: ExportSource) -> list[Tensor]:
    """Real held-out rows, spread over the split, each 1, T."""
    count = source.held_out.row_count
    numbers = sorted({index * (count - 1) // max(1, ROWS - 1) for index in range(ROWS)})
    return [
        torch.from_numpy(row.tokens)[None] for number in numbers for row in source.held_out.rows(number, number + 1)
    ]


def _our_logits(folder: Path, tokens: list[Tensor]) -> list[Tensor]:
    model = load(folder)
    with torch.inference_mode():
        return [model.logits(row) for row in tokens]


def _compare_logits(ours: list[Tensor], tokens: list[Tensor], model: PreTrainedModel) -> None:
    with torch.inference_mode():
        # theirs may be wider: a vocabulary padded to a round number
        theirs = [model(row).logits[..., : our.shape[-1]] for our, row in zip(ours, tokens, strict=True)]
    difference = max(float((our - their).abs().max()) for our, their in zip(ours, theirs, strict=True))
    if not difference <= TOLERANCE:  # a NaN fails too
        raise StageFailed(
            f"export: huggingface: logits differ by {difference:.2g} from the saved model's on held-out rows, more "
            f"than {TOLERANCE:g}. Nothing was published; please report this with the pretrain.model section."
        )


def _compare_ids(source: ExportSource, tokenizer: PreTrainedTokenizerBase, head: LmHead) -> None:
    """AutoTokenizer gives our ids; for a masked head, between the special tokens that training puts around a text."""
    reference = load_tokenizer(source.tokenizer)
    documents = (document.text.decode("utf-8", "replace") for document in source.held_out.documents())
    texts = [
        *adversarial.texts([tokenizer.eos_token]),
        *(text for text, _ in zip(documents, range(TEXTS), strict=False)),
    ]
    before, after = _added_ids(source.tokenizer, head)
    mask = tokenizer.mask_token if head == "masked" else None
    # a mask token swallows the space before it (tokenizer_files.with_special_tokens); our encoder has no such rule
    for text in texts:
        if mask is not None and mask in text:
            continue
        if tokenizer(text)["input_ids"] != [*before, *reference.encode_prompt(text), *after]:
            raise StageFailed(
                f"export: huggingface: AutoTokenizer gives other ids than the tokenizer stage on {text[:40]!r}. "
                "Nothing was published; please report this."
            )


def _added_ids(tokenizer: Path, head: LmHead) -> tuple[list[int], list[int]]:
    """The ids that are added before and after every text."""
    added = tokenizer_json.added_tokens(read_json(tokenizer))
    names = special_tokens.spelling(added) if head == "masked" else None
    return ([], []) if names is None else ([added[names[0]]], [added[names[1]]])


def _try_pipeline(
    transformers: ModuleType, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, head: LmHead
) -> None:
    """Run the pipeline of the model's task: it must write a few tokens, or fill a mask."""
    if head == "masked":
        fill = transformers.pipeline("fill-mask", model=model, tokenizer=tokenizer)
        answers = [answer.get("token_str") for answer in fill(f"a {tokenizer.mask_token} 。")]
    else:
        generate = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer)
        prompt = tokenizer.eos_token
        answers = [answer.get("generated_text") for answer in generate(prompt, max_new_tokens=4, do_sample=False)]
    if not answers or not all(isinstance(answer, str) for answer in answers):
        raise StageFailed(f"export: huggingface: the pipeline of a {head} model returned no text. Please report this.")


def _import_transformers() -> ModuleType:
    """transformers, without network access and without its progress bars."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    module: ModuleType = transformers
    return module
