"""Texts on which tokenizers differ: a fast encoder is used only if it gives the ids of the reference on all of them.

Each family tests for a mistake of some library: white space beyond ASCII, runs of blanks, combining marks, apostrophes,
characters newer than a library's Unicode, text that spells a special token. 170 kB, encoded in 50 ms.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator, Sequence

# written as numbers because they are invisible
SPACES = "".join(map(chr, [9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 0x85, 0xA0, 0x1680, 0x2003, 0x2028, 0x2029, 0x202F]))
INVISIBLE = "".join(map(chr, [0, 7, 0x7F, 0xAD, 0x200B, 0x200D, 0x200E, 0x202E, 0x205F, 0x3000, 0xFE0F, 0xFEFF]))

PLAIN = (
    "", " ", "   ", "\n", "\n\n\n", "\r\n\r\r\n", "\t\t \t", " a", "a ", "  hello   world  ", "\n  in\n\n \n\tcode\n",
    "I'm you're HE'S they'LL don'T we'VE 'tis ''s '' 's's ’s can’t I'D'd'm'M x'ſ 'K 'lL o'clock'",
    "...!!!???---___***///\\\\\"\"''``~~ !!a!!\n!!\r\n  ...\n\n  ...x ,.;:", "a_b __init__ snake_case camelCase $x",
    "中文English混排123测试，test测试。中 文 １２３ 一二三abc", "，。；：！？「」『』（）《》—…… 一。二、三",
    "日本語のテキストとカタカナ、漢字かな交じり文。", "한국어 텍스트와 조선말, 한글 자모 ㄱㄴㄷ",
    "𠀀𠀁𪚥 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 😀👍🏽👨‍👩‍👧‍👦🏳️‍🌈🇨🇳🇺🇸❤️",
    "हिन्दी देवनागरी ภาษาไทย தமிழ் ქართული ελληνικά Кириллица አማርኛ བོད་སྐད", "שלום עולם مرحبا بالعالم ١٢٣ ۱۲۳۴",
    "①② ﬁﬂ Ａｂｃ ㎏ ½ ¼ ² ³ ª º ⅷ Ⅷ ﷺ ㍿ ℌ ǅ ǈ ß ẞ İ ı ſ K",
    "1234567890 3.14159 1,000,000 0x1F 1e-10 2026年11月 ２０２６ 1a2b3c",
    "ĠhelloĊ Ġ Â ÃĀāĂ ġ ▁hello ▁▁", "<|endoftext|>", "a<|endoftext|>b <|endoftext|><|endoftext|>  <|endoftext|> ",
    "<|endoftext <|end oftext|> <|ENDOFTEXT|> <|endoftext|", "<s> </s> <unk> <pad> [CLS] [SEP] [MASK] <0x41>",
)  # fmt: skip

PIECES = tuple(SPACES) + tuple(INVISIBLE) + (
    "  ", "\r\n", "a", "B", "ß", "é", "e\u0301", "\u0301", "中", "国", "的", "が", "ー", "한", "𠀀", "1", "23", "4567",
    "١", "²", "½", "Ⅷ", ".", ",", "!", "'", "'s", "'LL", "’", "-", "_", "/", "<", "|", ">", "😀", "👍🏽",
    "क", "ा", "א", "ع", "ǅ", "ª", "ſ", "K", "İ", "ﬁ", "▁", "Ġ", "\U0010ffff",
)  # fmt: skip


def texts(special: Sequence[str] = ()) -> list[str]:
    """The texts of every family, always the same; `special` are added tokens to insert into the texts."""
    return [*PLAIN, *_long_runs(), *_marks(), *_code_points(), *_mixtures(special)]


def _long_runs() -> Iterator[str]:
    for unit in ("a", "ab", " ", "\n", "中", "中国", "的", "=", "-", "0", "12", " a", "\u00a0", "z\u0301", "word "):
        yield unit * 300
    yield "supercalifragilisticexpialidocious" * 20


def _marks() -> Iterator[str]:
    sample = "Ångström café naïve ệ 한국어 が ガ Việt Nam Ünïcödé"
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        yield unicodedata.normalize(form, sample)
    yield "z" + "\u0301" * 200 + " \u0301x a\u0300\u0301\u0302"


def _code_points() -> Iterator[str]:
    """Code points of the whole range between letters, digits and blanks: libraries classify them differently."""
    code_points = [c for c in range(0x20, 0x110000, 61) if not 0xD800 <= c < 0xE000]
    for before, after in (("a", ""), (" ", ""), ("1", " "), (".", "\n"), ("'", "中")):
        yield "".join(f"{before}{chr(c)}{after}" for c in code_points[:: 5 if before != "a" else 2])


def _mixtures(special: Sequence[str]) -> Iterator[str]:
    rng = random.Random(20_261_124)
    pieces = (*PIECES, *special)
    for _ in range(1_000):
        yield "".join(rng.choices(pieces, k=rng.choice((1, 2, 3, 4, 6, 9, 15, 40))))
