"""A folder that `transformers` loads, offline and without remote code: the one file that imports it for export.

Written from the saved tensors, one copy in memory; checked by loading it as a user would, after our own model is gone.
What a family is called there, and where its weights go, is its own translation (translation.py).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json, replacing, write_json
from pipeline.tokenizers import adversarial, tokenizer_json
from pipeline.tokenizers.base import END_OF_TEXT
from pipeline.tokenizers.reference_encoder import load as load_tokenizer
from training.evaluation.section import Sampling
from training.export import tokenizer_files
from training.export.base import Format, Source
from training.export.bert import FILLS
from training.export.translation import Head, Read, Specials, Translation, head_of, translation
from training.models.base import build
from training.models.saved import CONFIG, WEIGHTS, load
from training.objectives import special_tokens

CONTINUES = f"""\
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

    def write(self, source: Source, folder: Path) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        saved, specials = read_json(source.model / CONFIG), Specials.read(source.tokenizer)
        with safe_open(source.model / WEIGHTS, framework="pt") as weights:
            found = translation(saved, weights.get_tensor, specials)
            parameters = _write_weights(found.weights, folder / WEIGHTS)
        write_json(folder / "config.json", found.config)
        _write_tokenizer(source, folder, found.config, specials, context=saved["context"])
        with replacing(folder / "README.md") as beside:
            beside.write_text(_card(source, saved, found.config, parameters), encoding="utf-8")
        names = ["config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json", "README.md"]
        if head_of(found.config) == "masked":
            return names
        write_json(folder / "generation_config.json", _generation(saved["context"], specials))
        return [*names, "generation_config.json"]

    def check(self, source: Source, folder: Path) -> None:
        tokens = _rows(source)
        ours = _our_logits(source.model, tokens)
        transformers, where = _library(), {"local_files_only": True}
        try:
            head = head_of(read_json(folder / "config.json"))
            kind = transformers.AutoModelForMaskedLM if head == "masked" else transformers.AutoModelForCausalLM
            model = kind.from_pretrained(folder, dtype=torch.float32, **where)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **where)
        except Exception as error:  # whatever stops a user stops us, in one sentence
            raise StageFailed(f"export: huggingface: transformers does not load the folder ({error}).") from error
        _compare_logits(ours, tokens, model.eval())
        _compare_ids(source, tokenizer, head)
        _use(transformers, model, tokenizer, head)


def architecture(saved: dict[str, Any], read: Read, specials: Specials) -> Translation:
    """The translation of `hf`: what the library itself writes of the model, under the names that it reads again."""
    model = build("hf", saved["options"], vocabulary=saved["vocabulary"], context=saved["context"])
    model.load_state_dict({name: read(name) for name in model.state_dict()})
    with tempfile.TemporaryDirectory() as folder:
        model.write(Path(folder))  # type: ignore[operator]
        config, weights = read_json(Path(folder) / "config.json"), load_file(Path(folder) / WEIGHTS)
    config.pop("transformers_version", None)
    ids = specials.config("bos_token", "eos_token", "pad_token")
    return Translation({**config, **ids, **specials.corrected(config)}, weights)


def _generation(context: int, specials: Specials) -> dict[str, Any]:
    """As our own samples are drawn: a small model that always takes the likeliest token runs in circles."""
    drawn = Sampling()
    return {
        **specials.config("bos_token", "eos_token", "pad_token"), "do_sample": True,
        "temperature": drawn.temperature, "top_k": drawn.top_k, "top_p": drawn.top_p,
        # a prompt of half the context may be written on: learned positions end with it
        "max_new_tokens": min(drawn.tokens, max(1, context // 2)),
    }  # fmt: skip


def _write_tokenizer(source: Source, folder: Path, config: dict[str, Any], specials: Specials, *, context: int) -> None:
    """Bare text for a model that goes on; for one that fills gaps, text between its marks, with segments if it has."""
    head, segments = head_of(config), int(config.get("type_vocab_size", 0))
    if head == "masked":
        tokenizer_files.write_framed(source.tokenizer, folder, segments=segments)
    else:
        tokenizer_files.write_plain(source.tokenizer, folder)
    described = tokenizer_files.config(
        specials, context=context, head=head, segments=segments if head == "masked" else 0
    )
    write_json(folder / "tokenizer_config.json", described)


def _write_weights(named: dict[str, Tensor], target: Path) -> int:
    """Write them by name; how many parameters there are."""
    ordered = {name: named[name].contiguous() for name in sorted(named)}
    with replacing(target) as beside:
        # one metadata key: with two, the file's hash differs from process to process
        save_file(ordered, beside, metadata={"format": "pt"})
    return sum(tensor.numel() for tensor in ordered.values())


def _card(source: Source, saved: dict[str, Any], config: dict[str, Any], parameters: int) -> str:
    kind = config["architectures"][0]
    known = {
        "layers": config.get("num_hidden_layers", config.get("n_layer")),
        "width": config.get("hidden_size", config.get("n_embd")),
    }
    figures = {
        "architecture": kind, "parameters": f"{parameters:,}",
        **{name: str(value) for name, value in known.items() if value is not None},
        "vocabulary": f"{saved['vocabulary']:,}", "context": f"{saved['context']:,}",
    }  # fmt: skip
    title = f"{kind}, {parameters:,} parameters"
    if head_of(config) == "masked":
        return source.card.text(title=title, figures=figures, use=FILLS, task="fill-mask")
    use = CONTINUES.replace(END_OF_TEXT, source.end_of_text)
    return source.card.text(title=title, figures=figures, use=use)


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
        # theirs may be wider: a vocabulary padded to a round number
        pairs = [(mine, model(row).logits[..., : mine.shape[-1]]) for mine, row in zip(ours, tokens, strict=True)]
    difference = max(float((mine - theirs).abs().max()) for mine, theirs in pairs)
    if not difference <= TOLERANCE:  # a NaN fails too
        raise StageFailed(
            f"export: huggingface: logits differ by {difference:.2g} from the saved model's on held-out rows, more "
            f"than {TOLERANCE:g}. Nothing was published; please report this with the pretrain.model section."
        )


def _compare_ids(source: Source, tokenizer: Any, head: Head) -> None:
    """AutoTokenizer gives our ids, and around them what training put around a text: marks if it fills gaps."""
    reference = load_tokenizer(source.tokenizer)
    documents = (document.text.decode("utf-8", "replace") for document in source.held_out.documents())
    texts = [
        *adversarial.texts([tokenizer.eos_token]),
        *(text for text, _ in zip(documents, range(TEXTS), strict=False)),
    ]
    before, after = _frame(source.tokenizer, head)
    mask = tokenizer.mask_token if head == "masked" else None
    # a mask takes the space before it with it (tokenizer_files.framed), which no text of ours does
    for text in (one for one in texts if mask is None or mask not in one):
        if tokenizer(text)["input_ids"] != [*before, *reference.encode_prompt(text), *after]:
            raise StageFailed(
                f"export: huggingface: AutoTokenizer gives other ids than the tokenizer stage on {text[:40]!r}. "
                "Nothing was published; please report this."
            )


def _frame(tokenizer: Path, head: Head) -> tuple[list[int], list[int]]:
    """The ids before and behind every text."""
    added = tokenizer_json.added_tokens(read_json(tokenizer))
    names = special_tokens.spelling(added) if head == "masked" else None
    return ([], []) if names is None else ([added[names[0]]], [added[names[1]]])


def _use(transformers: Any, model: Any, tokenizer: Any, head: Head) -> None:
    """The shortest use of all: a pipeline that writes a few tokens, or fills a gap."""
    if head == "masked":
        fill = transformers.pipeline("fill-mask", model=model, tokenizer=tokenizer)
        answers = [one.get("token_str") for one in fill(f"a {tokenizer.mask_token} 。")]
    else:
        write = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer)
        prompt = tokenizer.eos_token
        answers = [one.get("generated_text") for one in write(prompt, max_new_tokens=4, do_sample=False)]
    if not answers or not all(isinstance(one, str) for one in answers):
        raise StageFailed(f"export: huggingface: the pipeline of a {head} model said nothing. Please report this.")


def _library() -> Any:
    """transformers, without network and without its progress bars."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers
