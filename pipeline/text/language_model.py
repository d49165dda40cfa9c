"""The model of language identification: CLD2, which ships in the package pycld2. No other module imports it.

`identify_pieces` sees at most SAMPLE_BYTES of a text, in pieces from its beginning to its end, so that its cost is
bounded and a second language is seen wherever it stands. The library releases the GIL and keeps no state: the same
answer in any order and thread. Chosen by measurement (tests/benchmarks/bench_language.py prints it).
"""

from __future__ import annotations

import importlib
import re
from functools import cache
from typing import NamedTuple, Protocol, cast

from pipeline.core.errors import UserError

SAMPLE_BYTES = 1536
PIECES = 4
INSTALL = "Install it with: pip install pycld2==0.42"
IDENTITY = "pycld2 0.42, script step 1"  # part of the fingerprint of what is identified with it

# the library refuses a text with any of these: C0 and C1 controls, and noncharacters
_NONCHARACTERS = "".join(chr(plane << 16 | low) for plane in range(1, 17) for low in (0xFFFE, 0xFFFF))
_REFUSED = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff{_NONCHARACTERS}]")
# its own codes, where they are not the tag in use today; None: no language that anybody writes
_TAGS: dict[str, str | None] = {
    "un": None, "iw": "he", "jw": "jv", "tl": "fil", "zzp": None, "tlh": None, "xx-Bugi": "bug", "xx-Goth": "got",
}  # fmt: skip
# the model has one label for both: Central Kurdish is written in Arabic letters, Northern Kurdish in Latin ones
_BY_SCRIPT = {("ku", "Arab"): "ckb"}


class ModelAnswer(NamedTuple):
    """The language of most of a text (None: not known), its share of the text, whether the model finds its answer
    reliable, and the share of the language that is second."""

    language: str | None
    share: float
    reliable: bool
    second: float


_Details = tuple[tuple[str, str, int, float], ...]


class _Library(Protocol):
    """What this module uses of pycld2."""

    error: type[Exception]

    def detect(self, text: str, *, isPlainText: bool, bestEffort: bool) -> tuple[bool, int, _Details]: ...


def identify_text(text: bytes | memoryview, script: str = "") -> ModelAnswer:
    """The answer for a text in UTF-8, mostly in this script. It may be long: only its sample is looked at."""
    library = _library()
    sample = _sample(memoryview(text))
    try:
        reliable, _, details = library.detect(sample, isPlainText=True, bestEffort=True)
    except library.error:  # rare in cleaned text, and looking for the characters first would take as long as the model
        reliable, _, details = library.detect(_REFUSED.sub(" ", sample), isPlainText=True, bestEffort=True)
    shares: dict[str, float] = {}
    for _, code, percent, _ in details:
        tag = _BY_SCRIPT.get((code, script), _TAGS.get(code, code))
        if tag is not None and percent:
            shares[tag] = shares.get(tag, 0.0) + percent / 100
    if not shares:
        return ModelAnswer(None, 0.0, reliable, 0.0)
    language = max(shares, key=lambda tag: shares[tag])
    second = max((share for tag, share in shares.items() if tag != language), default=0.0)
    return ModelAnswer(language, shares[language], reliable, second)


def _sample(text: memoryview) -> str:
    """The text, or pieces at equal distances. A character that the cut divides is left out."""
    if len(text) <= SAMPLE_BYTES:
        return bytes(text).decode("utf-8", "ignore")
    size = SAMPLE_BYTES // PIECES
    starts = [piece * (len(text) - size) // (PIECES - 1) for piece in range(PIECES)]
    return "\n".join(bytes(text[start : start + size]).decode("utf-8", "ignore") for start in starts)


@cache
def _library() -> _Library:
    try:
        return cast(_Library, importlib.import_module("pycld2"))
    except ImportError:
        raise UserError(f"Language identification needs pycld2, which is not installed. {INSTALL}") from None
