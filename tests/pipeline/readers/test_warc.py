"""WARC, WET and ARC: what becomes a document, what is skipped and why, damage, and reading on after any record."""

from __future__ import annotations

import bz2
import gzip
import re
import zlib
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard

from pipeline.core.files import RawFile
from pipeline.readers import create_reader
from pipeline.readers.base import AnyRecord, BadRecord, Record, Skipped
from pipeline.readers.section import Ingest, ingest_params
from tests.support.web_archives import SENTENCES, http, members, offsets, page, pages, record


def params(**options: Any) -> dict[str, Any]:
    source = {"reader": "warc", "paths": "unused", "extract": "whole", **options}
    parameters: dict[str, Any] = ingest_params(Ingest.model_validate({"sources": [source]}), 17)["sources"][0]
    return parameters


def read(path: Path, *, after: int = -1, limit: int = 1 << 20, **options: Any) -> list[AnyRecord]:
    raw = RawFile(str(path), path.name, path.stat().st_size, 0.0)
    return list(create_reader(params(**options), max_record_bytes=limit).read(raw, after=after))


def read_bytes(folder: Path, data: bytes, **options: Any) -> list[AnyRecord]:
    (folder / "a.warc.gz").write_bytes(data)
    return read(folder / "a.warc.gz", **options)


def shown(records: list[AnyRecord]) -> list[str]:
    return ["document" if isinstance(record, Record) else record.reason for record in records]


@pytest.mark.parametrize("extract", ["trafilatura", "resiliparse", "whole"])
def test_the_main_text_of_a_page_is_a_document(tmp_path: Path, extract: str) -> None:
    records = read_bytes(tmp_path, members(pages(3)), extract=extract)
    for language, document in zip(SENTENCES, records, strict=True):
        assert isinstance(document, Record)
        text = document.text.decode()
        assert all(sentence in text for sentence in SENTENCES[language])
        assert ("About" in text or "关于" in text or "關於" in text) == (extract == "whole")


def test_a_document_has_url_date_status_and_the_position_of_its_record(tmp_path: Path) -> None:
    data = [record(b"", kind="warcinfo"), *pages(1)]
    document = read_bytes(tmp_path, members(data))[1]
    assert isinstance(document, Record)
    assert (document.url, document.source_id) == ("https://example.org/0", "<urn:uuid:https://example.org/0>")
    assert document.metadata == {
        "date": "2026-11-29T12:00:00Z", "status": "200", "position": str(offsets(data)[1]), "charset": "utf-8",
    }  # fmt: skip
    assert document.position == offsets(data)[1]


def test_what_is_no_document_is_skipped_with_a_reason(tmp_path: Path) -> None:
    html = page().encode()
    data = [
        record(b"software: x", kind="warcinfo"), record(b"GET / HTTP/1.1\r\n\r\n", kind="request"),
        record(b"a: b", kind="metadata"), record(http(b""), kind="revisit"), record(http(html, status="404 Not Found")),
        record(http(html, status="301 Moved", headers="Location: /")), record(http(b"")),
        record(http(b"{}", headers="Content-Type: application/json")), record(http(b"\x89PNG\r\n\x1a\n" + html)),
        record(http(b"plain words", headers="")), record(b"dns: 1.2.3.4"), record(html, kind="made-up"),
        record(http(b"<html><body><script>1</script></body></html>")),
    ]  # fmt: skip
    assert shown(read_bytes(tmp_path, members(data))) == [
        "warc_warcinfo", "warc_request", "warc_metadata", "warc_revisit", "status_404", "status_301", "empty_body",
        "not_html", "binary", "not_html", "not_http", "warc_other", "no_main_text",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "headers", ["", "CONTENT-TYPE: Text/HTML; Charset=\"UTF-8\"", "Content-Type: application/xhtml+xml",
                "Content-Type: text/html; charset=no-such-charset", "content-type:text/html"],
)  # fmt: skip
def test_types_of_pages_may_be_missing_quoted_or_in_capitals(tmp_path: Path, headers: str) -> None:
    assert shown(read_bytes(tmp_path, record(http(page("zh").encode(), headers=headers)))) == ["document"]


def test_text_of_wet_files_is_taken_as_it_is(tmp_path: Path) -> None:
    text = "\n".join(SENTENCES["zh"])
    data = [
        record(text.encode(), kind="conversion", extra="WARC-Identified-Content-Language: zho\r\n"),
        record(text.encode("gbk"), kind="conversion"),
        record(b" \n", kind="conversion"),
    ]
    first, second, third = read_bytes(tmp_path, members(data))
    assert isinstance(first, Record)
    assert first.text.decode() == text
    assert first.metadata == {"date": "2026-11-29T12:00:00Z", "identified_language": "zho", "position": "0"}
    assert isinstance(second, BadRecord)
    assert second.reason == "invalid_utf8"
    assert isinstance(third, Skipped)


def test_resources_are_pages_too(tmp_path: Path) -> None:
    assert shown(read_bytes(tmp_path, record(page().encode(), kind="resource"))) == ["document"]


def test_arc_files_are_read(tmp_path: Path) -> None:
    about = b"1 0 made\nURL IP-address Archive-date Content-type Archive-length\n"
    body = http(page("zh-Hant").encode())
    data = [
        b"filedesc://a.arc 0.0.0.0 20260101000000 text/plain %d\n" % len(about) + about + b"\n",
        b"http://example.org/a 1.2.3.4 20260102030405 text/html %d\n" % len(body) + body + b"\n",
    ]
    for name, content in (("a.arc.gz", members(data)), ("a.arc", b"".join(data))):
        (tmp_path / name).write_bytes(content)
        skipped, document = read(tmp_path / name)
        assert shown([skipped, document]) == ["warc_filedesc", "document"]
        assert isinstance(document, Record)
        assert document.url == "http://example.org/a"
        assert (document.metadata or {})["date"] == "2026-01-02T03:04:05Z"


def chunked(body: bytes, size: int = 100) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


ENCODINGS = {
    "gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress,
    "zstd": zstandard.compress, "identity": bytes, "gzip, gzip": lambda data: gzip.compress(gzip.compress(data)),
}  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("in_chunks", [True, False])
def test_chunks_and_content_encodings_are_undone(tmp_path: Path, encoding: str, in_chunks: bool) -> None:
    body = ENCODINGS[encoding](page("zh").encode())
    headers = f"Content-Type: text/html\r\nContent-Encoding: {encoding}"
    if in_chunks:
        body, headers = chunked(body), headers + "\r\nTransfer-Encoding: chunked"
    data = [record(http(body, headers=headers), url=f"https://example.org/{number}") for number in range(3)]
    assert shown(read_bytes(tmp_path, members(data))) == ["document"] * 3


@pytest.mark.parametrize("field", ["Content-Encoding: gzip", "Content-Encoding: br", "Transfer-Encoding: chunked"])
def test_a_body_that_is_not_encoded_as_its_field_says_is_kept(tmp_path: Path, field: str) -> None:
    body = http(page("zh").encode(), headers=f"Content-Type: text/html\r\n{field}")
    (document,) = read_bytes(tmp_path, record(body))
    assert isinstance(document, Record)
    assert SENTENCES["zh"][0] in document.text.decode()


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data)[2:-4]


BODIES = {**ENCODINGS, "bare deflate": raw_deflate}
DIFFERENT = "".join(f"<p>{number} {number * 7919 % 10007}</p>" for number in range(4000))


@pytest.mark.parametrize("in_chunks", [True, False])
def test_a_body_that_is_cut_within_its_encoding_is_bad(tmp_path: Path, in_chunks: bool) -> None:
    cuts = {}
    for encoding in sorted(BODIES.keys() - {"identity"}):
        body = BODIES[encoding]((page("zh") + DIFFERENT).encode())
        fields = f"Content-Type: text/html\r\nContent-Encoding: {encoding.removeprefix('bare ')}"
        for share in (0.01, 0.5, 0.999):
            cut = body[: max(12, int(len(body) * share))]
            headers = fields + ("\r\nTransfer-Encoding: chunked" if in_chunks else "")
            cuts[f"{encoding} {share}"] = http(chunked(cut) if in_chunks else cut, headers=headers)
    first, last = pages(2)
    records = read_bytes(tmp_path, members([first, *(record(cuts[name], url=name) for name in cuts), last]))
    assert dict(zip(cuts, shown(records[1:-1]), strict=True)) == dict.fromkeys(cuts, "truncated")
    assert shown([records[0], records[-1]]) == ["document", "document"]
    for bad in records[1:-1]:
        assert isinstance(bad, BadRecord)
        assert re.search(r"ends within its \S+: [\d,]+ bytes come out of [\d,]+", bad.detail)
        assert bad.raw.startswith(b"HTTP/1.1 200")


def test_chunks_that_are_cut_are_bad(tmp_path: Path) -> None:
    """1: the last line end is lost; 5: the chunk that ends them; more: a part of a chunk."""
    headers = "Content-Type: text/html\r\nTransfer-Encoding: chunked"
    bodies = [chunked(page("zh").encode())[:-lost] for lost in (1, 5, 6, 50, 500)]
    data = [record(http(body, headers=headers), url=f"u:{number}") for number, body in enumerate(bodies)]
    assert shown(read_bytes(tmp_path, members(data))) == ["document", *["truncated"] * 4]


def test_chunks_whose_sizes_are_wrong_are_bad(tmp_path: Path) -> None:
    body = chunked(page("zh").encode()).replace(b"\r\n64\r\n", b"\r\n63\r\n", 1)
    headers = "Content-Type: text/html\r\nTransfer-Encoding: chunked"
    assert shown(read_bytes(tmp_path, record(http(body, headers=headers)))) == ["corrupt"]


def test_a_body_that_is_damaged_within_its_encoding_is_bad(tmp_path: Path) -> None:
    data = []
    for encoding in ("gzip", "deflate", "zstd", "br"):
        body = bytearray(ENCODINGS[encoding]((page("zh") + DIFFERENT).encode()))
        body[len(body) // 2 : len(body) // 2 + 40] = b"\xff" * 40
        headers = f"Content-Type: text/html\r\nContent-Encoding: {encoding}"
        data.append(record(http(bytes(body), headers=headers), url=encoding))
    # brotli has no checksum: this damage makes it go on beyond the end
    assert shown(read_bytes(tmp_path, members(data))) == ["corrupt", "corrupt", "corrupt", "truncated"]


def test_what_the_crawler_says_it_cut_is_a_document_that_says_so(tmp_path: Path) -> None:
    """As Common Crawl does with long pages: its own text extraction keeps them too."""
    body = gzip.compress((page("zh") + DIFFERENT).encode(), mtime=0)[:-3000]
    headers = "Content-Type: text/html\r\nContent-Encoding: gzip"
    (document,) = read_bytes(tmp_path, record(http(body, headers=headers), extra="WARC-Truncated: length\r\n"))
    assert isinstance(document, Record)
    assert (document.metadata or {})["truncated"] == "length"
    assert SENTENCES["zh"][0] in document.text.decode()


def test_cut_texts_are_counted_and_unknown_marks_together(tmp_path: Path) -> None:
    marks = ["length", "length", "time", *(f"mark {number}" for number in range(50))]
    texts = [record(b"text", kind="conversion", extra=f"WARC-Truncated: {mark}\r\n", url=f"u:{mark}") for mark in marks]
    path = tmp_path / "a.warc.gz"
    path.write_bytes(members(texts))
    reader = create_reader(params(), max_record_bytes=1 << 20)
    assert len(list(reader.read(RawFile(str(path), path.name, path.stat().st_size, 0.0)))) == len(marks)
    assert dict(reader.truncated) == {"length": 2, "time": 1, "other": 50}


def test_a_page_shorter_than_its_content_length_says_so(tmp_path: Path) -> None:
    body = page("zh").encode()
    lengths = {len(body) - 5: None, len(body): None, len(body) + 1: "content_length"}
    data = [
        record(http(body, headers=f"Content-Type: text/html\r\nContent-Length: {length}"), url=f"u:{length}")
        for length in lengths
    ]
    # stored decoded under the fields of the encoded body: the length is of something else
    other = f"Content-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: {len(body) + 9}"
    records = read_bytes(tmp_path, members([*data, record(http(body, headers=other))]))
    marks = [(record.metadata or {}).get("truncated") for record in records if isinstance(record, Record)]
    assert marks == [*lengths.values(), None]


def test_members_of_a_body_are_joined_and_what_follows_them_is_left(tmp_path: Path) -> None:
    first, rest = page("zh").encode()[:500], page("zh").encode()[500:]
    body = gzip.compress(first, mtime=0) + gzip.compress(rest, mtime=0) + b"\0\0trailing"
    headers = "Content-Type: text/html\r\nContent-Encoding: gzip"
    (document,) = read_bytes(tmp_path, record(http(body, headers=headers)))
    assert isinstance(document, Record)
    assert SENTENCES["zh"][2] in document.text.decode()


@pytest.mark.parametrize("compress", [gzip.compress, brotli.compress, zstandard.compress])
def test_a_bomb_is_quarantined_and_its_neighbours_are_read(tmp_path: Path, compress: Any) -> None:
    name = {gzip.compress: "gzip", brotli.compress: "br", zstandard.compress: "zstd"}[compress]
    bomb = http(compress(bytes(200 << 20)), headers=f"Content-Type: text/html\r\nContent-Encoding: {name}")
    first, second = pages(2)
    assert shown(read_bytes(tmp_path, members([first, record(bomb), second]))) == [
        "document", "page_too_large", "document",
    ]  # fmt: skip


FORMS = {
    "members": members,
    "one member": lambda records: gzip.compress(b"".join(records), mtime=0),
    "plain": b"".join,
    "bzip2": lambda records: bz2.compress(b"".join(records)),
    "zstd": lambda records: zstandard.compress(b"".join(records)),
    "blocks": lambda records: b"".join(
        gzip.compress(b"".join(records)[at : at + 700], mtime=0) for at in range(0, len(b"".join(records)), 700)
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_compression_gives_the_same_documents(tmp_path: Path, form: str) -> None:
    data = pages(7)
    records = read_bytes(tmp_path, FORMS[form](data))
    assert [record.url for record in records if isinstance(record, Record)] == [
        f"https://example.org/{number}" for number in range(7)
    ]


@pytest.mark.parametrize("form", FORMS)
def test_reading_continues_after_any_record(tmp_path: Path, form: str) -> None:
    data = [record(b"", kind="warcinfo"), *pages(5), record(b"x", kind="metadata")]
    records = read_bytes(tmp_path, FORMS[form](data))
    positions = [record.position for record in records]
    assert positions == sorted(set(positions))
    for index, position in enumerate(positions):
        assert read(tmp_path / "a.warc.gz", after=position) == records[index + 1 :]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cut", [False, True])
def test_spans_together_give_what_the_whole_file_gives(tmp_path: Path, form: str, cut: bool) -> None:
    nested = record(http(members(pages(3)), headers="Content-Type: application/gzip"))  # looks like a border, is none
    content = FORMS[form]([*pages(5), nested, *pages(6)])
    whole = read_bytes(tmp_path, content[: -100 if cut else len(content)])
    path = tmp_path / "a.warc.gz"
    raw, reader = (
        RawFile(str(path), path.name, path.stat().st_size, 0.0),
        create_reader(params(), max_record_bytes=1 << 20),
    )
    for span_bytes in (1, 4000, 1 << 30):
        spans = reader.divide(raw, span_bytes)
        if spans:
            assert [record for span in spans for record in reader.read_span(raw, span)] == whole
        if span_bytes == 4000:
            assert (len(spans) > 1) == (form in ("members", "plain"))
        for span in spans[1:2]:
            records = list(reader.read_span(raw, span))
            assert list(reader.read_span(raw, span, after=records[0].position)) == records[1:]


@pytest.mark.parametrize("damaged", [0, 2, 4])
def test_a_damaged_member_costs_its_record_alone(tmp_path: Path, damaged: int) -> None:
    data, clean = pages(5), bytearray(members(pages(5)))
    at = offsets(data)[damaged] + 60
    clean[at : at + 8] = b"\xff" * 8
    records = read_bytes(tmp_path, bytes(clean))
    bad = records[damaged]
    assert isinstance(bad, BadRecord)
    assert bad.reason == "corrupt"
    lost = (offsets(data) + [len(clean)])[damaged + 1] - offsets(data)[damaged]
    assert f"{lost:,} bytes of the file cannot be read" in bad.detail
    assert [shown(records).count(kind) for kind in ("document", "corrupt")] == [4, 1]
    for index, record_ in enumerate(records):
        assert read(tmp_path / "a.warc.gz", after=record_.position) == records[index + 1 :]


def test_a_wrong_checksum_quarantines_its_record(tmp_path: Path) -> None:
    data, content = pages(3), bytearray(members(pages(3)))
    content[offsets(data)[2] - 6] ^= 1
    records = read_bytes(tmp_path, bytes(content))
    assert shown(records) == ["document", "corrupt", "document"]


@pytest.mark.parametrize("form", ["members", "one member", "plain"])
def test_a_cut_file_says_what_it_lost(tmp_path: Path, form: str) -> None:
    content = FORMS[form](pages(4))
    records = read_bytes(tmp_path, content[:-200])
    assert shown(records) == ["document"] * (len(records) - 1) + ["truncated"]
    assert len(records) == (2 if form == "one member" else 4)
    bad = records[-1]
    assert isinstance(bad, BadRecord)
    assert bad.raw.startswith(b"WARC/1.0")
    assert re.search(r"[\d,]+ (of the [\d,]+ )?bytes", bad.detail)


def test_bytes_between_members_are_reported(tmp_path: Path) -> None:
    first, second = pages(2)
    content = gzip.compress(first, mtime=0) + b"garbage" * 10 + gzip.compress(second, mtime=0) + b"end of file"
    assert shown(read_bytes(tmp_path, content)) == ["document", "trailing_garbage", "document", "trailing_garbage"]


@pytest.mark.parametrize("error", [-40, 40, 400, 5000, 1 << 40])
@pytest.mark.parametrize("form", ["members", "plain"])
def test_a_wrong_length_costs_its_record_alone(tmp_path: Path, form: str, error: int) -> None:
    body = http(page().encode())
    wrong = record(body, length=len(body) + error, url="https://example.org/wrong")
    neighbours = pages(12)
    records = read_bytes(tmp_path, FORMS[form]([neighbours[0], wrong, *neighbours[1:]]))
    urls = [record.url for record in records if isinstance(record, Record)]
    assert sum(isinstance(record, BadRecord) for record in records) == 1
    if (
        form == "members" or error < 1 << 40
    ):  # where nothing marks a record, a length beyond the end takes all that follows
        assert urls == [f"https://example.org/{number}" for number in range(12)]


def test_a_record_above_the_limit_is_bad_unless_it_is_skipped(tmp_path: Path) -> None:
    big = http(page().encode() + b" " * 5000)
    data = [record(big), record(big, kind="request"), *pages(1)]
    assert shown(read_bytes(tmp_path, members(data), limit=4000)) == ["record_too_large", "warc_request", "document"]


def test_a_file_that_is_no_archive_is_one_bad_record(tmp_path: Path) -> None:
    for content in (b"just text\n" * 1000, gzip.compress(b"{}\n" * 1000), bytes(5000)):
        assert shown(read_bytes(tmp_path, content)) == ["no_record"]


def test_an_empty_file_has_no_record(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, b"") == []
    assert read_bytes(tmp_path, gzip.compress(b"")) == []


def test_more_records_than_bytes_in_a_member_end_the_file(tmp_path: Path) -> None:
    tiny = b"WARC/1.0\r\nContent-Length: 0\r\n\r\n\r\n\r\n"
    records = read_bytes(tmp_path, gzip.compress(tiny * 100_000) + members(pages(1)))
    assert shown(records)[-1] == "too_many_records"
    assert len({record.position for record in records}) == len(records)
