"""Wikitext to text: our scanner, and wikitextparser and mwparserfromhell where they are installed.

    python tests/benchmarks/bench_wikitext.py [--articles 25]

Articles are those of BLOOMERY_DATA/web/enwiki-pages.xml.bz2, or made here. "Left" counts markup in the text: braces,
brackets, table lines, pictures.
"""

from __future__ import annotations

import argparse
import bz2
import importlib
import re
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from measured import DATA, table

from pipeline.core.files import RawFile
from pipeline.readers import create_reader
from pipeline.readers.base import Record
from pipeline.readers.wikipedia import _last_text, _unescape
from pipeline.readers.wikitext import WikiText

TOY = "--articles 2"  # the arguments with which the tests run this file

DUMP = DATA / "web" / "enwiki-pages.xml.bz2"
MADE = "'''Harbour''' is a [[place|town]]{{infobox|a=b}}.<ref>x</ref>\n\n== History ==\nIt was built in 1900. " * 200
LEFT = re.compile(r"\{\{|\}\}|\[\[|\]\]|^\s*[|!]|thumb\||\d+px|<ref|'''|^(?:Category|File|Image):", re.MULTILINE)


def articles(most: int) -> list[str]:
    if not DUMP.is_file():
        return [MADE] * most
    pages = bz2.decompress(DUMP.read_bytes()).decode().split("<page>")[1:]
    return [_unescape(_last_text(page)) for page in pages if "<redirect" not in page and "<ns>0</ns>" in page][:most]


def parsers() -> dict[str, Callable[[str], str]]:
    converters: dict[str, Callable[[str], str]] = {"ours": WikiText().convert}
    if find_spec("wikitextparser"):
        parse = importlib.import_module("wikitextparser").parse
        converters["wikitextparser"] = lambda text: parse(text).plain_text()
    if find_spec("mwparserfromhell"):
        parse_code = importlib.import_module("mwparserfromhell").parse
        converters["mwparserfromhell"] = lambda text: parse_code(text).strip_code()
    return converters


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--articles", type=int, default=25)
    texts = articles(options.parse_args().articles)
    size = sum(len(text.encode()) for text in texts) / 1e6
    rows: list[list[object]] = []
    for name, convert in parsers().items():
        convert(texts[0])
        start = time.process_time()
        results = [convert(text) for text in texts]
        seconds = time.process_time() - start
        left = sum(len(LEFT.findall(result)) for result in results)
        share = sum(map(len, results)) / sum(map(len, texts))
        rows.append([name, size / seconds, f"{share:.2f}", f"{left:,}"])
    header = ["parser", "MB per CPU-second", "of the characters", "markup left"]
    table(f"Wikitext of {len(texts)} articles, {size:.1f} MB", header, rows)
    with tempfile.TemporaryDirectory() as folder:
        path = DUMP if DUMP.is_file() else Path(folder) / "dump.xml"
        if path != DUMP:
            page = f"<page><title>a</title><ns>0</ns><text>{MADE.replace('<', '&lt;')}</text></page>"
            path.write_text(f"<mediawiki>{page * 5}</mediawiki>")
        reader = create_reader({"reader": "wikipedia", "variant": "first"}, max_record_bytes=1 << 26)
        start = time.process_time()
        records = list(reader.read(RawFile(str(path), path.name, path.stat().st_size, 0.0)))
        seconds = time.process_time() - start
        text_bytes = sum(len(record.text) for record in records if isinstance(record, Record)) / 1e6
        opened = bz2.decompress(path.read_bytes()) if path == DUMP else path.read_bytes()
    row = [f"{len(records):,}", len(opened) / 1e6 / seconds, text_bytes / seconds]
    table(
        "The reader, decompression included", ["pages", "MB of XML per CPU-second", "MB of text per CPU-second"], [row]
    )


if __name__ == "__main__":
    main()
