"""What the default cleaners and filters keep: published text by source, planted junk by kind, documentation.

    python tests/benchmarks/bench_filters.py [--packages NAME …] [--bytes 4000000]

Prints the tables of pipeline/filters/README.md. About a minute.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from measured import DATA, table

from pipeline.cleaners.unicode import Options, Unicode
from pipeline.core.errors import UserError
from pipeline.filters import FILTERS
from pipeline.filters.base import build_filter
from pipeline.filters.rules import KEPT, apply_rules, resolve_languages
from pipeline.filters.section import Clean
from pipeline.kernels import column
from pipeline.text.language import canonical

TOY = "--packages numpy --bytes 100000"  # the arguments with which the tests run this file

DOCUMENTED = ("numpy", "pandas", "pyarrow", "sympy", "networkx", "polars", "apache-beam", "torch")
FOR_DOCUMENTATION = [
    {"length": {"min_units": 20}},
    {"quality": {"min_letter_units": 0.5}},
    "repetition",
]


@dataclass(frozen=True)
class Document:
    """A text, the language it is said to be in, and where it is counted."""

    text: str
    language: str | None
    group: tuple[str, str]


def lines_of(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") as stream:
        yield from stream


def corpora() -> Iterator[Document]:
    for language in ("en", "zh"):
        for path in sorted((DATA / "corpora" / language).glob("*.jsonl.gz")):
            for line in lines_of(path):
                yield Document(json.loads(line)["text"], language, (f"corpora {language}", path.name.split(".")[0]))


def mixed() -> Iterator[Document]:
    truth = {}
    for line in lines_of(DATA / "raw-mixed.truth" / "docs.jsonl.gz"):
        row = json.loads(line)
        truth[row["shard"], row["line"]] = row
    for path in sorted((DATA / "raw-mixed").glob("*.gz")):
        for number, line in enumerate(lines_of(path), 1):
            row = truth.get((path.name, number))
            if row is not None:
                record = json.loads(line)
                language = row["lang"] if row["lang"] in ("en", "zh", "zh-Hant", "code") else "other languages"
                group = (f"{row['quality']}, {language}", row["reason"] or row["source"])
                yield Document(record["text"], canonical(record.get("lang")), group)


def documentation(packages: list[str], size_bytes: int) -> Iterator[Document]:
    """What the reader of the demonstration finds in some of the installed packages."""
    from pipeline.readers import create_reader, match
    from pipeline.readers.section import PythonDocs

    for name in packages:
        try:
            pinned = [f"{name}=={metadata.version(name)}"]
            source = PythonDocs(reader="python_docs", packages=pinned, bytes=size_bytes)
            options = source.model_dump(mode="json")
            files = match(source)
        except (metadata.PackageNotFoundError, UserError):
            continue
        for file in files:
            for found in create_reader(options, max_record_bytes=64 << 20).read(file):
                if not hasattr(found, "reason"):
                    yield Document(found.text.decode(), "en", ("documentation", name))


def judged(documents: list[Document], filters: list[Any]) -> list[str | None]:
    """The rule by which each document goes, None if it stays."""
    chosen = Clean(filters=filters).filters
    rules = [rule for one in chosen for rule in build_filter(FILTERS, one.name, one.options).rules()]
    text = Unicode(Options()).clean(pa.array([one.text for one in documents], pa.large_string()))
    guessed = column.languages(text).to_pylist()
    languages = [one.language or guess for one, guess in zip(documents, guessed, strict=True)]
    believed, signals = resolve_languages(languages, column.measure(text, languages), pa.chunked_array([text]))
    first = apply_rules(rules, signals, believed).first
    return [None if number == KEPT else rules[number].name for number in first.tolist()]


def report(title: str, documents: list[Document], filters: list[Any], *, by_source: bool) -> None:
    """A row a group: documents, share of documents and of characters kept, and the commonest reasons."""
    groups: dict[str, SimpleNamespace] = defaultdict(
        lambda: SimpleNamespace(all=0, kept=0, size=0, left=0, why=Counter())
    )
    for one, rule in zip(documents, judged(documents, filters), strict=True):
        for name in (one.group[0], f"{one.group[0]}: {one.group[1]}") if by_source else (one.group[0],):
            group = groups[name]
            group.all, group.size = group.all + 1, group.size + len(one.text)
            if rule is None:
                group.kept, group.left = group.kept + 1, group.left + len(one.text)
            else:
                group.why[rule] += 1
    rows = [
        [name, f"{g.all:,}", 100 * g.kept / g.all, 100 * g.left / g.size, _words(g.why)]
        for name, g in sorted(groups.items())
    ]
    table(title, ["text", "documents", "kept %", "characters kept %", "first reasons"], rows)


def _words(reasons: Counter[str]) -> str:
    return ", ".join(f"{name.partition('.')[2]} {count}" for name, count in reasons.most_common(3))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--packages", nargs="+", default=DOCUMENTED, help="whose documentation is read")
    options.add_argument("--bytes", type=int, default=4_000_000, help="of documentation, of each package")
    chosen = options.parse_args()
    default: list[Any] = ["length", "quality", "repetition"]
    report("Clean corpora, default rules", list(corpora()), default, by_source=True)
    found = list(mixed())
    good = [one for one in found if one.group[0].startswith("good")]
    bad = [one for one in found if one.group[0].startswith("bad")]
    report("raw-mixed, quality good, default rules", good, default, by_source=False)
    report("raw-mixed, planted junk, default rules (kept is missed)", bad, default, by_source=True)
    docs = list(documentation(chosen.packages, chosen.bytes))
    report("Documentation, default rules", docs, default, by_source=False)
    report(f"Documentation, {FOR_DOCUMENTATION}", docs, FOR_DOCUMENTATION, by_source=False)


if __name__ == "__main__":
    main()
