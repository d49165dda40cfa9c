"""Repairs text that was decoded with the wrong encoding: UTF-8 read as Latin-1 or Windows-1252, GB18030 as Latin-1.

- Only documents that hold a pair of characters which such a mistake makes (Ã©, â€, è®) go to ftfy, and of ftfy only its
  repair of encodings: its other repairs change normal Chinese text.
- GB18030 read as Latin-1 is repaired where most characters that are not ASCII lie in U+0080 to U+00FF, the text
  decodes without an error, and the result is mostly Han characters and their punctuation.
- UTF-8 read as GBK (锟斤拷, 鐨勬) cannot be repaired; the filter `encoding` drops it.

Name it before `unicode`, which replaces the controls U+0080 to U+009F. Idempotent. The search is a regular expression
of Polars; a repair costs Python for each suspect.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cleaners.base import Cleaner
from pipeline.cleaners.section import Mojibake as Options

LEADS = "\u00c2-\u00f4"  # what the first byte of two to four becomes
FOLLOWERS = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
SUSPECT = f"[{LEADS}][{FOLLOWERS}]|[\u0081-\u00fe]{{4}}"
LATIN = re.compile("[\u0080-\u00ff]")
OTHER = re.compile("[^\x00-\u00ff]")
CHINESE = re.compile("[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
LEAST_CHINESE, LEAST_LATIN, LEAST_PAIRS = 0.8, 0.9, 4


class Mojibake(Cleaner):
    """Applies the repairs in the docstring of this file."""

    Options = Options

    def clean(self, text: pa.Array) -> pa.Array:
        import polars as pl

        suspects = pl.Series(text).str.contains(SUSPECT).fill_null(False).to_arrow()
        if not pc.any(suspects).as_py():
            return text
        repaired = [repair(item) for item in text.filter(suspects).to_pylist()]
        return pc.replace_with_mask(text, suspects, pa.array(repaired, pa.large_string()))


def repair(text: str) -> str:
    """The text with its encoding repaired, or the text itself."""
    from ftfy import fix_encoding

    chinese = _from_gb18030(text)
    return fix_encoding(text) if chinese is None else chinese


def _from_gb18030(text: str) -> str | None:
    """The text decoded as GB18030 if it was read as Latin-1, else None."""
    latin, beyond = len(LATIN.findall(text)), len(OTHER.findall(text))
    if latin < 2 * LEAST_PAIRS or latin < LEAST_LATIN * (latin + beyond):
        return None
    try:
        decoded = text.encode("latin-1").decode("gb18030")
    except UnicodeError:
        return None
    unusual = [character for character in decoded if character > "\x7f"]
    return decoded if len(CHINESE.findall(decoded)) >= LEAST_CHINESE * len(unusual) else None
