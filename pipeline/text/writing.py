"""The script in which a language is written, for languages that are written in one: what a tag says of its text.

A language that has several (Serbian, Kazakh, Uzbek, Punjabi …) or is not listed contradicts no script.
"""

from __future__ import annotations

from pipeline.text.language import fallbacks

_LANGUAGES = {
    "Latn": "en fr de es it pt nl sv da no nb nn is fi et lv lt pl cs sk sl hr hu ro tr vi id ms fil sw af ca gl eu ga "
    "cy mt sq la eo yo ig zu xh so",
    "Cyrl": "ru uk be bg mk ky ba",
    "Arab": "ar fa ps",
    "Hebr": "he yi",
    "Deva": "hi mr ne",
    "Beng": "bn as",
    "Ethi": "am ti",
    "Mymr": "my",
    "Tibt": "bo dz",
    "Grek": "el",
    "Thai": "th",
    "Geor": "ka",
    "Armn": "hy",
    "Khmr": "km",
    "Laoo": "lo",
    "Gujr": "gu",
    "Taml": "ta",
    "Telu": "te",
    "Knda": "kn",
    "Mlym": "ml",
    "Sinh": "si",
    "Hani": "zh",
    "Hang": "ko",
    "Kana": "ja",
}
_SCRIPT = {tag: script for script, tags in _LANGUAGES.items() for tag in tags.split()}
_WITH_HAN = {"Kana", "Hang"}  # Japanese and Korean hold Han characters, a short text sometimes nothing else


def contradicts(tag: str | None, script: str) -> bool:
    """Whether a text whose letters are mostly of `script` is not in the language of the tag."""
    usual = next((_SCRIPT[name] for name in fallbacks(tag) if name in _SCRIPT), None)
    if usual is None or not script:
        return False
    return usual != script and not (script == "Hani" and usual in _WITH_HAN)
