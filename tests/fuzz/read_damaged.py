"""Reads damaged copies of a valid file in this process and says what is wrong: one JSON line for each copy.

    python -m tests.fuzz.read_damaged NAME SEED FIRST END FOLDER

A line is written before a copy is read and one after it, so that whoever started this knows where it crashed or hung.
"""

from __future__ import annotations

import csv
import json
import resource
import sys
import time
from pathlib import Path

from pipeline.core.errors import BloomeryError
from pipeline.core.files import RawFile
from pipeline.readers import create_reader
from pipeline.readers.base import BadRecord, Record, Skipped
from tests.fuzz.mutations import mutate
from tests.fuzz.valid_files import VALID_FILES, ValidFile

MAX_RECORD_BYTES = 1 << 20
MEMORY_BYTES = 1 << 30  # more than the process had before


def problem_of(valid: ValidFile, data: bytes, folder: Path) -> str:
    """What is wrong with how a copy is read; empty if nothing is."""
    path = folder / valid.name
    path.write_bytes(data)
    reader = create_reader({"reader": valid.reader, **valid.options}, max_record_bytes=MAX_RECORD_BYTES)
    documents = bad = skipped = 0
    position = -1
    try:
        for record in reader.read(RawFile(str(path), valid.within + path.name, len(data), 0.0)):
            if record.position < position:
                return f"position {record.position} comes after {position}"
            position = record.position
            documents += isinstance(record, Record)
            bad += isinstance(record, BadRecord)
            skipped += isinstance(record, Skipped)
            if isinstance(record, Record) and not record.text.decode().strip():
                return f"the document at {position} has no text"
    except BloomeryError:
        return ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return _loss(valid, data, documents + skipped, bad)


def _loss(valid: ValidFile, data: bytes, good: int, bad: int) -> str:
    if bad or good == valid.records or not data:
        return ""
    if valid.recount is None:
        return f"{good} records of {valid.records}, and no bad record"
    try:
        records = valid.recount(data)
    except (ValueError, csv.Error) as error:
        return f"{good} records and no bad one of a file that another parser refuses: {error}"
    return "" if good == records else f"{good} records and no bad one; another parser has {records}"


def main(name: str, seed: int, first: int, end: int, folder: Path) -> None:
    valid = VALID_FILES[name]
    data = valid.data()
    if problem := problem_of(valid, data, folder):
        sys.exit(f"{name}: the valid file itself: {problem}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(first, end):
        print(json.dumps({"begin": number}), flush=True)
        started = time.monotonic()
        problem = problem_of(valid, mutate(data, name, seed, number), folder)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        if not problem and grown > MEMORY_BYTES:
            problem = f"the memory grew by {grown >> 20:,} MiB"
            before += grown >> 10
        seconds = time.monotonic() - started
        print(json.dumps({"number": number, "problem": problem, "seconds": seconds, "grown": grown}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), folder=Path(sys.argv[5]))
