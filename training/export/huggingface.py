"""A folder that `transformers` loads, offline and without remote code: the one file that imports it for export.

Written from the saved tensors, one copy in memory; checked by loading it as a user would, after our own model is gone.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json, replacing, write_json
from pipeline.tokenizers import adversarial
from pipeline.tokenizers.base import END_OF_TEXT
from pipeline.tokenizers.subword import load as load_tokenizer
from training.evaluation.section import Sampling
from training.export import shapes
from training.export.base import Format, Source
from training.models.saved import CONFIG, WEIGHTS, load
from training.models.section import Gpt

TOLERANCE = 1e-4
ROWS = 4  # held-out rows, spread over the split, on which logits are compared
TEXTS = 64  # held-out documents on which ids are compared, beside the adversarial texts


class Huggingface(Format):
    """See the module."""

    name = "huggingface"

    def write(self, source: Source, folder: Path) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        saved = read_json(source.model / CONFIG)
        options, end_of_text = Gpt.model_validate(saved["options"]), load_tokenizer(source.tokenizer).end_of_text
        shape = shapes.shape_of(saved["family"], options)
        sizes = {"vocabulary": saved["vocabulary"], "context": saved["context"]}
        config = shapes.config(shape, options, **sizes, end_of_text=end_of_text)
        write_json(folder / "config.json", config)
        write_json(folder / "generation_config.json", _generation(saved["context"], end_of_text))
        write_json(folder / "tokenizer_config.json", _tokenizer(saved["context"]))
        with replacing(folder / "tokenizer.json") as beside:
            shutil.copyfile(source.tokenizer, beside)
        parameters = _write_weights(source.model / WEIGHTS, folder / WEIGHTS, shape, options)
        with replacing(folder / "README.md") as beside:
            beside.write_text(_card(source, config, parameters), encoding="utf-8")
        names = ("config.json", "generation_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json")
        return [*names, "README.md"]

    def check(self, source: Source, folder: Path) -> None:
        tokens = _rows(source)
        ours = _our_logits(source.model, tokens)
        transformers = _library()
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # whatever stops a user stops us, in one sentence
            raise StageFailed(f"export: huggingface: transformers does not load the folder ({error}).") from error
        _compare_logits(ours, tokens, model.eval())
        _compare_ids(source, tokenizer)
        _write_on(transformers, model, tokenizer)


def _generation(context: int, end_of_text: int) -> dict[str, Any]:
    """As our own samples are drawn: a small model that always takes the likeliest token runs in circles."""
    drawn = Sampling()
    return {
        "bos_token_id": end_of_text, "eos_token_id": end_of_text, "pad_token_id": end_of_text, "do_sample": True,
        "temperature": drawn.temperature, "top_k": drawn.top_k, "top_p": drawn.top_p,
        # a prompt of half the context may be written on: learned positions end with it
        "max_new_tokens": min(drawn.tokens, max(1, context // 2)),
    }  # fmt: skip


def _tokenizer(context: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "model_max_length": context,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
    }


def _write_weights(source: Path, target: Path, shape: Any, options: Gpt) -> int:
    """Translate and write; how many parameters there are."""
    with safe_open(source, framework="pt") as saved:
        named = shapes.weights(shape, options, saved.get_tensor)
        ordered = {name: named[name].contiguous() for name in sorted(named)}
        with replacing(target) as beside:
            # one metadata key: with two, the file's hash differs from process to process
            save_file(ordered, beside, metadata={"format": "pt"})
    return sum(tensor.numel() for tensor in ordered.values())


def _card(source: Source, config: dict[str, Any], parameters: int) -> str:
    figures = {
        "architecture": config["architectures"][0],
        "parameters": f"{parameters:,}",
        "layers": str(config.get("num_hidden_layers", config.get("n_layer"))),
        "width": str(config.get("hidden_size", config.get("n_embd"))),
        "vocabulary": f"{config['vocab_size']:,}",
        "context": f"{config.get('max_position_embeddings', config.get('n_positions')):,}",
    }
    return source.card.text(title=f"{config['architectures'][0]}, {parameters:,} parameters", figures=figures)


def _rows(source: Source) -> list[Tensor]:
    """Real held-out rows, spread over the split, each 1, T."""
    count = source.held_out.row_count
    chosen = sorted({at * (count - 1) // max(1, ROWS - 1) for at in range(ROWS)})
    return [torch.from_numpy(row.tokens)[None] for at in chosen for row in source.held_out.rows(at, at + 1)]


def _our_logits(folder: Path, tokens: list[Tensor]) -> list[Tensor]:
    model = load(folder)
    with torch.inference_mode():
        return [model.logits(row) for row in tokens]


def _compare_logits(ours: list[Tensor], tokens: list[Tensor], model: Any) -> None:
    with torch.inference_mode():
        pairs = [(mine, model(row).logits) for mine, row in zip(ours, tokens, strict=True)]
    difference = max(float((mine - theirs).abs().max()) for mine, theirs in pairs)
    if not difference <= TOLERANCE:  # a NaN fails too
        raise StageFailed(
            f"export: huggingface: logits differ by {difference:.2g} from the saved model's on held-out rows, more "
            f"than {TOLERANCE:g}. Nothing was published; please report this with the pretrain.model section."
        )


def _compare_ids(source: Source, tokenizer: Any) -> None:
    reference = load_tokenizer(source.tokenizer)
    documents = (document.text.decode("utf-8", "replace") for document in source.held_out.documents())
    texts = [*adversarial.texts([END_OF_TEXT]), *(text for text, _ in zip(documents, range(TEXTS), strict=False))]
    for text in texts:
        if tokenizer(text, add_special_tokens=False)["input_ids"] != reference.encode_text(text):
            raise StageFailed(
                f"export: huggingface: AutoTokenizer gives other ids than the tokenizer stage on {text[:40]!r}. "
                "Nothing was published; please report this."
            )


def _write_on(transformers: Any, model: Any, tokenizer: Any) -> None:
    """The shortest use of all: a pipeline that writes a few tokens."""
    write = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer)
    found = write(END_OF_TEXT, max_new_tokens=4, do_sample=False)
    if not isinstance(found[0].get("generated_text"), str):
        raise StageFailed("export: huggingface: pipeline('text-generation') wrote nothing. Please report this.")


def _library() -> Any:
    """transformers, without network and without its progress bars."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers
