"""The first step of language identification: languages that the script of a text settles, without a model.

Han, kana and Hangul settle Chinese (simplified, traditional, Cantonese), Japanese and Korean; scripts of a single
language settle that. Latin, Cyrillic, Arabic, Devanagari … are left to the model (`language_model`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.text.han_variants import CANTONESE, HAN, SIMPLIFIED, TRADITIONAL
from pipeline.text.language import KANA_SHARE, UNSPACED_WEIGHT
from pipeline.text.scripts import NUMBER, SCRIPTS, UNKNOWN

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# scripts in which one language is written, but for languages with hardly any text
_SETTLED = {
    "Hani": "zh", "Bopo": "zh", "Kana": "ja", "Hang": "ko", "Grek": "el", "Thai": "th", "Geor": "ka", "Armn": "hy",
    "Khmr": "km", "Laoo": "lo", "Gujr": "gu", "Guru": "pa", "Taml": "ta", "Telu": "te", "Knda": "kn", "Mlym": "ml",
    "Sinh": "si", "Orya": "or", "Thaa": "dv", "Cher": "chr", "Nkoo": "nqo", "Yiii": "ii", "Java": "jv", "Bali": "ban",
}  # fmt: skip
CANTONESE_SHARE = 0.02  # of the Han characters; of fewer than two markers, more
LONE_MARKER_SHARE = 0.05
_UNSPACED = [NUMBER[code] for code in ("Kana", "Bopo", "Hang")]


class ScriptStep(NamedTuple):
    """For each document: the script of most letters, the language that it settles (else None), the share of the
    letters in that script, and in the script that is second. A character of Han, kana or Hangul weighs three letters.
    Kana count as Han unless the text is Japanese, so Japanese has one script here. Without letters: script "", 0, 0."""

    scripts: list[str]
    languages: list[str | None]
    share: Floats
    second: Floats


def script_step(counts: Ints) -> ScriptStep:
    """`counts`: the numbers of letters by class of `han_variants.letter_classes`, [documents, CLASSES]."""
    han = counts[:, HAN].sum(axis=1)
    weighted = counts[:, : len(SCRIPTS)].astype(np.float64)
    weighted[:, UNKNOWN] = 0
    weighted[:, _UNSPACED] *= UNSPACED_WEIGHT
    chinese, kana, bopomofo = NUMBER["Hani"], NUMBER["Kana"], NUMBER["Bopo"]
    weighted[:, chinese] = UNSPACED_WEIGHT * han + weighted[:, kana] + weighted[:, bopomofo]
    japanese = weighted[:, kana] > KANA_SHARE * weighted[:, chinese]
    weighted[:, [kana, bopomofo]] = 0
    total = weighted.sum(axis=1)
    shares = np.divide(weighted, total[:, None], out=np.zeros_like(weighted), where=total[:, None] > 0)
    best = shares.argmax(axis=1)
    rows = np.arange(len(counts))
    share = shares[rows, best]
    shares[rows, best] = 0
    names = np.where(japanese & (best == chinese), kana, best)
    scripts = [SCRIPTS[number] if any_letter else "" for number, any_letter in zip(names, total > 0, strict=True)]
    variants = _variants(counts, han)
    languages = [
        variant if code == "Hani" else _SETTLED.get(code) for code, variant in zip(scripts, variants, strict=True)
    ]
    return ScriptStep(scripts, languages, share, shares.max(axis=1, initial=0))


def _variants(counts: Ints, han: Ints) -> list[str]:
    """zh (simplified, or no character that says), zh-Hant or yue, if a document is Chinese."""
    markers = counts[:, CANTONESE]
    cantonese = ((markers > CANTONESE_SHARE * han) & (markers > 1)) | (markers > LONE_MARKER_SHARE * han)
    traditional = counts[:, TRADITIONAL] > counts[:, SIMPLIFIED]
    variants: list[str] = np.where(cantonese, "yue", np.where(traditional, "zh-Hant", "zh")).tolist()
    return variants
