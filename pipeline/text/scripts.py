"""Scripts (ISO 15924 codes) with their numbers in the tables, and the scripts that are written without spaces."""

from __future__ import annotations

UNKNOWN = 0  # common, inherited, and scripts without an entry here

# code → the beginnings of the Unicode names of its letters. The order gives the numbers in the tables: append only
NAMES: dict[str, tuple[str, ...]] = {
    "Zyyy": (),
    "Latn": ("LATIN", "FULLWIDTH LATIN"),
    "Hani": ("CJK", "IDEOGRAPHIC", "KANGXI"),
    "Kana": ("HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA"),
    "Hang": ("HANGUL", "HALFWIDTH HANGUL"),
    "Cyrl": ("CYRILLIC",),
    "Grek": ("GREEK",),
    "Arab": ("ARABIC",),
    "Hebr": ("HEBREW",),
    "Deva": ("DEVANAGARI",),
    "Beng": ("BENGALI",),
    "Guru": ("GURMUKHI",),
    "Gujr": ("GUJARATI",),
    "Orya": ("ORIYA",),
    "Taml": ("TAMIL",),
    "Telu": ("TELUGU",),
    "Knda": ("KANNADA",),
    "Mlym": ("MALAYALAM",),
    "Sinh": ("SINHALA",),
    "Thai": ("THAI",),
    "Laoo": ("LAO",),
    "Khmr": ("KHMER",),
    "Mymr": ("MYANMAR",),
    "Tibt": ("TIBETAN",),
    "Mong": ("MONGOLIAN",),
    "Geor": ("GEORGIAN",),
    "Armn": ("ARMENIAN",),
    "Ethi": ("ETHIOPIC",),
    "Bopo": ("BOPOMOFO",),
    "Yiii": ("YI",),
    "Syrc": ("SYRIAC",),
    "Thaa": ("THAANA",),
    "Nkoo": ("NKO",),
    "Cher": ("CHEROKEE",),
    "Cans": ("CANADIAN",),
    "Tfng": ("TIFINAGH",),
    "Java": ("JAVANESE",),
    "Bali": ("BALINESE",),
}

SCRIPTS: tuple[str, ...] = tuple(NAMES)
NUMBER: dict[str, int] = {code: number for number, code in enumerate(SCRIPTS)}

# written without spaces between words: every character is a unit. Hangul has spaces but is counted by syllable too,
# because a syllable carries about as much as a Han character.
UNSPACED: tuple[str, ...] = ("Hani", "Kana", "Hang", "Bopo", "Thai", "Laoo", "Khmr", "Mymr")
