"""Personal data: precision and recall by kind on planted data, on English sentences and on other writings; speed.

    python tests/benchmarks/bench_pii.py [--copies 3]

Prints the tables of pipeline/pii/README.md. About ten seconds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from measured import DATA, table

from pipeline.cleaners.pii import PersonalData
from pipeline.kernels.column import buffers
from pipeline.kernels.gates import find_gates
from pipeline.pii.checksums import luhn
from pipeline.pii.finder import Finder
from pipeline.pii.rules import words
from pipeline.pii.section import KINDS, Pii

TOY = "--copies 1"  # the arguments with which the tests run this file
LABELS = {
    "EMAIL_ADDRESS": "email", "IP_ADDRESS": "ip", "IBAN_CODE": "iban", "US_SSN": "us_ssn", "CREDIT_CARD": "bank_card",
    "PHONE_NUMBER": "phone",
}  # fmt: skip

Hit = tuple[int, int, str]


def spans(texts: Sequence[str]) -> list[list[Hit]]:
    """(start, end, kind) in code points of every match, a list for each text."""
    text = pa.array(texts, pa.large_string())
    data, offsets = buffers(text)
    raw = data.tobytes()
    hits: list[list[Hit]] = [[] for _ in texts]
    for match in Finder(KINDS).find(text):
        start = len(raw[offsets[match.document] : match.begin].decode())
        hits[match.document].append((start, start + len(raw[match.begin : match.end].decode()), match.kind))
    return hits


def lines_of(path: Path) -> Iterator[bytes]:
    if path.exists():
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            yield from stream


def planted() -> None:
    """Precision and recall by kind on the documents with planted data."""
    truth, alike, texts = defaultdict(list), defaultdict(list), dict[str, str]()
    for name, rows in (("pii", truth), ("pii-lookalikes", alike)):
        for line in lines_of(DATA / "raw-mixed.truth" / f"{name}.jsonl"):
            row = json.loads(line)
            rows[row["id"]].append((row["start"], row["end"], row.get("type", "")))
    for record in mixed():
        if record["id"] in truth:
            texts[record["id"]] = record["text"]
    ids = sorted(texts)
    if not ids:
        print(f"no planted data in {DATA}")
        return
    planted_count, right, wrong, touched = Counter[str](), Counter[str](), Counter[str](), 0
    for document, hits in zip(ids, spans([texts[document] for document in ids]), strict=True):
        planted_count.update(kind for _, _, kind in truth[document])
        right.update(kind for start, end, kind in truth[document] if (start, end, kind) in hits)
        wrong.update(kind for start, end, kind in hits if (start, end, kind) not in truth[document])
        touched += sum(any(hit[0] < end and hit[1] > start for hit in hits) for start, end, _ in alike[document])
    rows = [
        [kind, number, right[kind] / number, right[kind] / max(1, right[kind] + wrong[kind])]
        for kind, number in sorted(planted_count.items())
    ]
    table("Planted personal data: equal span and kind", ["kind", "planted", "recall", "precision"], rows)
    print(f"look-alikes touched: {touched} of {sum(map(len, alike.values()))}")


def english() -> None:
    """Recall on labelled English sentences; every other match is wrong."""
    records = [json.loads(line) for line in lines_of(DATA / "eval" / "pii-en.jsonl.gz")]
    if not records:
        print(f"no eval/pii-en.jsonl.gz in {DATA}")
        return
    total, right, wrong = Counter[str](), Counter[str](), 0
    for record, hits in zip(records, spans([record["text"] for record in records]), strict=True):
        for start, end, label in record["spans"]:
            name = label
            if label == "CREDIT_CARD" and not luhn(record["text"][start:end]):
                name = "CREDIT_CARD, wrong check digit"
            total[name] += label in LABELS
            right[name] += any(hit[0] < end and hit[1] > start and _is(LABELS.get(label), hit[2]) for hit in hits)
        wrong += sum(all(hit[0] >= end or hit[1] <= start for start, end, _ in record["spans"]) for hit in hits)
    rows = [[name, number, right[name] / number] for name, number in sorted(total.items()) if number]
    table("English sentences (presidio-research)", ["label", "number", "recall"], rows)
    print(f"matches outside every label: {wrong}")


def _is(name: str | None, kind: str) -> bool:
    """Whether a kind is what a label names; a number of a landline of China is a telephone number."""
    return name is not None and (name in kind or (name == "phone" and kind == "landline_cn"))


def other_writings() -> None:
    """The writings of the tests: they were written by hand beside the rules, so this is no estimate of recall."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "pipeline" / "pii"))
    import writings

    rows = []
    for kind, texts in writings.FOUND.items():
        pairs = [writings.marked(text) for text in texts]
        hits = spans([plain for plain, _ in pairs])
        values = [
            [plain[start:end] for start, end, name in row if name == kind]
            for (plain, _), row in zip(pairs, hits, strict=True)
        ]
        rows.append([kind, len(texts), sum(row == marked for row, (_, marked) in zip(values, pairs, strict=True))])
    wrong = sum(map(len, spans(writings.LOOKALIKES)))
    table("Other writings", ["kind", "writings", "found"], rows)
    print(f"matches in {len(writings.LOOKALIKES)} look-alikes: {wrong}")


def mixed() -> Iterator[dict[str, str]]:
    for path in sorted((DATA / "raw-mixed").glob("*.gz")):
        for line in lines_of(path):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict) and isinstance(record.get("id"), str) and isinstance(record.get("text"), str):
                yield record


def speed(copies: int) -> None:
    """MB per CPU-second of the gates alone and of the whole cleaner, by how much is found."""
    texts = [record["text"].encode("utf-8", "ignore").decode() for record in mixed()]
    marked = [text for text in texts if "example." in text]
    rows = []
    for name, some_texts in (("all of raw-mixed", texts), ("documents with example.*", marked)):
        text = pa.array(some_texts * copies or ["a@b.cd"], pa.large_string())
        data, offsets = buffers(text)
        cleaner = PersonalData(Pii())
        cleaner.clean(text.slice(0, 5))  # compile
        start = time.process_time()
        gates = find_gates(data, offsets, words())
        middle = time.process_time()
        measured = cleaner.clean_and_measure(text)
        end = time.process_time()
        size = int(offsets[-1] - offsets[0]) / 1e6
        count = int(measured.signals["pii"].sum())
        rows.append([name, size, count, len(gates.begin), size / (middle - start + 1e-9), size / (end - middle + 1e-9)])
    table("Speed, MB per CPU-second", ["text", "MB", "found", "gates", "gates alone", "the cleaner"], rows)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--copies", type=int, default=3, help="of the corpus, for the speed")
    arguments = options.parse_args()
    planted()
    english()
    other_writings()
    speed(arguments.copies)


if __name__ == "__main__":
    main()
