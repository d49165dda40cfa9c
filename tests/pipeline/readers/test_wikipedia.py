"""Dumps of wikis: which pages are documents, reading on after any page, damage; real pages where they are there."""

from __future__ import annotations

import bz2
import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from pipeline.core.files import RawFile
from pipeline.readers import create_reader
from pipeline.readers.base import AnyRecord, BadRecord, Record
from pipeline.readers.section import Ingest, ingest_params

DATA = Path(os.environ.get("BLOOMERY_DATA", "../shared/data"))
HEAD = (
    '<mediawiki xml:lang="zh"><siteinfo><base>https://zh.example.org/wiki/Main</base><namespaces>'
    '<namespace key="6" case="first-letter">檔案</namespace><namespace key="14">主題</namespace>'
    "</namespaces></siteinfo>\n"
)
TAIL = "</mediawiki>\n"


def page(number: int, text: str = "", *, ns: int = 0, extra: str = "", model: str = "wikitext") -> str:
    english = f"The ferry & its harbour, number {number}."
    text = text or f"'''第{number}页'''是一篇[[文章|关于渡船的文章]]。\n\n== 历史 ==\n{english}\n"
    return (
        f"  <page>\n    <title>标题 {number}</title>\n    <ns>{ns}</ns>\n    <id>{number}</id>{extra}\n    <revision>\n"
        f"      <id>9{number}</id>\n      <model>{model}</model>\n"
        f'      <text xml:space="preserve">{escape(text)}</text>\n    </revision>\n  </page>\n'
    )


def streams(pages: list[str], each: int = 2) -> bytes:
    """A dump as Wikipedia publishes it: the head, some pages, and the end in bzip2 streams of their own."""
    parts = [HEAD, *("".join(pages[at : at + each]) for at in range(0, len(pages), each)), TAIL]
    return b"".join(bz2.compress(part.encode()) for part in parts)


FORMS: dict[str, Callable[[list[str]], bytes]] = {
    "plain": lambda pages: (HEAD + "".join(pages) + TAIL).encode(),
    "bzip2": lambda pages: bz2.compress((HEAD + "".join(pages) + TAIL).encode()),
    "multistream": streams,
    "gzip": lambda pages: gzip.compress((HEAD + "".join(pages) + TAIL).encode()),
}


def read(path: Path, *, after: int = -1, limit: int = 1 << 20, **options: Any) -> list[AnyRecord]:
    source = {"reader": "wikipedia", "paths": "unused", **options}
    params = ingest_params(Ingest.model_validate({"sources": [source]}), 17)["sources"][0]
    raw = RawFile(str(path), path.name, path.stat().st_size, 0.0)
    return list(create_reader(params, max_record_bytes=limit).read(raw, after=after))


def read_bytes(folder: Path, data: bytes, **options: Any) -> list[AnyRecord]:
    (folder / "dump.xml").write_bytes(data)
    return read(folder / "dump.xml", **options)


def shown(records: list[AnyRecord]) -> list[str]:
    return [record.text.decode() if isinstance(record, Record) else record.reason for record in records]


@pytest.mark.parametrize("form", FORMS)
def test_an_article_is_a_document_in_plain_text(tmp_path: Path, form: str) -> None:
    (document,) = read_bytes(tmp_path, FORMS[form]([page(7)]))
    assert isinstance(document, Record)
    assert document.text.decode() == "第7页是一篇关于渡船的文章。\n\n历史\nThe ferry & its harbour, number 7."
    assert document.url == "https://zh.example.org/wiki/%E6%A0%87%E9%A2%98_7"
    assert (document.source_id, document.language) == ("7", "zh")
    assert (document.metadata or {})["title"] == "标题 7"


def test_pages_that_are_no_articles_are_skipped_with_a_reason(tmp_path: Path) -> None:
    pages = [
        page(1, ns=1), page(2, extra='<redirect title="x" />'), page(3, model="css"), page(4, "{{stub}}"), page(5),
        page(6, "<redirect"),
    ]  # fmt: skip
    reasons = shown(read_bytes(tmp_path, FORMS["plain"](pages)))
    assert reasons[:4] == ["other_namespace", "redirect", "no_wikitext", "no_main_text"]
    assert reasons[4].startswith("第5页")
    assert reasons[5] == "<redirect"


def test_the_names_of_files_and_categories_come_from_the_dump(tmp_path: Path) -> None:
    text = "正文[[檔案:A.jpg|thumb|说明]]。[[主題:地理]][[File:B.jpg]][[:主題:地理]]"
    assert shown(read_bytes(tmp_path, FORMS["plain"]([page(1, text)]))) == ["正文。主題:地理"]


def test_a_variant_of_chinese_is_chosen(tmp_path: Path) -> None:
    data = FORMS["plain"]([page(1, "我住在-{zh-hans:北京; zh-hant:臺北}-，用-{zh-cn:软件;zh-tw:軟體;zh-hk:軟件}-。")])
    assert shown(read_bytes(tmp_path, data, variant="zh-hans")) == ["我住在北京，用软件。"]
    assert shown(read_bytes(tmp_path, data, variant="zh-tw")) == ["我住在臺北，用軟體。"]
    assert shown(read_bytes(tmp_path, data, variant="zh-hk")) == ["我住在臺北，用軟件。"]


@pytest.mark.parametrize("form", FORMS)
def test_reading_continues_after_any_page(tmp_path: Path, form: str) -> None:
    pages = [page(number, ns=number % 3 // 2) for number in range(1, 10)]
    records = read_bytes(tmp_path, FORMS[form](pages))
    assert len(records) == 9
    positions = [record.position for record in records]
    assert positions == sorted(set(positions))
    for index, position in enumerate(positions):
        assert read(tmp_path / "dump.xml", after=position) == records[index + 1 :]


@pytest.mark.parametrize("form", FORMS)
def test_spans_together_give_what_the_whole_file_gives(tmp_path: Path, form: str) -> None:
    whole = read_bytes(tmp_path, FORMS[form]([page(number) for number in range(1, 12)]))
    path = tmp_path / "dump.xml"
    params = ingest_params(Ingest.model_validate({"sources": [{"reader": "wikipedia", "paths": "unused"}]}), 17)
    raw = RawFile(str(path), path.name, path.stat().st_size, 0.0)
    reader = create_reader(params["sources"][0], max_record_bytes=1 << 20)
    for span_bytes in (1, 1000, 1 << 30):
        spans = reader.divide(raw, span_bytes)
        if spans:
            assert [record for span in spans for record in reader.read_span(raw, span)] == whole
        if span_bytes == 1000:
            assert (len(spans) > 2) == (form in ("plain", "multistream"))


def test_a_page_without_an_end_costs_no_other_page(tmp_path: Path) -> None:
    data = FORMS["plain"]([page(1), page(2).replace("</page>", ""), page(3)])
    assert [text[:3] for text in shown(read_bytes(tmp_path, data))] == ["第1页", "tru", "第3页"]


def test_bytes_between_pages_are_reported(tmp_path: Path) -> None:
    data = FORMS["plain"]([page(1), page(2).replace("<page>", "<pag>"), page(3)])
    records = read_bytes(tmp_path, data)
    assert [text[:3] for text in shown(records)] == ["第1页", "no_", "第3页"]
    assert read(tmp_path / "dump.xml", after=records[1].position) == records[2:]


@pytest.mark.parametrize("form", FORMS)
def test_a_cut_dump_reports_the_page_that_it_lost(tmp_path: Path, form: str) -> None:
    pages = [page(number, "The harbour. " * 400) for number in range(1, 5)]
    cut = len(bz2.compress(TAIL.encode())) + 20 if form == "multistream" else 60
    records = read_bytes(tmp_path, FORMS[form](pages)[:-cut])
    reasons = [record.reason for record in records if isinstance(record, BadRecord)]
    assert reasons == ["truncated"]
    assert isinstance(records[-1], BadRecord)


@pytest.mark.parametrize("form", FORMS)
def test_a_dump_that_was_cut_between_pages_is_reported(tmp_path: Path, form: str) -> None:
    pages = [page(1), page(2)]
    data = FORMS[form](pages)
    without_end = streams(pages)[: -len(bz2.compress(TAIL.encode()))] if form == "multistream" else data
    if form in ("plain", "gzip", "bzip2"):
        open_dump = (HEAD + "".join(pages)).encode()
        without_end = {"plain": open_dump, "gzip": gzip.compress(open_dump), "bzip2": bz2.compress(open_dump)}[form]
    assert [text[:3] for text in shown(read_bytes(tmp_path, without_end))] == ["第1页", "第2页", "tru"]
    assert shown(read_bytes(tmp_path, HEAD.encode())) == ["truncated"]
    assert read_bytes(tmp_path, b"") == []


def test_damage_costs_one_stream(tmp_path: Path) -> None:
    pages = [page(number) for number in range(1, 9)]
    data = bytearray(streams(pages))
    start = len(bz2.compress(HEAD.encode())) + len(bz2.compress("".join(pages[:2]).encode()))
    data[start + 60] ^= 0xFF
    records = read_bytes(tmp_path, bytes(data))
    assert [record.source_id for record in records if isinstance(record, Record)] == ["1", "2", "5", "6", "7", "8"]
    (bad,) = (record for record in records if isinstance(record, BadRecord))
    assert bad.reason == "corrupt"
    assert f"{len(bz2.compress(''.join(pages[2:4]).encode())):,} bytes of the file cannot be read" in bad.detail


def test_a_page_above_the_limit_is_bad_and_its_neighbours_are_read(tmp_path: Path) -> None:
    data = FORMS["plain"]([page(1), page(2, "word " * 100_000), page(3)])
    assert [shown([record])[0][:16] for record in read_bytes(tmp_path, data, limit=4000)] == [
        "第1页是一篇关于渡船的文章。\n\n", "record_too_large", "第3页是一篇关于渡船的文章。\n\n",
    ]  # fmt: skip


def test_bytes_that_are_not_utf8_are_bad(tmp_path: Path) -> None:
    data = FORMS["plain"]([page(1), page(2)]).replace("第1".encode(), b"\xff\xfe\xfd")
    assert shown(read_bytes(tmp_path, data))[0] == "invalid_utf8"


@pytest.mark.skipif(not (DATA / "web").is_dir(), reason=f"{DATA}/web is not there: set BLOOMERY_DATA")
def test_real_articles_are_text_without_markup() -> None:
    records = read(DATA / "web" / "enwiki-pages.xml.bz2")
    documents = [record for record in records if isinstance(record, Record)]
    assert (len(records), len(documents)) == (167, 67)
    assert shown(records).count("redirect") == 99
    text = "\n".join(document.text.decode() for document in documents)
    for markup in (r"\[\[|\]\]", r"^\{\||^\|\}", "<ref|</ref", r"thumb\|", "'''", "^(Category|File|Image):"):
        assert not re.findall(markup, text, re.MULTILINE), markup
    assert len(re.findall(r"\{\{|\}\}", text)) < 20  # formulas
    assert 1.6e6 < len(text) < 1.9e6
