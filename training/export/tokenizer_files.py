"""The tokenizer of an export: it adds around a text the special tokens that training put there, and no others.

A causal model was trained on bare text, so a template that its tokenizer brings along (BERT's [CLS] and [SEP], the BOS
of a Llama) is removed. A masked model was trained on [CLS] text [SEP], so its tokenizer adds them. Nothing is padded or
truncated unless the user asks for it. The ids of the text itself never change.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from pipeline.core.files import JsonObject, read_json, replacing, write_json
from pipeline.tokenizers import tokenizer_json
from training.export.translation import HubSpecials, LmHead
from training.objectives import special_tokens


def write_causal(source: Path, folder: Path) -> str:
    """Write the tokenizer of a model that reads bare text; returns the file's name. An unchanged file is copied."""
    tree = read_json(source)
    return _write(source, folder, tree, without_special_tokens(tree))


def write_masked(source: Path, folder: Path, *, segments: int) -> str:
    """Write the tokenizer of a masked model; returns the file's name. `segments`: the number of its token types."""
    tree = read_json(source)
    return _write(source, folder, tree, with_special_tokens(tree, segments=segments))


def without_special_tokens(tree: JsonObject) -> JsonObject:
    """The same tokenizer.json without template, padding and truncation."""
    byte_level = [step for step in _processors(tree) if step["type"] == "ByteLevel"]
    return {**tree, "post_processor": _joined(byte_level), "padding": None, "truncation": None}


def with_special_tokens(tree: JsonObject, *, segments: int = 2) -> JsonObject:
    """The same tokenizer.json with the special tokens of the masked objective around a text, where it has them.

    Where pieces begin with their space (byte-level BPE), the mask token swallows the space before it: in training the
    space was hidden together with the word.
    """
    added = tokenizer_json.added_tokens(tree)
    names = special_tokens.spelling(added)
    if names is None:
        return tree
    plain = without_special_tokens(tree)
    if _is_byte_level(tree):
        plain["added_tokens"] = [
            {**token, "lstrip": token["lstrip"] or token["content"] == names[2]} for token in tree["added_tokens"]
        ]
    steps = [*_processors(plain), _template(names[0], names[1], added, second=min(1, segments - 1))]
    return {**plain, "post_processor": _joined(steps)}


def config(specials: HubSpecials, *, context: int, head: LmHead, segments: int = 0) -> JsonObject:
    """tokenizer_config.json. A causal model pads on the left: generation continues from the last position."""
    side: Literal["left", "right"] = "left" if head == "causal" else "right"
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **specials.spelled,
        "model_max_length": context,
        "model_input_names": ["input_ids", *(["token_type_ids"] if segments > 1 else []), "attention_mask"],
        "padding_side": side,
        "clean_up_tokenization_spaces": False,
    }


def _write(source: Path, folder: Path, tree: JsonObject, changed: JsonObject) -> str:
    target = folder / source.name
    if changed == tree:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
    else:
        write_json(target, changed)
    return target.name


def _processors(tree: JsonObject) -> list[JsonObject]:
    processor = tree.get("post_processor")
    if not processor:
        return []
    return list(processor["processors"]) if processor["type"] == "Sequence" else [processor]


def _joined(steps: list[JsonObject]) -> JsonObject | None:
    if len(steps) > 1:
        return {"type": "Sequence", "processors": steps}
    return steps[0] if steps else None


def _is_byte_level(tree: JsonObject) -> bool:
    step = tree.get("pre_tokenizer") or {}
    return any(inner.get("type") == "ByteLevel" for inner in (step, *step.get("pretokenizers", ())))


def _template(start: str, end: str, added: dict[str, int], *, second: int) -> JsonObject:
    """[CLS] A [SEP], and [CLS] A [SEP] B [SEP], where B and the last [SEP] are of the segment `second`."""

    def special(name: str, segment: int) -> JsonObject:
        return {"SpecialToken": {"id": name, "type_id": segment}}

    single = [special(start, 0), {"Sequence": {"id": "A", "type_id": 0}}, special(end, 0)]
    pair = [*single, {"Sequence": {"id": "B", "type_id": second}}, special(end, second)]
    ids = {name: {"id": name, "ids": [added[name]], "tokens": [name]} for name in (start, end)}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": ids}
