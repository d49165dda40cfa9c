"""The records of real and damaged archives with a known truth: each ends as `web.truth.jsonl` says."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.files import RawFile
from pipeline.readers import create_reader
from pipeline.readers.base import AnyRecord, BadRecord, Record
from pipeline.readers.section import Ingest, ingest_params

DATA = Path(os.environ.get("BLOOMERY_DATA", "../shared/data"))
pytestmark = pytest.mark.skipif(not (DATA / "web").is_dir(), reason=f"{DATA}/web is not there: set BLOOMERY_DATA")
# share of the sentences that must come out, and of the lines of navigation that must not: 0.02 below what was measured
EXPECTED = {
    ("trafilatura", "en"): (0.98, 0.98), ("trafilatura", "zh"): (0.98, 0.98),
    ("resiliparse", "en"): (0.98, 0.94), ("resiliparse", "zh"): (0.93, 0.94),
    ("whole", "en"): (0.98, 0.0), ("whole", "zh"): (0.98, 0.0),
}  # fmt: skip


def read(name: str, extract: str = "whole") -> list[AnyRecord]:
    path = DATA / "web" / name
    section = Ingest.model_validate({"sources": [{"reader": "warc", "paths": "unused", "extract": extract}]})
    reader = create_reader(ingest_params(section, 17)["sources"][0], max_record_bytes=64 << 20)
    return list(reader.read(RawFile(str(path), path.name, path.stat().st_size, 0.0)))


@cache
def truth(name: str) -> list[dict[str, Any]]:
    with open(DATA / "web.truth.jsonl", encoding="utf-8") as lines:
        return [entry for entry in map(json.loads, lines) if entry["warc"] == name]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def shares(records: list[AnyRecord], entries: list[dict[str, Any]], language: str) -> tuple[float, float]:
    """The share of sentences that came out, and of lines of navigation that did not, over the pages of a language."""
    must = hit = must_not = kept = 0
    for entry in entries:
        if entry["lang"] != language:
            continue
        record = records[entry["record"]]
        assert not isinstance(record, BadRecord), (entry["url"], record)
        text = record.text.decode() if isinstance(record, Record) else ""
        lines = {squeezed(line.strip(" -*•·>|#")) for line in text.split("\n")}
        must += len(entry["must"])
        hit += sum(squeezed(sentence) in squeezed(text) for sentence in entry["must"])
        must_not += len(entry["must_not"])
        kept += sum(squeezed(line) in lines for line in entry["must_not"])
    return hit / must, 1 - kept / must_not


@pytest.mark.parametrize("extract", ["trafilatura", "resiliparse", "whole"])
def test_sentences_come_out_and_navigation_stays_out(extract: str) -> None:
    records = read("pages.warc.gz", extract)
    assert len(records) == 117
    for language in ("en", "zh"):
        must, must_not = shares(records, truth("pages.warc.gz"), language)
        least_must, least_must_not = EXPECTED[extract, language]
        assert (must >= least_must, must_not >= least_must_not) == (True, True), (language, must, must_not)


def test_every_charset_is_read_whatever_the_labels_say() -> None:
    records = read("charsets.warc.gz")
    entries = truth("charsets.warc.gz")
    assert len(entries) == 20
    for entry in entries:
        record = records[entry["record"]]
        assert isinstance(record, Record)
        text = squeezed(record.text.decode())
        assert "\ufffd" not in text, entry["declared"]
        assert all(squeezed(sentence) in text for sentence in entry["must"]), entry
        assert squeezed(entry["title"].partition(" |")[0]) in text or not entry["must"]


def test_odd_records_end_as_their_truth_says() -> None:
    records = read("odd-records.warc.gz", "trafilatura")
    for entry in truth("odd-records.warc.gz"):
        is_document = isinstance(records[entry["record"]], Record)
        assert entry["expect"] == "either" or is_document == (entry["expect"] == "html"), entry
    assert len(records) == 19


def test_a_cut_archive_keeps_what_is_whole_and_reports_the_rest() -> None:
    whole, cut = read("odd-records.warc.gz"), read("cut.warc.gz")
    assert cut[:-1] == whole[: len(cut) - 1]
    assert isinstance(cut[-1], BadRecord)
    assert (cut[-1].reason, len(cut)) == ("truncated", 16)
    assert "8,393 bytes of the file cannot be read" in cut[-1].detail


SAMPLES = {
    "example.warc.gz": {"document": 1, "warc_warcinfo": 2, "warc_request": 2, "warc_revisit": 1},
    "example-iana.org-chunked.warc": {"document": 1, "warc_warcinfo": 1, "warc_request": 1},
    "example-wrong-chunks.warc.gz": {"document": 1, "warc_request": 1},
    "example-trunc.warc": {"wrong_length": 1, "warc_warcinfo": 2, "warc_request": 1},
    "example-bad.warc.gz.bad": {
        "document": 1, "warc_warcinfo": 1, "warc_request": 2, "warc_revisit": 1, "status_302": 1,
    },
    "example.arc.gz": {"document": 1, "warc_filedesc": 1},
    "whirlwind.warc.gz": {"document": 1, "warc_warcinfo": 1, "warc_request": 1, "warc_metadata": 1},
    "whirlwind.warc.wet.gz": {"document": 1, "warc_warcinfo": 1},
    "whirlwind.warc.wat.gz": {"warc_warcinfo": 1, "warc_metadata": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_of_other_programs_are_read(name: str) -> None:
    counts: dict[str, int] = {}
    for record in read(f"samples/{name}"):
        kind = "document" if isinstance(record, Record) else record.reason
        counts[kind] = counts.get(kind, 0) + 1
    assert counts == SAMPLES[name]
