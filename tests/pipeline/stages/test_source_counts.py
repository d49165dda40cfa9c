"""By source and language, each stage has what came in but for what it dropped: recomputed from the files themselves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.counts import BySource
from pipeline.core.job import Job, StageOutput
from pipeline.core.shards import documents_by_source, documents_dropped
from pipeline.decontamination.section import Decontaminate, decontaminate_files, decontaminate_params
from pipeline.dedupe.section import Dedupe
from pipeline.filters.section import Clean, rules_params, signals_params
from pipeline.readers import match
from pipeline.readers.section import Ingest, ingest_params
from pipeline.stages import clean, decontaminate, dedupe, ingest, pack, signals, tokenizer

ENGLISH = "The smith drew furnace number {} slowly and laid the bloom on the anvil, to be hammered until it held. "
CHINESE = "第{}座炉子把矿石炼成海绵铁，铁匠趁热在砧上反复锻打，直到它结实为止，然后放进灰里慢慢冷却。"
ITEM = "Which of the following best explains why the bloom must be hammered while it is still glowing hot today?"
Pairs = Counter[tuple[str, str]]


def records(source: str) -> Iterator[str]:
    """Good, short, repeated and contaminated documents in two languages, and broken lines."""
    for n in range(30):
        text, language = (CHINESE, "zh") if n % 3 == 0 else (ENGLISH, "en")
        body = {0: text.format(n) * 2, 1: text.format(f"{source} {n}") * 4, 2: "短。" if n % 2 else "Short."}[n % 5 % 3]
        body = body if n % 10 != 9 else f"{text.format(n)} {ITEM} {text.format(n + 100)}"
        licence = {"licence": "CC BY-SA 4.0"} if n % 2 else {}
        yield json.dumps({"id": f"{source}-{n}", "text": body, "lang": language, **licence}, ensure_ascii=False)
    yield '{"text": "没有结尾'
    yield json.dumps({"text": ""})


def pairs(artifact: Artifact) -> Pairs:
    """(source, language) → documents of parts/."""
    tables = [pq.read_table(path, columns=["source", "language"]) for path in artifact.files("parts/")]
    rows = pa.concat_tables(tables).to_pylist()
    return Counter((row["source"], row["language"] or "unknown") for row in rows)


def removed(before: Artifact, artifact: Artifact, kind: str) -> Pairs:
    """(source, language) → documents that the files of removed ones name."""
    ids = {one for path in artifact.files(f"{kind}/") for one in pq.read_table(path)["id"].to_pylist()}
    tables = [pq.read_table(path, columns=["id", "source", "language"]) for path in before.files("parts/")]
    rows = pa.concat_tables(tables).to_pylist()
    return Counter((row["source"], row["language"] or "unknown") for row in rows if row["id"] in ids)


def counted(sources: BySource | None, measure: str = "documents") -> Pairs:
    assert sources is not None
    return Counter({
        (source, language): measures[measure]
        for source, counts in sources.items() for language, measures in counts["languages"].items()
    })  # fmt: skip


def check_reasons(output: StageOutput, lost: Pairs) -> None:
    """Dropped documents by reason and language, and by reason and source, add up to those of each."""
    by_reason = documents_dropped(output.files)
    assert by_reason is not None
    for key, index in (("sources", 0), ("languages", 1)):
        expected: Counter[str] = Counter()
        for pair, number in lost.items():
            expected[pair[index]] += number
        assert sum((Counter(by_key[key]) for by_key in by_reason.values()), Counter()) == expected
        sums = {reason: sum(by_key[key].values()) for reason, by_key in by_reason.items()}
        assert sums == {reason: n for reason, n in output.counts["dropped"].items() if n}


Results = dict[str, tuple[Artifact, StageOutput]]
Flow = Callable[[str], Results]


@pytest.fixture
def flow(tmp_path: Path, make_job: Callable[..., Job], publish: Callable[[Job, StageOutput], Artifact]) -> Flow:
    """flow("pack") → every stage from ingest to pack, of two sources."""
    sources = []
    for name in ("web", "书"):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(records(name)) + "\n", encoding="utf-8")
        sources.append({"reader": "jsonl", "name": name, "paths": str(tmp_path / f"{name}.jsonl"), "licence": "MIT"})
    items = tmp_path / "quiz.jsonl"
    items.write_text(json.dumps({"question": ITEM}) + "\n", encoding="utf-8")
    section = Ingest.model_validate({"sources": sources, "max_bad_fraction": 0.2})
    raw = [
        {"source": source.name, "reader": source.reader,
         "files": [{**file.__dict__, "sha256": "0" * 64} for file in match(source)]} for source in section.sources
    ]  # fmt: skip
    evaluation = Decontaminate.model_validate({"files": [str(items)]})
    rules = Clean.model_validate({"filters": [{"length": {"min_units": 8}}]})
    stages: list[tuple[Any, str, dict[str, Any], Any]] = [
        (ingest, "documents", ingest_params(section, 17), raw),
        (signals, "documents", signals_params(rules, 17), ()),
        (clean, "documents", rules_params(rules, 17), ()),
        (dedupe, "documents", Dedupe(method="exact").model_dump(), ()),
        (decontaminate, "documents", decontaminate_params(evaluation, 17), decontaminate_files(evaluation)),
        (tokenizer, "tokenizer", {"vocabulary": 300}, ()),
        (pack, "tokens", {"length": 32, "validation": 0.1}, ()),
    ]

    def run(last: str) -> Results:
        inputs: dict[str, Artifact] = {}
        results: Results = {}
        for module, kind, params, files in stages:
            name = module.__name__.rpartition(".")[2]
            job = make_job(name, stage=name, kind=kind, params=params, sources=files, inputs=dict(inputs))
            output = module.run(job)
            inputs[kind] = publish(job, output)
            results[name] = (inputs[kind], output)
            if name == last:
                break
        return results

    return run


def test_every_stage_has_what_came_in_but_for_what_it_dropped(flow: Flow) -> None:
    results = flow("decontaminate")
    order = ("ingest", "signals", "clean", "dedupe", "decontaminate")
    for name in order:
        artifact, output = results[name]
        assert counted(documents_by_source(output.files)) == pairs(artifact), name
    for before, after, kind in (
        ("signals", "clean", "rejected"), ("clean", "dedupe", "duplicates"),
        ("dedupe", "decontaminate", "rejected"),
    ):  # fmt: skip
        entered, left = (counted(documents_by_source(results[name][1].files)) for name in (before, after))
        lost = removed(results[before][0], results[after][0], kind)
        assert lost and entered == left + lost, after
        assert lost.total() == sum(results[after][1].counts["dropped"].values())
        check_reasons(results[after][1], lost)


def test_the_records_of_a_source_are_documents_or_counted_by_reason(flow: Flow) -> None:
    _, output = flow("ingest")["ingest"]
    counts, documents = output.counts, counted(documents_by_source(output.files))
    assert set(counts["records_by_source"]) == {"web", "书"}
    for source, records_of_source in counts["records_by_source"].items():
        read = sum(n for (name, _), n in documents.items() if name == source)
        quarantined = records_of_source["quarantined"]
        assert records_of_source["records"] == 32 == read + sum(quarantined.values())
        assert quarantined == {"empty_text": 1, "unparsable_json": 1} and records_of_source["skipped"] == {}


def test_pack_counts_tokens_of_all_documents_by_source_and_language(flow: Flow) -> None:
    results = flow("pack")
    _, output = results["pack"]
    sources = output.counts["sources"]
    assert counted(sources) == pairs(results["decontaminate"][0])
    assert counted(sources, "tokens").total() == output.counts["tokens"]
    for language in ("en", "zh"):
        of_splits = sum(split["languages"][language]["tokens"] for split in output.counts["splits"].values())
        assert of_splits == sum(n for (_, name), n in counted(sources, "tokens").items() if name == language)


def test_licences_of_documents_are_counted_and_those_of_sources_are_no_parameter(flow: Flow) -> None:
    sources = documents_by_source(flow("ingest")["ingest"][1].files)
    assert sources is not None and sources["书"]["licences"] == {"CC BY-SA 4.0": 15}
    section = Ingest.model_validate({"sources": [{"reader": "plain", "paths": "a", "licence": "MIT"}]})
    assert "MIT" not in str(ingest_params(section, 17))


def test_the_counts_are_the_same_with_one_worker_and_three(
    make_job: Callable[..., Job], make_documents: Callable[..., Artifact]
) -> None:
    rows = [
        {"text": (CHINESE if n % 3 == 0 else ENGLISH).format(n), "language": "zh" if n % 3 == 0 else "en",
         "source": "书" if n % 2 else "web", "metadata": [{"key": "license", "value": f"licence {n % 5}"}]}
        for n in range(60)
    ]  # fmt: skip
    documents = make_documents(rows, files=3)
    counts = []
    for workers in (1, 3):
        job = make_job(
            f"signals-{workers}", params=signals_params(Clean(), 17), inputs={"documents": documents}, workers=workers
        )
        counts.append(documents_by_source(signals.run(job).files))
    assert counts[0] == counts[1] and counted(counts[0]).total() == 60
