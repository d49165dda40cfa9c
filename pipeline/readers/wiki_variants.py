"""Text in several variants of a language: `-{zh-hans:北京; zh-hant:臺北}-`, as wikis of Chinese and Serbian write it.

One variant is taken: the one that is asked for, else the nearest that is there, else the first. Flags as MediaWiki has
them: `A|` shows and defines, `H|`, `T|`, `-|` show nothing, `R|` shows its text as it is, a list of variants before the
bar shows the text to them alone.
"""

from __future__ import annotations

import re

RULE = re.compile(r"(?:^|;)\s{0,20}(?:[^;:=]{0,200}=>\s{0,20})?(zh|[a-z]{2,3}-[a-z]{2,5})\s{0,20}:", re.IGNORECASE)
FLAGS = re.compile(r"[A-Za-z;+\- ]{0,100}")
SILENT = frozenset("HT-DN")
NEAREST = {
    "zh-hans": ("zh-hans", "zh-cn", "zh-sg", "zh-my", "zh"),
    "zh-cn": ("zh-cn", "zh-hans", "zh-sg", "zh-my", "zh"),
    "zh-sg": ("zh-sg", "zh-my", "zh-hans", "zh-cn", "zh"),
    "zh-hant": ("zh-hant", "zh-tw", "zh-hk", "zh-mo", "zh"),
    "zh-tw": ("zh-tw", "zh-hant", "zh-hk", "zh-mo", "zh"),
    "zh-hk": ("zh-hk", "zh-mo", "zh-hant", "zh-tw", "zh"),
    "zh-mo": ("zh-mo", "zh-hk", "zh-hant", "zh-tw", "zh"),
}


def choose_variant(content: str, variant: str) -> str:
    """The text of one variant of what stands between `-{` and `}-`."""
    flags, bar, rules = content.partition("|")
    if not bar or not FLAGS.fullmatch(flags):
        flags, rules = "", content
    names = {flag.strip() for flag in flags.split(";")} - {""}
    if names and all(name.startswith("zh-") for name in names):
        return rules.strip() if variant == "first" or names & set(NEAREST[variant]) else ""
    if names & SILENT and "A" not in names:
        return ""
    matches = list(RULE.finditer(rules))
    if "R" in names or not matches:
        return rules.strip()
    ends = [match.start() for match in matches[1:]] + [len(rules)]
    texts = [
        (match[1].lower(), rules[match.end() : end].strip(" ;\n")) for match, end in zip(matches, ends, strict=True)
    ]
    by_name = dict(reversed(texts))
    return next((by_name[name] for name in NEAREST.get(variant, ()) if name in by_name), texts[0][1])
