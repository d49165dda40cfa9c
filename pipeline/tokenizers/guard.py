"""`encoder`: the fastest path that gives exactly the reference's ids, and the guard that proves it.

Byte-level BPE goes by gigatoken, BERT's WordPiece by a memory of pieces; words are native by themselves. Four locks: an
allow-list on tokenizer.json (settings that gigatoken ignores in silence are not on it), adversarial texts at load, the
first documents of the corpus, one document in a thousand while running. Whatever does not hold goes to the reference,
and `fallback` says why. Cost: 0.2 s at load, 2 to 7 % while running.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.tokenizers import adversarial
from pipeline.tokenizers.base import Encoded, Encoder
from pipeline.tokenizers.subword import Reference

CHECK_EVERY = 1_000
SAMPLE_DOCUMENTS = 64
SAMPLE_BYTES = 128 << 10

# settings of the model that gigatoken ignores, or was not compared with
UNSUPPORTED = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback")


def encoder(json_text: str, *, make: Callable[[str], Encoder] | None = None) -> Guarded:
    """An encoder for a tokenizer.json; `make` builds the fast one (that of its kind unless a test says otherwise)."""
    return Guarded(json_text, make)


def _gigatoken(json_text: str) -> Encoder:
    from pipeline.tokenizers.fast import Gigatoken  # imports awkward: a quarter of a second only where it is used

    return Gigatoken(json_text)


def _memoised(json_text: str) -> Encoder:
    from pipeline.tokenizers.memoised import Memoised  # compiled loops

    return Memoised(json_text)


# by the model's type: its name for people, and what builds it
FAST: dict[str, tuple[str, Callable[[str], Encoder]]] = {
    "BPE": ("gigatoken", _gigatoken),
    "WordPiece": ("memory of pieces", _memoised),
}


class Guarded(Encoder):
    """Encodes by the fast path while it agrees with the reference.

    `fallback` is None, or why the reference is used. `doubtful` is True when a difference appeared only after documents
    had been encoded: then those must be encoded again.
    """

    def __init__(self, json_text: str, make: Callable[[str], Encoder] | None) -> None:
        self.reference = Reference(json_text)
        # words are looked up by our own kernels: there is nothing faster to be held against them
        self.is_native = self.reference.sentence is not None
        tree = json.loads(json_text)
        self.fallback: str | None = None if self.is_native else refusal(tree)
        self.doubtful = False
        self._documents = 0
        self._fast: Encoder | None = None
        if self.fallback is None and not self.is_native:
            self._load(json_text, make or FAST[tree["model"]["type"]][1])
        self._fast_name = "words" if self.is_native else FAST.get(tree["model"]["type"], ("",))[0]

    @property
    def name(self) -> str:
        """Which path is used, for people."""
        return self.fallback or self._fast_name

    def _load(self, json_text: str, make: Callable[[str], Encoder]) -> None:
        special = [token["content"] for token in json.loads(json_text)["added_tokens"]]
        hard = pa.array(adversarial.texts(special), pa.large_string())
        try:
            self._fast = make(json_text)
            agrees = _same(self._fast.encode(hard), self.reference.encode(hard))
        except ImportError as error:
            self.fallback = f"the fast encoder is not installed ({error})"
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a Rust panic is no Exception
            self.fallback = f"the fast encoder does not load this tokenizer ({error})"
        else:
            self.fallback = None if agrees else "the fast encoder gives other ids on adversarial text"

    def encode(self, column: pa.LargeStringArray) -> Encoded:
        if self.fallback is None and self._fast is not None:
            found = self._encode_fast(self._fast, column)
            if found is not None:
                return found
        return self.reference.encode(column)

    def _encode_fast(self, fast: Encoder, column: pa.LargeStringArray) -> Encoded | None:
        """The ids, or None where the fast path broke or differs: from then on the reference is used."""
        chosen = self._sample(column) if not self._documents else _every(self._documents, len(column))
        try:
            found = fast.encode(column)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a Rust panic is no Exception
            self.fallback = f"the fast encoder failed ({error})"
            return None
        if len(chosen) and not _same(_take(found, chosen), self.reference.encode(column.take(pa.array(chosen)))):
            self.fallback = "the fast encoder gives other ids on a document of the corpus"
            self.doubtful = self._documents > 0
            return None
        self._documents += len(column)
        return found

    def _sample(self, column: pa.LargeStringArray) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The first documents of the first column, up to a bound."""
        size = np.cumsum(pa.compute.binary_length(column.slice(0, SAMPLE_DOCUMENTS)).to_numpy())
        return np.arange(max(1, int(np.searchsorted(size, SAMPLE_BYTES, side="right"))))[: len(column)]


def _every(seen: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.arange(-seen % CHECK_EVERY, count, CHECK_EVERY)


def _take(encoded: Encoded, chosen: np.ndarray[Any, np.dtype[np.int64]]) -> Encoded:
    parts = [encoded.document(int(index)) for index in chosen]
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return Encoded(np.concatenate(parts), offsets)


def _same(one: Encoded, other: Encoded) -> bool:
    return np.array_equal(one.offsets, other.offsets) and np.array_equal(one.ids, other.ids)


def refusal(tokenizer: dict[str, Any]) -> str | None:
    """Why a parsed tokenizer.json may not take the fast path, or None. Only what was proven equal is let through."""
    kind = tokenizer["model"].get("type")
    if kind not in FAST:
        return f"there is no fast encoder for {kind}"
    for setting in ("truncation", "padding"):
        if tokenizer.get(setting):
            return f"the fast encoder does not honour {setting}"
    for token in tokenizer["added_tokens"]:
        if token["single_word"] or token["normalized"]:
            return f"the fast encoder does not honour the flags of the added token {token['content']!r}"
    return _byte_pair_refusal(tokenizer) if kind == "BPE" else _word_piece_refusal(tokenizer)


def _word_piece_refusal(tokenizer: dict[str, Any]) -> str | None:
    """As BERT has it, but for case and accents."""
    normalizer, split = tokenizer["normalizer"] or {}, tokenizer["pre_tokenizer"] or {}
    cuts = normalizer.get("clean_text") and normalizer.get("handle_chinese_chars")
    if normalizer.get("type") != "BertNormalizer" or split.get("type") != "BertPreTokenizer" or not cuts:
        return "the fast encoder is for WordPiece over BERT's normalizer and split"
    marks = [token["content"] for token in tokenizer["added_tokens"]]
    return None if set(marks) - {tokenizer["model"].get("unk_token")} else "the fast encoder needs a special token"


def _byte_pair_refusal(tokenizer: dict[str, Any]) -> str | None:
    model, normalizer = tokenizer["model"], tokenizer["normalizer"]
    for setting in UNSUPPORTED:
        if model.get(setting):
            return f"the fast encoder does not honour model.{setting}"
    if normalizer is not None and normalizer != {"type": "NFC"}:
        return f"the fast encoder does not honour the normalizer {normalizer.get('type')}"
    if not _splits_as_proven(tokenizer["pre_tokenizer"]):
        return "the fast encoder does not honour this pre_tokenizer"
    return None


def _splits_as_proven(split: dict[str, Any] | None) -> bool:
    """ByteLevel with its own expression; or one isolated regular expression before a ByteLevel without."""
    if split is None:
        return False
    if split["type"] == "ByteLevel":
        return bool(split["use_regex"])
    if split["type"] != "Sequence" or len(split["pretokenizers"]) != 2:
        return False
    first, second = split["pretokenizers"]
    isolated = first["type"] == "Split" and first["behavior"] == "Isolated" and not first["invert"]
    plain = second["type"] == "ByteLevel" and not second["use_regex"] and not second["add_prefix_space"]
    return isolated and plain and "Regex" in first["pattern"]
