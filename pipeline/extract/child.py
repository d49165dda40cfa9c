"""The process of an extractor: reads a page, writes its text. `process.py` is the other side.

The kernel ends it when a page has used its CPU time, even within a C library, and refuses memory above the limit.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import BinaryIO

from pipeline.extract import EXTRACTORS

LENGTH_BYTES = 4  # of a message, before it
DETAIL_CHARACTERS = 200


def main() -> None:
    """Answer pages until the input ends."""
    component, (cpu_seconds, memory_bytes) = json.loads(sys.argv[2]), json.loads(sys.argv[3])
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not print into the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's business
    try:
        name, options = component["name"], component["options"]
        extractor = EXTRACTORS.load(name)(EXTRACTORS.section(name).model_validate(options))
    except Exception as error:
        _send(target, b"-" + f"{type(error).__name__}: {error}".encode())
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    _send(target, b"+")
    while length := source.read(LENGTH_BYTES):
        page = source.read(int.from_bytes(length, "little")).decode()
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # its signal ends the process: nothing handles it
        try:
            answer = b"+" + extractor.extract(page).encode("utf-8", "replace")
        except Exception as error:
            answer = b"-" + f"{type(error).__name__}: {error}"[:DETAIL_CHARACTERS].encode("utf-8", "replace")
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(target, answer)


def _send(target: BinaryIO, answer: bytes) -> None:
    target.write(len(answer).to_bytes(LENGTH_BYTES, "little") + answer)
    target.flush()
