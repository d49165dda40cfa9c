"""Personal data: every writing is found with its kind, look-alikes are not, and no document sees another."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.kernels.column import buffers
from pipeline.pii.checksums import luhn
from pipeline.pii.finder import Finder, fold
from pipeline.pii.section import KINDS

DATA = Path(os.environ.get("BLOOMERY_DATA", "../shared/data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there: set BLOOMERY_DATA")
SPEC = importlib.util.spec_from_file_location("writings", Path(__file__).with_name("writings.py"))
assert SPEC is not None and SPEC.loader is not None
writings = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(writings)

LEAST = 0.95
Hit = tuple[int, int, str]


def find(*texts: str) -> list[list[tuple[str, str]]]:
    """(kind, value) of every match, a list for each text."""
    return [
        [(kind, text[start:end]) for start, end, kind in hits] for text, hits in zip(texts, spans(texts), strict=True)
    ]


def spans(texts: tuple[str, ...] | list[str]) -> list[list[Hit]]:
    """(start, end, kind) in code points of every match, a list for each text."""
    text = pa.array(texts, pa.large_string())
    data, offsets = buffers(text)
    raw = data.tobytes()
    hits: list[list[Hit]] = [[] for _ in texts]
    for match in Finder(KINDS).find(text):
        start = len(raw[offsets[match.document] : match.begin].decode())
        hits[match.document].append((start, start + len(raw[match.begin : match.end].decode()), match.kind))
    return hits


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in writings.FOUND.items() for text in texts])
def test_every_writing_is_found_with_its_kind(kind: str, text: str) -> None:
    plain, values = writings.marked(text)
    assert find(plain)[0] == [(kind, value) for value in values]


@pytest.mark.parametrize("text", writings.LOOKALIKES)
def test_what_only_looks_like_personal_data_is_left_alone(text: str) -> None:
    assert find(text)[0] == []


def test_every_kind_has_writings() -> None:
    assert set(writings.FOUND) == set(KINDS)


def test_matches_of_a_column_are_those_of_its_documents_one_by_one() -> None:
    texts = [writings.marked(text)[0] for texts in writings.FOUND.values() for text in texts] + ["", "no data", "139"]
    assert find(*texts) == [find(text)[0] for text in texts]
    # a match never crosses into the next document
    assert find("1381234", "5678", "a@example.c", "om and 8.8.", "8.8") == [[], [], [], [], []]


def test_the_longest_of_overlapping_matches_stays() -> None:
    text = "see https://bob:pa55@example.com/8.8.8.8?q=a@example.org now"
    assert find(text)[0] == [("url_user", "https://bob:pa55@example.com/8.8.8.8?q=a@example.org")]
    assert find("身份证11010519491231002X")[0] == [("cn_id", "11010519491231002X")]


def test_folding_keeps_the_position_of_every_byte() -> None:
    text = "号１３8\u00a0–－x"
    folded, positions = fold(text.encode())
    assert folded.decode() == "号138 --x"
    assert [text.encode()[start:].decode("utf-8", "ignore")[:1] for start in positions[3:-1]] == list("１３8\u00a0–－x")


@pytest.mark.parametrize("text", ["1" * 1_000_000, "a@" * 300_000, "1.1." * 250_000, "QQ" * 300_000, "+1 " * 300_000])
def test_no_text_takes_more_than_linear_time(text: str) -> None:
    start = time.process_time()
    find(text)
    assert time.process_time() - start < 10


def lines_of(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") as stream:
        yield from stream


def planted() -> tuple[dict[str, str], dict[str, list[dict[str, Any]]], dict[str, list[dict[str, Any]]]]:
    """Documents with planted personal data, and by id the truth and the look-alikes."""
    truth, lookalikes = defaultdict(list), defaultdict(list)
    for name, rows in (("pii", truth), ("pii-lookalikes", lookalikes)):
        for line in (DATA / "raw-mixed.truth" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            rows[json.loads(line)["id"]].append(json.loads(line))
    texts = {}
    for path in sorted((DATA / "raw-mixed").glob("*.gz")):
        for line in lines_of(path):
            with contextlib.suppress(ValueError, AttributeError, RecursionError):  # broken lines are part of these data
                record = json.loads(line)
                if record.get("id") in truth:
                    texts[record["id"]] = record["text"]
    return texts, truth, lookalikes


@needs_data
def test_precision_and_recall_on_planted_data_by_kind() -> None:
    texts, truth, lookalikes = planted()
    ids = sorted(truth)
    hits = dict(zip(ids, spans([texts[document] for document in ids]), strict=True))
    right, missed, wrong, touched = Counter[str](), Counter[str](), Counter[str](), 0
    for document in ids:
        used = set()
        for span in truth[document]:
            covering = [hit for hit in hits[document] if hit == (span["start"], span["end"], span["type"])]
            right[span["type"]] += bool(covering)
            missed[span["type"]] += not covering
            used.update(covering)
        wrong.update(hit[2] for hit in hits[document] if hit not in used)
        for alike in lookalikes[document]:
            touched += any(hit[0] < alike["end"] and hit[1] > alike["start"] for hit in hits[document])
    assert len(right) == 13
    for kind in right:
        assert right[kind] / (right[kind] + missed[kind]) >= LEAST, kind
        assert right[kind] / (right[kind] + wrong[kind]) >= LEAST, kind
    assert touched == 0


@needs_data
def test_recall_on_english_sentences() -> None:
    kinds = {
        "EMAIL_ADDRESS": "email",
        "IP_ADDRESS": "ip",
        "IBAN_CODE": "iban",
        "US_SSN": "us_ssn",
        "CREDIT_CARD": "bank_card",
    }
    records = [json.loads(line) for line in lines_of(DATA / "eval" / "pii-en.jsonl.gz")]
    total, right, wrong = Counter[str](), Counter[str](), 0
    for record, hits in zip(records, spans([record["text"] for record in records]), strict=True):
        for start, end, label in record["spans"]:
            if label not in kinds or (label == "CREDIT_CARD" and not luhn(record["text"][start:end])):
                continue
            total[label] += 1
            right[label] += any(hit[0] < end and hit[1] > start and hit[2].startswith(kinds[label]) for hit in hits)
        wrong += sum(all(hit[0] >= end or hit[1] <= start for start, end, _ in record["spans"]) for hit in hits)
    assert {label: right[label] / total[label] >= LEAST for label in kinds} == dict.fromkeys(kinds, True)
    assert wrong == 0
