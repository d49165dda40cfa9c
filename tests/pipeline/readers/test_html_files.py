"""Folders of HTML: a document for each file."""

from __future__ import annotations

import gzip
from pathlib import Path

from pipeline.core.files import RawFile
from pipeline.readers import READERS, create_reader
from pipeline.readers.base import AnyRecord, BadRecord, Record, Skipped
from pipeline.readers.section import Ingest, ingest_params
from tests.support.web_archives import SENTENCES, page


def read(path: Path, *, after: int = -1, max_page_bytes: int = 1 << 20) -> list[AnyRecord]:
    source = {"reader": "html", "paths": "unused", "max_page_bytes": max_page_bytes}
    params = ingest_params(Ingest.model_validate({"sources": [source]}), 17)["sources"][0]
    raw = RawFile(str(path), path.name, path.stat().st_size, 0.0)
    return list(create_reader(params, max_record_bytes=1 << 20).read(raw, after=after))


def test_the_main_text_of_a_file_is_a_document_whatever_its_charset(tmp_path: Path) -> None:
    for language, charset in (("en", "utf-8"), ("zh", "gb18030"), ("zh-Hant", "big5")):
        (tmp_path / "a.html.gz").write_bytes(gzip.compress(page(language).encode(charset)))
        (document,) = read(tmp_path / "a.html.gz")
        assert isinstance(document, Record)
        assert all(sentence in document.text.decode() for sentence in SENTENCES[language])
        assert (document.position, document.metadata) == (0, {"charset": charset.replace("big5", "big5hkscs")})
        assert read(tmp_path / "a.html.gz", after=0) == []


def test_a_file_that_is_no_page_is_skipped_or_bad(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(b"")
    assert read(path) == [Skipped(0, "empty_body")]
    path.write_bytes(page().encode() * 5)
    (bad,) = read(path, max_page_bytes=2000)
    assert isinstance(bad, BadRecord)
    assert bad.reason == "page_too_large"
    path.write_bytes(gzip.compress(page().encode())[:-12])
    (bad,) = read(path)
    assert isinstance(bad, BadRecord)
    assert bad.reason == "truncated"


def test_pages_are_recognized_by_their_beginning() -> None:
    recognizes = READERS.load("html").recognizes
    for head in (b"<!DOCTYPE html><p>", b"\xef\xbb\xbf\n<!-- a --><HTML lang=zh>", "<html>".encode("utf-16"),
                 b"<?xml version='1.0'?>\n<html xmlns='x'>"):  # fmt: skip
        assert recognizes(head, "x")
    for head in (b"text <html>", b"{}", b"<mediawiki xmlns=x>", b"WARC/1.0\r\n", b"# Title\n<div>"):
        assert not recognizes(head, "x.html")
