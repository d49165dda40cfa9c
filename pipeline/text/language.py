"""Language tags: their canonical spelling, their fallbacks from specific to general, and detection by script.

Tags are short BCP 47 tags: zh, zh-Hant, en, und-Latn. There is no default language. A script that several languages
share (Latin, Cyrillic …) gives a tag like "und-Latn", and a text without letters gives None.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.text.scripts import NUMBER, SCRIPTS, UNKNOWN, UNSPACED

# other names in use, such as three-letter codes, for languages with rules or word lists of their own
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
# Japanese prose has kana between its Han characters (at least a fifth); Chinese text has a Japanese name at most
KANA_SHARE = 0.1
# a Han character carries about as much as a short word; otherwise Latin letters would outweigh it in text with code
UNSPACED_WEIGHT = 3


def canonical(tag: str | None) -> str | None:
    """The canonical spelling of a language tag: "ENG" → "en", "zh_TW" → "zh-Hant", "" → None."""
    parts = (tag or "").strip().replace("_", "-").split("-")
    primary = _ALIASES.get(parts[0].lower(), parts[0].lower())
    if not primary:
        return None
    joined = "-".join([primary, *parts[1:]])
    if joined.lower() in _TRADITIONAL:
        return _TRADITIONAL[joined.lower()]
    script = next((part.title() for part in parts[1:] if len(part) == 4), None)
    return primary if script is None else f"{primary}-{script}"


def fallbacks(language: str | None) -> list[str]:
    """The tags to look up a list or threshold by, from specific to general: "zh-Hant" → ["zh-Hant", "zh"]."""
    tag = canonical(language)
    if tag is None:
        return []
    return [tag] if "-" not in tag else [tag, tag.split("-")[0]]


def count_scripts(texts: Sequence[str], scripts: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The numbers of code points by script, [documents, scripts]; `scripts` maps a code point to its script.

    For a few texts: `pipeline.kernels.scripts` is faster from some 30 MB on, but takes half a CPU-second to load.
    """
    counts = np.zeros((len(texts), len(SCRIPTS)), np.int64)
    for row, text in enumerate(texts):
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        counts[row] = np.bincount(scripts[points], minlength=len(SCRIPTS))
    return counts


def detect_by_script(counts: npt.NDArray[np.int64]) -> list[str | None]:
    """The language of each document, from the numbers of its letters by script, [documents, scripts]."""
    weighted = counts.copy()
    weighted[:, UNKNOWN] = 0
    weighted[:, [NUMBER[code] for code in _BY_SCRIPT]] *= UNSPACED_WEIGHT
    han, kana, bopomofo = NUMBER["Hani"], NUMBER["Kana"], NUMBER["Bopo"]
    weighted[:, han] += weighted[:, kana] + weighted[:, bopomofo]
    japanese = weighted[:, kana] > KANA_SHARE * weighted[:, han]
    weighted[:, [kana, bopomofo]] = 0
    best = weighted.argmax(axis=1)
    best[japanese & (best == han)] = kana
    language_of_script = [_BY_SCRIPT.get(code, f"und-{code}") for code in SCRIPTS]
    has_letters = weighted.sum(axis=1) > 0
    return [
        language_of_script[script] if any_letter else None
        for script, any_letter in zip(best.tolist(), has_letters.tolist(), strict=True)
    ]


def is_counted_by_character(tag: str | None) -> bool | None:
    """Whether the length of text in a language is counted in characters (zh, ja, ko, th …); None without a language."""
    language = canonical(tag)
    if language is None:
        return None
    primary, _, script = language.partition("-")
    return primary in _BY_CHARACTER or (primary == "und" and script in UNSPACED)
