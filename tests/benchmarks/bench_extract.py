"""Web pages: each extractor on real pages, hostile pages, charsets, and how fast archives are read.

    python tests/benchmarks/bench_extract.py [--pages 116] [--hostile 20] [--copies 8]

Sentences that must come out and lines of navigation that must not are those of web.truth.jsonl (one site). Without
BLOOMERY_DATA/web the pages are made here. fastwarc and warcio are measured where they are installed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from measured import DATA, table

from pipeline.extract import EXTRACTORS
from pipeline.extract.charset import decode_page
from pipeline.extract.limits import exceeded_limit
from pipeline.extract.pages import Page, PageExtractor
from pipeline.readers.archive_records import ArchiveRecord, archive_records
from pipeline.readers.http_message import decode_body, parse_header
from pipeline.readers.warc import skip_reason

TOY = "--pages 3 --hostile 2 --copies 1"  # the arguments with which the tests run this file

CONFIGURATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "trafilatura": ("trafilatura", {}),
    "trafilatura, favor: precision": ("trafilatura", {"favor": "precision"}),
    "trafilatura, favor: recall": ("trafilatura", {"favor": "recall"}),
    "trafilatura, fast": ("trafilatura", {"fast": True}),
    "resiliparse": ("resiliparse", {}),
    "whole": ("whole", {}),
}
PARAGRAPH = "<p>This is paragraph {} of perfectly ordinary text, long enough to be kept by any extractor.</p>"
TEXT = "".join(PARAGRAPH.format(number) for number in range(20))
HOSTILE: dict[str, Callable[[], str]] = {
    "100,000 nested div": lambda: "<div>" * 100_000 + TEXT,
    "1,900 nested div": lambda: "<div>" * 1_900 + TEXT + "</div>" * 1_900,
    "90,000 open b, i, a": lambda: "<b><i><a>" * 30_000 + TEXT,
    "a tag with 200,000 attributes": lambda: "<p " + " ".join(f"a{n}=x" for n in range(200_000)) + ">" + TEXT,
    "500 tags with 900 attributes": lambda: ("<p " + " ".join(f"a{n}=x" for n in range(900)) + ">t</p>") * 500 + TEXT,
    "52 MB of paragraphs": lambda: TEXT * 26_000,
    "200,000 links in a list": lambda: "<ul>" + "<li><a href=#>link</a>" * 200_000 + "</ul>" + TEXT,
    "20,000 links in a list": lambda: "<ul>" + "<li><a href=#>link</a>" * 20_000 + "</ul>" + TEXT,
    "30,000 paragraphs": lambda: "".join(PARAGRAPH.format(number) for number in range(30_000)),
    "5,000 nested tables": lambda: "<table><tr><td>" * 5_000 + TEXT,
    "1 MB of NUL after the text": lambda: "<html>" + TEXT + "\0" * 1_000_000,
    "2 MB of <": lambda: "<" * 2_000_000,
    "4 MB of entities": lambda: "&amp;" * 800_000,
}


def page_bodies(name: str) -> Iterator[tuple[int, str, bytes]]:
    """The number, content type and bytes of the pages of an archive."""
    for number, record in enumerate(archive_records(str(DATA / "web" / name), after=-1, limit=1 << 26,
                                                    skip_reason=skip_reason)):  # fmt: skip
        if isinstance(record, ArchiveRecord) and (header := parse_header(record.body)):
            body = decode_body(record.body[header.size :], header.fields, limit=1 << 26).data
            yield number, header.fields.get("content-type", ""), body


def truth(name: str) -> list[dict[str, Any]]:
    with open(DATA / "web.truth.jsonl", encoding="utf-8") as lines:
        return [entry for entry in map(json.loads, lines) if entry["warc"] == name and entry["expect"] == "html"]


def real_pages(most: int) -> list[tuple[dict[str, Any], str]]:
    """Pages with what must and must not come out; made here if the data are not there."""
    if not (DATA / "web").is_dir():
        made = {"lang": "en", "must": ["perfectly ordinary text"], "must_not": ["Home"]}
        return [(made, f"<html><body><nav><a href=/>Home</a></nav><main>{TEXT}</main></body></html>")] * most
    bodies = {number: decode_page(body, kind)[0] for number, kind, body in page_bodies("pages.warc.gz")}
    return [(entry, bodies[entry["record"]]) for entry in truth("pages.warc.gz")][:most]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def quality(most: int) -> None:
    rows = []
    pages = real_pages(most)
    for label, (name, options) in CONFIGURATIONS.items():
        extractor = EXTRACTORS.load(name)(EXTRACTORS.section(name).model_validate(options))
        extractor.extract(pages[0][1])
        row: list[object] = [label]
        for language in dict.fromkeys(entry["lang"] for entry, _ in pages):
            chosen = [(entry, html) for entry, html in pages if entry["lang"] == language]
            start = time.process_time()
            texts = [extractor.extract(html) for _, html in chosen]
            seconds = time.process_time() - start
            row += [sum(len(html.encode()) for _, html in chosen) / 1e6 / seconds, *_shares(chosen, texts)]
        rows.append(row)
    languages = dict.fromkeys(entry["lang"] for entry, _ in pages)
    header = [f"{language}: {column}" for language in languages for column in ("MB/CPU-s", "must", "must not")]
    table(f"{len(pages)} pages: HTML per CPU-second, sentences that came out, lines that stayed out",
          ["extract", *header], rows)  # fmt: skip


def _shares(chosen: list[tuple[dict[str, Any], str]], texts: list[str]) -> tuple[str, str]:
    must = hits = must_not = kept = 0
    for (entry, _), text in zip(chosen, texts, strict=True):
        lines = {squeezed(line.strip(" -*•·>|#")) for line in text.split("\n")}
        must += len(entry["must"])
        hits += sum(squeezed(sentence) in squeezed(text) for sentence in entry["must"])
        must_not += len(entry["must_not"])
        kept += sum(squeezed(line) in lines for line in entry["must_not"])
    return f"{hits / max(1, must):.3f}", f"{1 - kept / max(1, must_not):.3f}"


def hostile(most: int) -> None:
    """What becomes of pages that hang or break parsers, with the limits of a source; seconds of CPU, children too."""
    rows = []
    for name in list(HOSTILE)[:most]:
        html, row = HOSTILE[name]().encode(), [name, ""]
        row[1] = f"{len(html) / 1e6:.1f}"
        for extract in ("trafilatura", "resiliparse"):
            pages = PageExtractor(extract, max_bytes=4 << 20, cpu_seconds=60)
            pages.extract(b"<p>start")
            start = time.monotonic()
            result = pages.extract(html)
            outcome = f"{len(result.text):,} characters" if isinstance(result, Page) else result.reason
            row.append(f"{outcome}, {time.monotonic() - start:.1f} s")
        rows.append(row)
    table("Hostile pages, with the limits of a source (seconds by the clock)",
          ["page", "MB", "trafilatura", "resiliparse"], rows)  # fmt: skip


def speed(copies: int) -> None:
    """Everything but extraction, in MB of HTML or archive per CPU-second."""
    pages = [html.encode() for _, html in real_pages(116)]
    gbk = [page.decode().encode("gb18030", "ignore") for page in pages]
    rows: list[list[object]] = [
        ["charset, UTF-8", _rate(pages, decode_page)], ["charset, GB18030 without a label", _rate(gbk, decode_page)],
        ["limits", _rate(pages, exceeded_limit)],
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crawl.warc.gz"
        path.write_bytes((DATA / "web" / "pages.warc.gz").read_bytes() * copies if (DATA / "web").is_dir() else b"")
        readers: dict[str, Callable[[], int]] = {
            "WARC, ours, HTTP decoded": lambda: _read_ours(path),
            "fastwarc, HTTP not decoded": lambda: _read_fastwarc(path),
            "warcio, HTTP decoded": lambda: _read_warcio(path),
        }  # fmt: skip
        for name, read in readers.items():
            module = name.partition(",")[0]
            if path.stat().st_size and (module == "WARC" or find_spec(module)):
                read()
                start = time.process_time()
                size = read()
                rows.append([name, size / 1e6 / (time.process_time() - start)])
    table("Around the extractor", ["step", "MB of HTML per CPU-second"], rows)


def _rate(pages: list[bytes], work: Callable[[bytes], object]) -> float:
    work(pages[0])
    start = time.process_time()
    for page in pages:
        work(page)
    return sum(map(len, pages)) / 1e6 / max(1e-9, time.process_time() - start)


def _read_ours(path: Path) -> int:
    size = 0
    for record in archive_records(str(path), after=-1, limit=1 << 26, skip_reason=skip_reason):
        if isinstance(record, ArchiveRecord) and (header := parse_header(record.body)):
            size += len(decode_body(record.body[header.size :], header.fields, limit=1 << 26).data)
    return size


def _read_fastwarc(path: Path) -> int:
    iterator = importlib.import_module("fastwarc.warc").ArchiveIterator
    with path.open("rb") as file:
        return sum(len(record.reader.read()) for record in iterator(file, parse_http=True, auto_decode="none"))


def _read_warcio(path: Path) -> int:
    iterator = importlib.import_module("warcio.archiveiterator").ArchiveIterator
    with path.open("rb") as file:
        return sum(len(record.content_stream().read()) for record in iterator(file))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pages", type=int, default=116, help="how many of the pages are extracted")
    options.add_argument("--hostile", type=int, default=len(HOSTILE), help="how many hostile pages")
    options.add_argument("--copies", type=int, default=8, help="how often the archive is taken")
    arguments = options.parse_args()
    quality(arguments.pages)
    speed(arguments.copies)
    hostile(arguments.hostile)


if __name__ == "__main__":
    main()
