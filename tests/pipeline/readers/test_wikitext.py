"""Wikitext: what stays, what goes, what is left open, and that no input takes more than linear time."""

from __future__ import annotations

import time

import pytest

from pipeline.readers.wiki_variants import choose_variant
from pipeline.readers.wikitext import WikiText

CASES = {
    "[[target]] and [[target|label]]": "target and label",
    "a[[File:A.jpg|thumb|caption with [[a link]]]]b[[分类:地理]][[Category:X|y]]": "ab",
    "[[:Category:X]] [[de:Titel]]": "Category:X",
    "{{Infobox\n|a = {{b|c}}\n|d = [[e]]\n}}正文{{stub}}": "正文",
    "{{lang|ja|東京}} {{nowrap|5 km}} {{convert|5|km|mi}} {{link-en|某人|Someone}}": "東京 5 km 5 km 某人",
    "1990{{ndash}}2000": "1990–2000",
    '{| class="wikitable"\n! head\n|-\n| cell {{x}}\n|}\nafter': "after",
    "{{a|\n|b}}\n{{c||}}after": "after",
    "fact<ref>source [[a]]</ref> and<ref name=x/> more<!-- hidden -->.": "fact and more.",
    "'''bold''' ''italic'' it's": "bold italic it's",
    "[https://example.org label] [https://example.org] https://example.org": "label https://example.org",
    "<nowiki>[[not a link]]</nowiki> <math>x_{1}</math> &amp; &nbsp;y": "[[not a link]] x_{1} & y",
    "line<br/>break <b>bold</b> <span style='x'>span</span>": "line\nbreak bold span",
    "* one\n** two\n# three\n: four": "one\ntwo\nthree\nfour",
    "== Empty ==\n\n== Full ==\ntext\n=== Deep ===\nmore\n== Last ==\n": "Full\ntext\n\nDeep\nmore",
    "Berlin ({{IPA|x}}; ) is （，）城": "Berlin is 城",
    "{{unclosed\ntext [[link|shown]] and": "{{unclosed\ntext shown and",
    "text }} and ]] and }-": "text }} and ]] and }-",
    "[[a|b {{c}} d": "[[a|b  d".replace("  ", " "),
    "a-{{b}}c __TOC__": "a-c",
    "&#99999999999999999999;x": "x",
}


@pytest.mark.parametrize("text", CASES)
def test_markup_becomes_plain_text(text: str) -> None:
    assert WikiText().convert(text) == CASES[text]


@pytest.mark.parametrize(
    ("content", "hans", "hant", "first"),
    [
        ("zh-hans:北京; zh-hant:臺北", "北京", "臺北", "北京"),
        ("zh-tw:軟體;zh-cn:软件;", "软件", "軟體", "軟體"),
        ("A|zh-hans:a;zh-hant:b", "a", "b", "a"),
        ("H|zh-cn:a;zh-tw:b", "", "", ""),
        ("T|title", "", "", ""),
        ("软件", "软件", "软件", "软件"),
        ("R|zh-cn:as it is", "zh-cn:as it is", "zh-cn:as it is", "zh-cn:as it is"),
        ("x=>zh-cn:a;y=>zh-tw:b", "a", "b", "a"),
        ("zh-hans;zh-cn|only simplified", "only simplified", "", "only simplified"),
        ("zh-hk:港", "港", "港", "港"),
        ("", "", "", ""),
    ],
)
def test_one_variant_is_chosen(content: str, hans: str, hant: str, first: str) -> None:
    assert [choose_variant(content, variant) for variant in ("zh-hans", "zh-hant", "first")] == [hans, hant, first]


HOSTILE = {
    "open braces": "{{", "open links": "[[", "open variants": "-{", "closed": "}}", "templates": "{{a}}",
    "references": "<ref>", "formulas": "<math>x", "comments": "<!--", "urls": "[http://a ", "brackets": "(",
    "headings": "= ", "quotes": "'", "entities": "&#9", "tags": "<a", "tables": "{|\n", "rows": "\n|}",
    "nested": "[[a|{{b|-{", "spaces": " ", "lists": "\n:",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear_in_the_size_of_a_page(name: str) -> None:
    seconds = []
    for size in (100_000, 800_000):
        text = HOSTILE[name] * (size // len(HOSTILE[name]))
        start = time.process_time()
        WikiText().convert(text)
        seconds.append(time.process_time() - start)
    assert seconds[1] < 8 * 4 * max(seconds[0], 0.02), seconds  # 8 times the text; a square would be 64 times
