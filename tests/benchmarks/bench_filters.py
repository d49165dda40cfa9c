"""What the default cleaners and filters keep: published text by source, planted junk by kind, documentation.

    python tests/benchmarks/bench_filters.py [--packages NAME …] [--bytes 4000000]

Prints the tables of pipeline/filters/README.md. About a minute. The table of unseen junk judges each kind of planted
junk by limits that were chosen without it: for every rule the value beyond which the same share of good text lies, the
share being the one that catches most of the other kinds and keeps enough of the good text. Every other good text
chooses, the rest is judged.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
from measured import DATA, table

from pipeline.cleaners.unicode import Options, Unicode
from pipeline.core.errors import UserError
from pipeline.filters import FILTERS
from pipeline.filters.base import Rule, build_filter
from pipeline.filters.limits import CHARACTERS, WORDS
from pipeline.filters.rules import KEPT, apply_rules, resolve_languages
from pipeline.filters.section import Clean
from pipeline.kernels import column
from pipeline.stages.signals import measure_signals, signals_schema
from pipeline.text.language import canonical, fallbacks

TOY = "--packages numpy --bytes 100000"  # the arguments with which the tests run this file

DOCUMENTED = ("numpy", "pandas", "pyarrow", "sympy", "networkx", "polars", "apache-beam", "torch")
FOR_DOCUMENTATION = [
    {"length": {"min_units": 20}},
    {"quality": {"min_letter_units": 0.5}},
    "repetition",
]


Measured = tuple[list[str | None], dict[str, Any]]
"""Languages and signals of some documents."""


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
    believed, signals = measured(documents)
    first = apply_rules(rules, signals, believed).first
    return [None if number == KEPT else rules[number].name for number in first.tolist()]


def measured(documents: list[Document]) -> Measured:
    """Languages and signals as the stages have them: identified, and corrected where the text contradicts its tag."""
    text = Unicode(Options()).clean(pa.array([one.text for one in documents], pa.large_string()))
    guessed = column.languages(text).to_pylist()
    tags = pa.array([one.language or guess for one, guess in zip(documents, guessed, strict=True)], pa.string())
    rows = pa.table({"id": pa.array(map(str, range(len(text))), pa.string()), "text": text, "language": tags})
    identified, values = measure_signals(rows, [], {}, signals_schema([], []), identify="untagged")
    signals = {name: values[name].to_numpy() for name in values.column_names[1:]}
    return resolve_languages(identified["language"].to_pylist(), signals, pa.chunked_array([text]))


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


SHARES = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01)
KEEP = 0.98  # of the good text that chooses
KEYS = {"en": WORDS, "zh": CHARACTERS}


def unseen(good: list[Document], bad: list[Document]) -> None:
    """Each kind of junk under limits chosen without it, beside the default limits."""
    texts = {key: _in_language(good, key) for key in KEYS}
    if not bad or min(map(len, texts.values())) < 4:
        return
    rules = [rule for one in Clean().filters for rule in build_filter(FILTERS, one.name, one.options).rules()]
    rules = [rule for rule in rules if any(limit is not None for limit in rule.limits.values())]
    choosing = {key: measured(of_key[::2]) for key, of_key in texts.items()}
    judging = {key: measured(of_key[1::2]) for key, of_key in texts.items()}
    spoiled, kinds = measured(bad), np.array([one.group[1] for one in bad])
    english = np.array([one.group[0].endswith(", en") for one in bad])
    defaults, counts, rows = fails(rules, spoiled), np.zeros(len(bad), bool), []
    for kind in sorted(set(kinds)):
        limited = choose(rules, choosing, spoiled, kinds != kind)
        own = kinds == kind
        counts[own] = fails(limited, spoiled)[own]
        keeps = [f"{100 * (1 - fails(limited, judging[key]).mean()):.1f}" for key in KEYS]
        rows.append(
            [kind, *_caught(own & english, defaults, counts), *_caught(own & ~english, defaults, counts), *keeps]
        )
    rows.append(["all", *_caught(english, defaults, counts), *_caught(~english, defaults, counts), "", ""])
    header = ["kind", "en", "caught by the defaults", "by limits chosen without it", "zh", "caught by the defaults",
              "by limits chosen without it", "these keep of good en %", "zh %"]  # fmt: skip
    table("Planted junk of a kind that the limits were not chosen on", header, rows)


def _in_language(documents: list[Document], language: str) -> list[Document]:
    return [one for one in documents if language in fallbacks(one.group[0].split(", ")[1])]


def _caught(rows: Any, defaults: Any, hits: Any) -> list[str]:
    total = int(rows.sum())
    shares = [
        f"{n} ({100 * n / total:.1f} %)" if total else "" for n in (int((x & rows).sum()) for x in (defaults, hits))
    ]
    return [str(total), *shares]


def choose(rules: list[Rule], good: dict[str, Measured], junk: Measured, others: Any) -> list[Rule]:
    """The rules with the limits of the share that catches most of the other kinds, of those that keep KEEP."""
    best, hits_of_best = rules, -1
    for share in SHARES:
        limited = [with_limits(rule, good, share) for rule in rules]
        hits = int(fails(limited, junk)[others].sum())
        keeps = min(1 - fails(limited, documents).mean() for documents in good.values())
        if hits > hits_of_best and (share == SHARES[0] or keeps >= KEEP):
            best, hits_of_best = limited, hits
    return best


def with_limits(rule: Rule, good: dict[str, Measured], share: float) -> Rule:
    """The rule with the limits beyond which this share of the good text of a language is, for the keys that it has."""
    limits: dict[str, float | None] = {}
    quantile, method = (share, "lower") if rule.side == "min" else (1 - share, "higher")
    for language, unit in KEYS.items():
        values = good[language][1][rule.signal]
        values = values[~np.isnan(values)]
        limit = float(np.quantile(values, quantile, method=method)) if len(values) else None  # type: ignore[call-overload]
        limits |= {key: limit for key in (language, unit) if key in rule.limits and limit is not None}
    return replace(rule, limits=limits)


def fails(rules: list[Rule], documents: Measured) -> Any:
    languages, signals = documents
    return apply_rules(rules, signals, languages).first != KEPT


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
    unseen(good, bad)
    docs = list(documentation(chosen.packages, chosen.bytes))
    report("Documentation, default rules", docs, default, by_source=False)
    report(f"Documentation, {FOR_DOCUMENTATION}", docs, FOR_DOCUMENTATION, by_source=False)


if __name__ == "__main__":
    main()
