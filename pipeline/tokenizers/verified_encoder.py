"""`VerifiedEncoder`: the fastest encoder that gives exactly the ids of the reference, and the checks that prove it.

Byte-level BPE is encoded by gigatoken, BERT's WordPiece by a cache of pieces; the kind `word` has an encoder of its
own. There are three checks: an allow-list of settings in tokenizer.json (gigatoken silently ignores some), adversarial
texts when the encoder is loaded, and the documents of the corpus that `verification_sample` selects. A tokenizer that
fails a check when it is loaded is encoded by the reference, and `fallback` is the reason. A difference that appears
later raises `EncodersDiffer`: the ids of two encoders must never mix, so the caller starts again with the reference.
Cost: 0.2 s to load, 2 to 7 % of the encoding time.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.tokenizers import adversarial, long_runs
from pipeline.tokenizers.base import Encoded, Encoder
from pipeline.tokenizers.reference_encoder import ReferenceEncoder
from pipeline.tokenizers.tokenizer_json import TokenizerJson

BERT_SPLIT = "BertPreTokenizer"
# settings of `model` that gigatoken ignores, or with which it was not compared
UNSUPPORTED = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback")

EncoderFactory = Callable[[str], Encoder]


class EncodersDiffer(Exception):
    """The fast encoder failed, or gave other ids than the reference. All that it encoded must be encoded again."""


def _gigatoken(json_text: str) -> Encoder:
    from pipeline.tokenizers.gigatoken_encoder import GigatokenEncoder  # imports awkward: a quarter of a second

    return GigatokenEncoder(json_text)


def _cached_wordpiece(json_text: str) -> Encoder:
    from pipeline.tokenizers.cached_wordpiece import CachedWordPiece  # compiles kernels

    return CachedWordPiece(json_text)


# by the type of the model: the name of its fast encoder in messages, and the function that creates it
FAST_ENCODERS: dict[str, tuple[str, EncoderFactory]] = {
    "BPE": ("gigatoken", _gigatoken),
    "WordPiece": ("cache of pieces", _cached_wordpiece),
}


class VerifiedEncoder(Encoder):
    """Encodes with the fast encoder, and compares it with the reference on the documents that the caller selects.

    `fallback` is the reason why the reference encodes every document; None where the fast encoder is used.
    """

    def __init__(self, json_text: str, *, create_fast: EncoderFactory | None = None) -> None:
        """`create_fast` replaces the fast encoder of the tokenizer's type, for tests."""
        self.reference = ReferenceEncoder(json_text)
        # the reference for words uses our own kernels: there is no faster encoder to compare it with
        self.is_native = self.reference.sentence is not None
        tokenizer = json.loads(json_text)
        model_type = tokenizer["model"]["type"]
        self.fallback: str | None = None if self.is_native else unsupported_reason(tokenizer)
        self._difference: str | None = None
        self._fast: Encoder | None = None
        if self.fallback is None and not self.is_native:
            self._load(json_text, create_fast or FAST_ENCODERS[model_type][1])
        self._fast_name = "words" if self.is_native else FAST_ENCODERS.get(model_type, ("",))[0]

    @property
    def name(self) -> str:
        """The name of the encoder in use, or the reason why it is the reference."""
        return self.fallback or self._fast_name

    def _load(self, json_text: str, create_fast: EncoderFactory) -> None:
        specials = [token["content"] for token in json.loads(json_text)["added_tokens"]]
        texts = pa.array(adversarial.texts(specials), pa.large_string())
        try:
            self._fast = create_fast(json_text)
            agrees = _equal(self._fast.encode(texts), self.reference.encode(texts))
        except ImportError as error:
            self.fallback = f"the fast encoder is not installed ({error})"
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a Rust panic is not an Exception
            self.fallback = f"the fast encoder does not load this tokenizer ({error})"
        else:
            self.fallback = None if agrees else "the fast encoder gives other ids on adversarial text"

    def encode(self, column: pa.LargeStringArray, verify: NDArray[np.bool_] | None = None) -> Encoded:
        """Encode a column; the documents that `verify` selects are also encoded by the reference and compared.

        Raises: EncodersDiffer when the ids differ or the fast encoder fails, and at every later call.
        """
        if self.fallback is not None or self._fast is None:
            return self.reference.encode(column)
        if self._difference is None:
            try:
                encoded = self._fast.encode(column)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # a Rust panic is not an Exception
                self._difference = f"the fast encoder failed ({error})"
            else:
                self._difference = None if verify is None else self._compare(encoded, column, verify)
        if self._difference is not None:
            raise EncodersDiffer(self._difference)
        return encoded

    def _compare(self, encoded: Encoded, column: pa.LargeStringArray, verify: NDArray[np.bool_]) -> str | None:
        """The difference from the reference in a sentence, or None."""
        if not verify.any():
            return None
        expected = self.reference.encode(column.filter(pa.array(verify)))
        agrees = _equal(_take(encoded, np.flatnonzero(verify)), expected)
        return None if agrees else "the fast encoder gives other ids on a document of the corpus"


def _take(encoded: Encoded, rows: NDArray[np.int64]) -> Encoded:
    parts = [encoded.document(int(row)) for row in rows]
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return Encoded(np.concatenate(parts), offsets)


def _equal(left: Encoded, right: Encoded) -> bool:
    return np.array_equal(left.offsets, right.offsets) and np.array_equal(left.ids, right.ids)


def unsupported_reason(tokenizer: TokenizerJson) -> str | None:
    """The reason why a tokenizer.json must not use a fast encoder, or None. Only settings proven equal are accepted."""
    model_type = tokenizer["model"].get("type")
    if model_type not in FAST_ENCODERS:
        return f"there is no fast encoder for {model_type}"
    for setting in ("truncation", "padding"):
        if tokenizer.get(setting):
            return f"the fast encoder does not support {setting}"
    for token in tokenizer["added_tokens"]:
        if token["single_word"] or token["normalized"]:
            return f"the fast encoder does not support the flags of the added token {token['content']!r}"
    return _bpe_unsupported(tokenizer) if model_type == "BPE" else _wordpiece_unsupported(tokenizer)


def _wordpiece_unsupported(tokenizer: TokenizerJson) -> str | None:
    """Everything but the setting of BERT is unsupported; case, accents and the split of long words are free."""
    normalizer = tokenizer["normalizer"] or {}
    split = tokenizer["pre_tokenizer"] or {}
    is_bert_normalizer = normalizer.get("type") == "BertNormalizer" and bool(
        normalizer.get("clean_text") and normalizer.get("handle_chinese_chars")
    )
    is_bert_split = split.get("type") == BERT_SPLIT or long_runs.limit_of(BERT_SPLIT, split) is not None
    if not is_bert_normalizer or not is_bert_split:
        return "the fast encoder supports WordPiece only with the normalizer and the split of BERT"
    specials = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    return None if specials - {tokenizer["model"].get("unk_token")} else "the fast encoder needs a special token"


def _bpe_unsupported(tokenizer: TokenizerJson) -> str | None:
    for setting in UNSUPPORTED:
        if tokenizer["model"].get(setting):
            return f"the fast encoder does not support model.{setting}"
    normalizer = tokenizer["normalizer"]
    if normalizer is not None and normalizer != {"type": "NFC"}:
        return f"the fast encoder does not support the normalizer {normalizer.get('type')}"
    if not _is_supported_split(tokenizer["pre_tokenizer"]):
        return "the fast encoder does not support this pre_tokenizer"
    return None


def _is_supported_split(split: TokenizerJson | None) -> bool:
    """ByteLevel with its own expression, or one isolated regular expression followed by ByteLevel without its own."""
    if split is None:
        return False
    if split["type"] == "ByteLevel":
        return bool(split["use_regex"])
    if split["type"] != "Sequence" or len(split["pretokenizers"]) != 2:
        return False
    first, second = split["pretokenizers"]
    is_isolated = first["type"] == "Split" and first["behavior"] == "Isolated" and not first["invert"]
    is_plain = second["type"] == "ByteLevel" and not second["use_regex"] and not second["add_prefix_space"]
    return is_isolated and is_plain and "Regex" in first["pattern"]
