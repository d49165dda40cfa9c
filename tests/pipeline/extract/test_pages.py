"""Pages: charsets, limits on markup, what is no page, and the message about a library that is missing."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.extract import EXTRACTORS, base
from pipeline.extract.charset import decode_page
from pipeline.extract.limits import exceeded_limit
from pipeline.extract.pages import Page, PageExtractor, Unsuitable, is_binary
from pipeline.extract.process import PageFailure
from pipeline.kernels.markup import ATTRIBUTES, DEPTH, ELEMENTS, RAW, SINGLE, TAG_BYTES, measure_markup
from tests.support.web_archives import SENTENCES, page

CHARSETS = {
    "gbk": "zh", "gb18030": "zh", "gb2312": "zh", "utf-8": "zh", "utf-16-le": "zh", "utf-16-be": "zh",
    "big5": "zh-Hant",
}  # fmt: skip


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("declared", ["header", "meta", "none", "wrong header", "unknown"])
def test_the_charset_comes_from_the_bytes_before_the_labels(charset: str, declared: str) -> None:
    html = page(CHARSETS[charset], meta=charset if declared == "meta" else "")
    header = {
        "header": f"text/html; charset={charset}", "wrong header": "text/html; charset=ISO-8859-1",
        "unknown": 'text/html; charset="no-such-charset"',
    }.get(declared, "text/html")  # fmt: skip
    text, _ = decode_page(html.encode(charset), header)
    assert text == html


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_decides(mark: str) -> None:
    html = page("zh", meta="gbk")
    assert decode_page(html.encode(mark), "text/html; charset=big5")[0] == html


LABELLED = {
    "shift_jis": "港を出た船は、朝の霧の中を島へ向かった。" * 5,
    "euc-kr": "배는 아침 안개 속에서 항구를 떠나 섬으로 향했다. " * 5,
    "cp1251": "Паром вышел из старой гавани в семь часов утра. " * 5,
}


@pytest.mark.parametrize("charset", LABELLED)
def test_labels_of_other_languages_are_believed_where_the_bytes_agree(charset: str) -> None:
    html = f"<html><head><meta charset={charset}></head><p>{LABELLED[charset]}"
    assert decode_page(html.encode(charset))[0] == html


def test_utf8_may_be_cut_within_a_character() -> None:
    data = page("zh").encode()
    cut = data[: data.rfind("。".encode()) + 2]
    text, codec = decode_page(cut)
    assert codec == "utf-8"
    assert "\ufffd" not in text


def reference(html: bytes) -> list[int]:
    """The measures of simple markup, without quotes, comments and scripts, by splitting."""
    single = {b"p", b"br", b"li", b"td"}
    depth = deepest = elements = longest = attributes = 0
    for part in html.split(b"<")[1:]:
        tag = part.split(b">")[0]
        words = tag.split()
        longest, attributes = max(longest, len(tag) + 2), max(attributes, len(words) - 1)
        if tag.startswith(b"/"):
            depth -= tag[1:] not in single
            continue
        elements += 1
        depth += words[0] not in single
        deepest = max(deepest, depth)
    return [longest, attributes, deepest, elements]


def measured(html: bytes) -> list[int]:
    out = np.zeros(4, np.int64)
    measure_markup(np.frombuffer(html, np.uint8), SINGLE, RAW, out)
    return out.tolist()


@pytest.mark.parametrize(
    "html",
    [
        b"",
        b"text",
        b"<p>a<br>b<div class=x id=y><span>c</span></div>",
        b"<div>" * 9 + b"</div>" * 9 + b"<li><td>",
        b"<a b c>" * 3,
    ],
)
def test_the_kernel_measures_what_the_reference_measures(html: bytes) -> None:
    assert measured(html) == reference(html)


def test_quotes_comments_and_scripts_hide_no_markup_and_make_none() -> None:
    assert measured(b"<p a='>' b=\">\" c=>x")[ATTRIBUTES] == 3
    assert measured(b"<!-- <div><div> --><div>")[DEPTH] == 1
    assert measured(b"<!--><div><!-- --!><div>")[DEPTH] == 2
    assert measured(b"<script>if (a<b) x='<div><div>'</script><div>")[ELEMENTS] == 2
    assert measured(b"<script>" + b"<a" * 1000)[ELEMENTS] == 1
    assert measured(b"<div/>" * 5 + b"<span/>" * 5)[DEPTH] == 5
    assert measured(b'<p x="' + b"a" * 1000)[TAG_BYTES] == 1006


LIMITS = {
    "nested_too_deep": b"<div>" * 2001,
    "tag_too_long": b"<p " + b"x" * 70_000 + b">",
    "too_many_attributes": b"<p " + b"a " * 1001 + b">",
    "too_many_elements": b"<br>" * 100_001,
}


@pytest.mark.parametrize("reason", LIMITS)
def test_markup_beyond_a_limit_is_refused_before_any_parser(reason: str) -> None:
    limit = exceeded_limit(LIMITS[reason])
    assert limit is not None
    assert limit[0] == reason
    assert exceeded_limit(page("zh").encode()) is None


@pytest.mark.parametrize(
    "part", [b"<", b"<a", b"<!--", b"<p ", b"</", b"<a b='", b"<script>", b"<script><a", b"-->", b"&"]
)
def test_measuring_takes_linear_time(part: bytes) -> None:
    measured(b"")
    start = time.process_time()
    measured(part * (8_000_000 // len(part)))
    assert time.process_time() - start < 1


def extract(data: bytes, extractor: str = "whole", **limits: Any) -> Page | PageFailure | Unsuitable:
    options = {"max_bytes": 1 << 20, "cpu_seconds": 20, **limits}
    return PageExtractor(extractor, **options).extract(data)


def test_what_is_no_page_is_unsuitable_with_a_reason() -> None:
    assert extract(b" \n") == Unsuitable("empty_body")
    assert extract(b"\x89PNG\r\n\x1a\n" + bytes(500)) == Unsuitable("binary")
    assert extract(bytes(range(256)) * 20) == Unsuitable("binary")
    assert extract(b"<html><body><script>1</script></body>") == Unsuitable("no_main_text")
    assert not is_binary(page("zh").encode("utf-16-le"))
    assert not is_binary("页面".encode("gbk") * 100)


def test_a_page_above_the_limit_is_a_failure() -> None:
    assert extract(page().encode(), max_bytes=100) == PageFailure("page_too_large", "more than max_page_bytes=100")


def test_control_characters_do_not_reach_the_parser_nor_the_text() -> None:
    html = page("zh").replace("渡船", "渡\0\x0b船").encode() + bytes(1000)
    result = extract(html, "trafilatura")
    assert isinstance(result, Page)
    assert all(sentence in result.text for sentence in SENTENCES["zh"])


def test_a_missing_library_is_named_with_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "find_spec", lambda name: None if name in ("trafilatura", "brotli") else object())
    with pytest.raises(UserError, match="brotli and trafilatura are not installed: pip install 'bloomery\\[web\\]'"):
        base.check_installed(EXTRACTORS.section("trafilatura"))
