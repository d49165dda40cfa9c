"""The peer's side of bench_conformance.py, run by a Python that has datatrove[io,processing] and spacy.

    python peer_datatrove_filters.py TEXTS.json OUT.json [LANGUAGE]

Writes for each filter its decision on every text (null: kept, else the reason) and its CPU-seconds, and the CPU-seconds
of the four in a chain on the same document, which shares the words of one document between filters.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)


def decide(built: Any, text: str) -> str | None:
    """None if the filter keeps the text, else its reason."""
    try:
        result = built.filter(Document(text=text, id="x"))
    except ZeroDivisionError:
        return "error"
    return None if result is True else (result[1] if isinstance(result, tuple) else "dropped")


def main(texts_path: str, out_path: str, language: str = "eng") -> None:
    with open(texts_path) as stream:
        texts = json.load(stream)
    of = {"language": language}
    filters = {
        "gopher_repetition": GopherRepetitionFilter(**of),
        "gopher_quality": GopherQualityFilter(**of),
        "c4": C4QualityFilter(filter_no_terminal_punct=True, **of),
        "fineweb": FineWebQualityFilter(**of),
    }
    for built in filters.values():
        decide(built, "Warm up. This loads the tokenizer.")
    result: dict[str, Any] = {"decisions": {}, "seconds": {}}
    started = time.process_time()
    for text in texts:  # every filter sees every text, so that the work does not depend on what is dropped
        for built in filters.values():
            decide(built, text)
    result["seconds"]["chain"] = time.process_time() - started
    for name, built in filters.items():
        result["decisions"][name] = [decide(built, text) for text in texts]
    with open(out_path, "w") as stream:
        json.dump(result, stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
