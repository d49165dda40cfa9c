"""`encoder`: the fastest path that gives exactly the reference's ids, and the checks that prove it.

Byte-level BPE goes by gigatoken, BERT's WordPiece by a memory of pieces; words are native by themselves. Three checks:
an allow-list on tokenizer.json (settings that gigatoken ignores in silence are not on it), adversarial texts at load,
and the documents of the corpus that `verification` selects. A tokenizer that fails at load is encoded by the reference,
and `fallback` says why. A difference that shows later raises `EncodersDiffer`: ids of both paths must never mix, so
whoever encodes starts again with the reference. Cost: 0.2 s at load, 2 to 7 % while running.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.tokenizers import adversarial, long_runs
from pipeline.tokenizers.base import Encoded, Encoder
from pipeline.tokenizers.reference_encoder import ReferenceEncoder

BERT_SPLIT = "BertPreTokenizer"
# settings of the model that gigatoken ignores, or was not compared with
UNSUPPORTED = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback")


def encoder(json_text: str, *, make: Callable[[str], Encoder] | None = None) -> VerifiedEncoder:
    """An encoder for a tokenizer.json; `make` builds the fast one (that of its kind unless a test says otherwise)."""
    return VerifiedEncoder(json_text, make)


class EncodersDiffer(Exception):
    """The fast path failed or gave other ids than the reference. What it encoded, anywhere, must be encoded again."""


def _gigatoken(json_text: str) -> Encoder:
    from pipeline.tokenizers.gigatoken_encoder import (
        GigatokenEncoder,  # imports awkward: a quarter of a second only where it is used
    )

    return GigatokenEncoder(json_text)


def _memoised(json_text: str) -> Encoder:
    from pipeline.tokenizers.cached_wordpiece import CachedWordPiece  # compiled loops

    return CachedWordPiece(json_text)


# by the model's type: its name for people, and what builds it
FAST_ENCODERS: dict[str, tuple[str, Callable[[str], Encoder]]] = {
    "BPE": ("gigatoken", _gigatoken),
    "WordPiece": ("memory of pieces", _memoised),
}


class VerifiedEncoder(Encoder):
    """Encodes by the fast path, and compares it with the reference on the documents that the caller selects.

    `fallback` is None, or why every document is encoded by the reference.
    """

    def __init__(self, json_text: str, make: Callable[[str], Encoder] | None) -> None:
        self.reference = ReferenceEncoder(json_text)
        # words are looked up by our own kernels: there is nothing faster to compare with them
        self.is_native = self.reference.sentence is not None
        tree = json.loads(json_text)
        self.fallback: str | None = None if self.is_native else unsupported_reason(tree)
        self._difference: str | None = None
        self._fast: Encoder | None = None
        if self.fallback is None and not self.is_native:
            self._load(json_text, make or FAST_ENCODERS[tree["model"]["type"]][1])
        self._fast_name = "words" if self.is_native else FAST_ENCODERS.get(tree["model"]["type"], ("",))[0]

    @property
    def name(self) -> str:
        """Which path is used, for people."""
        return self.fallback or self._fast_name

    def _load(self, json_text: str, make: Callable[[str], Encoder]) -> None:
        special = [token["content"] for token in json.loads(json_text)["added_tokens"]]
        hard = pa.array(adversarial.texts(special), pa.large_string())
        try:
            self._fast = make(json_text)
            agrees = _equal(self._fast.encode(hard), self.reference.encode(hard))
        except ImportError as error:
            self.fallback = f"the fast encoder is not installed ({error})"
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a Rust panic is no Exception
            self.fallback = f"the fast encoder does not load this tokenizer ({error})"
        else:
            self.fallback = None if agrees else "the fast encoder gives other ids on adversarial text"

    def encode(self, column: pa.LargeStringArray, verify: NDArray[np.bool_] | None = None) -> Encoded:
        """The ids of a column; the documents that `verify` selects are also encoded by the reference, and compared.

        Raises: EncodersDiffer when the ids differ or the fast path fails, and at every later call.
        """
        if self.fallback is not None or self._fast is None:
            return self.reference.encode(column)
        if self._difference is None:
            try:
                encoded = self._fast.encode(column)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # a Rust panic is no Exception
                self._difference = f"the fast encoder failed ({error})"
            else:
                self._difference = None if verify is None else self._compare(encoded, column, verify)
        if self._difference is not None:
            raise EncodersDiffer(self._difference)
        return encoded

    def _compare(self, encoded: Encoded, column: pa.LargeStringArray, verify: NDArray[np.bool_]) -> str | None:
        if not verify.any():
            return None
        right = self.reference.encode(column.filter(pa.array(verify)))
        same = _equal(_take(encoded, np.flatnonzero(verify)), right)
        return None if same else "the fast encoder gives other ids on a document of the corpus"


def _take(encoded: Encoded, rows: NDArray[np.int64]) -> Encoded:
    parts = [encoded.document(int(row)) for row in rows]
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return Encoded(np.concatenate(parts), offsets)


def _equal(one: Encoded, other: Encoded) -> bool:
    return np.array_equal(one.offsets, other.offsets) and np.array_equal(one.ids, other.ids)


def unsupported_reason(tokenizer: dict[str, Any]) -> str | None:
    """Why a parsed tokenizer.json may not take the fast path, or None. Only what was proven equal is let through."""
    kind = tokenizer["model"].get("type")
    if kind not in FAST_ENCODERS:
        return f"there is no fast encoder for {kind}"
    for setting in ("truncation", "padding"):
        if tokenizer.get(setting):
            return f"the fast encoder does not honour {setting}"
    for token in tokenizer["added_tokens"]:
        if token["single_word"] or token["normalized"]:
            return f"the fast encoder does not honour the flags of the added token {token['content']!r}"
    return _byte_pair_refusal(tokenizer) if kind == "BPE" else _word_piece_refusal(tokenizer)


def _word_piece_refusal(tokenizer: dict[str, Any]) -> str | None:
    """As BERT has it, but for case and accents, and for long words that are cut."""
    normalizer, split = tokenizer["normalizer"] or {}, tokenizer["pre_tokenizer"] or {}
    cuts = normalizer.get("clean_text") and normalizer.get("handle_chinese_chars")
    splits = split.get("type") == BERT_SPLIT or long_runs.limit_of(BERT_SPLIT, split) is not None
    if normalizer.get("type") != "BertNormalizer" or not splits or not cuts:
        return "the fast encoder is for WordPiece over BERT's normalizer and split"
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    return None if special - {tokenizer["model"].get("unk_token")} else "the fast encoder needs a special token"


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
