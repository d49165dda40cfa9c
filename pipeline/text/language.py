"""Language tags: one spelling, a chain from the particular to the general, and a guess by script.

Tags are BCP 47 in our short form: zh, zh-Hant, en, und-Latn. No language is the default: where script cannot tell
(Latin, Cyrillic …) the guess says so ("und-Latn"), and without a single letter it is None.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.text.scripts import NUMBER, SCRIPTS, UNKNOWN, UNSPACED

# three-letter and other names in use for the languages that have rules or lists of their own
_ALIASES = {
    "zho": "zh", "chi": "zh", "cmn": "zh", "lzh": "zh", "yue": "zh", "chinese": "zh",
    "eng": "en", "english": "en", "jpn": "ja", "japanese": "ja", "kor": "ko", "korean": "ko",
    "fra": "fr", "fre": "fr", "deu": "de", "ger": "de", "spa": "es", "ita": "it", "por": "pt", "rus": "ru",
    "nld": "nl", "dut": "nl", "ara": "ar", "arb": "ar", "hin": "hi", "tha": "th", "vie": "vi", "ind": "id",
    "pol": "pl", "tur": "tr", "swe": "sv", "ukr": "uk", "heb": "he", "ell": "el", "gre": "el",
}  # fmt: skip
_BY_SCRIPT = {"Hani": "zh", "Bopo": "zh", "Kana": "ja", "Hang": "ko"}
_BY_CHARACTER = {"zh", "ja", "ko", "th", "lo", "km", "my"}
_TRADITIONAL = {"zh-tw": "zh-Hant", "zh-hk": "zh-Hant", "zh-mo": "zh-Hant"}
# a Japanese text has kana between its Han characters (a fifth at the least in prose); a Chinese one a name at most
KANA_SHARE = 0.1
# a Han character says about as much as a short word: in text with code and formulas letters alone would hide it
UNSPACED_WEIGHT = 3


def canonical(tag: str | None) -> str | None:
    """One spelling of a language tag: "ENG" → "en", "zh_TW" → "zh-Hant", "" → None."""
    parts = (tag or "").strip().replace("_", "-").split("-")
    primary = _ALIASES.get(parts[0].lower(), parts[0].lower())
    if not primary:
        return None
    joined = "-".join([primary, *parts[1:]])
    if joined.lower() in _TRADITIONAL:
        return _TRADITIONAL[joined.lower()]
    script = next((part.title() for part in parts[1:] if len(part) == 4), None)
    return primary if script is None else f"{primary}-{script}"


def chain(tag: str | None) -> list[str]:
    """From the particular to the general: "zh-Hant" → ["zh-Hant", "zh"]. Where a list or threshold is looked up."""
    found = canonical(tag)
    if found is None:
        return []
    return [found] if "-" not in found else [found, found.split("-")[0]]


def by_script(counts: npt.NDArray[np.int64]) -> list[str | None]:
    """The language that the letters of each document point to, from counts by script, [documents, scripts]."""
    weighted = counts.copy()
    weighted[:, UNKNOWN] = 0
    weighted[:, [NUMBER[code] for code in _BY_SCRIPT]] *= UNSPACED_WEIGHT
    han, kana, bopomofo = NUMBER["Hani"], NUMBER["Kana"], NUMBER["Bopo"]
    weighted[:, han] += weighted[:, kana] + weighted[:, bopomofo]
    japanese = weighted[:, kana] > KANA_SHARE * weighted[:, han]
    weighted[:, [kana, bopomofo]] = 0
    best = weighted.argmax(axis=1)
    best[japanese & (best == han)] = kana
    found = [_BY_SCRIPT.get(code, f"und-{code}") for code in SCRIPTS]
    some = weighted.sum(axis=1) > 0
    return [
        found[script] if any_letter else None for script, any_letter in zip(best.tolist(), some.tolist(), strict=True)
    ]


def by_character(tag: str | None) -> bool | None:
    """Whether texts of a language are counted by character (zh, ja, ko, th …) or by word; None if it says nothing."""
    found = canonical(tag)
    if found is None:
        return None
    primary, _, script = found.partition("-")
    return primary in _BY_CHARACTER or (primary == "und" and script in UNSPACED)
