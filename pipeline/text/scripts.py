"""Scripts (ISO 15924 codes) as the tables number them, and which of them are written without spaces."""

from __future__ import annotations

UNKNOWN = 0  # common, inherited, and scripts that no entry names

# code → how Unicode begins the names of its letters; the order is the number in the table: append only
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

# written without spaces between words: every character is a unit. Hangul has spaces, and is counted by syllable like
# the others of East Asia: a syllable carries about as much as a Han character.
UNSPACED: tuple[str, ...] = ("Hani", "Kana", "Hang", "Bopo", "Thai", "Laoo", "Khmr", "Mymr")
