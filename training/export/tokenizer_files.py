"""The tokenizer of an export: a text gets the special tokens around it that training put there, and no others.

A model that predicts the next token was trained on bare text, whatever template its tokenizer brings along (BERT's
[CLS] and [SEP], the BOS of a Llama): the template goes. A model that fills gaps was trained on [CLS] text [SEP]: its
tokenizer adds them. Nothing is padded or cut unless the user asks for it. Ids of the text itself never change.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from pipeline.core.files import read_json, replacing, write_json
from pipeline.tokenizers import tokenizer_json
from training.export.translation import Head, Specials
from training.objectives import special_tokens

Tree = dict[str, Any]


def write_plain(source: Path, folder: Path) -> str:
    """Write the tokenizer of a model that reads bare text; its name. A file with nothing to change is copied."""
    tree = read_json(source)
    return _write(source, folder, tree, unframed(tree))


def write_framed(source: Path, folder: Path, *, segments: int) -> str:
    """Write the tokenizer of a model that fills gaps; its name. `segments`: how many token types the model knows."""
    tree = read_json(source)
    return _write(source, folder, tree, framed(tree, segments=segments))


def unframed(tree: Tree) -> Tree:
    """The same tokenizer.json without what is added around a text: template, padding, truncation."""
    kept = [step for step in _processors(tree) if step["type"] == "ByteLevel"]
    return {**tree, "post_processor": _joined(kept), "padding": None, "truncation": None}


def framed(tree: Tree, *, segments: int = 2) -> Tree:
    """The same tokenizer.json with the marks of the masked objective around a text; as it is where it has none.

    Before a hidden word, the space belongs to it where pieces begin with their space (byte-level BPE): it was hidden
    with it in training.
    """
    added = tokenizer_json.added_tokens(tree)
    names = special_tokens.spelling(added)
    if names is None:
        return tree
    plain = unframed(tree)
    if _is_byte_level(tree):
        plain["added_tokens"] = [
            {**token, "lstrip": token["lstrip"] or token["content"] == names[2]} for token in tree["added_tokens"]
        ]
    steps = [*_processors(plain), _template(names[0], names[1], added, second=min(1, segments - 1))]
    return {**plain, "post_processor": _joined(steps)}


def config(specials: Specials, *, context: int, head: Head, segments: int = 0) -> dict[str, Any]:
    """tokenizer_config.json. A batch to be continued is padded on the left: generation goes on from the last place."""
    side: Literal["left", "right"] = "left" if head == "causal" else "right"
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **specials.spelled,
        "model_max_length": context,
        "model_input_names": ["input_ids", *(["token_type_ids"] if segments > 1 else []), "attention_mask"],
        "padding_side": side,
        "clean_up_tokenization_spaces": False,
    }


def _write(source: Path, folder: Path, tree: Tree, changed: Tree) -> str:
    target = folder / source.name
    if changed == tree:
        with replacing(target) as beside:
            shutil.copyfile(source, beside)
    else:
        write_json(target, changed)
    return target.name


def _processors(tree: Tree) -> list[Tree]:
    processor = tree.get("post_processor")
    if not processor:
        return []
    return list(processor["processors"]) if processor["type"] == "Sequence" else [processor]


def _joined(steps: list[Tree]) -> Tree | None:
    if len(steps) > 1:
        return {"type": "Sequence", "processors": steps}
    return steps[0] if steps else None


def _is_byte_level(tree: Tree) -> bool:
    step = tree.get("pre_tokenizer") or {}
    return any(part.get("type") == "ByteLevel" for part in (step, *step.get("pretokenizers", ())))


def _template(start: str, end: str, added: dict[str, int], *, second: int) -> Tree:
    """[CLS] A [SEP], and [CLS] A [SEP] B [SEP] with B and its mark of the segment `second`."""

    def special(name: str, segment: int) -> Tree:
        return {"SpecialToken": {"id": name, "type_id": segment}}

    single = [special(start, 0), {"Sequence": {"id": "A", "type_id": 0}}, special(end, 0)]
    pair = [*single, {"Sequence": {"id": "B", "type_id": second}}, special(end, second)]
    ids = {name: {"id": name, "ids": [added[name]], "tokens": [name]} for name in (start, end)}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": ids}
