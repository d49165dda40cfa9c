"""Repeated passages in raw-mixed: what each finder removes, planted boilerplate that is found, MB per CPU-second.

    python tests/benchmarks/bench_passages.py [--peer PYTHON] [--peer-mb 6]

    python -m venv peers && peers/bin/pip install "datatrove[io,processing]==0.10.1" spacy==3.8.18

Prints the tables of pipeline/passages/README.md, with the defaults; "within": with `within_documents: true`.
Removals are read after `dedupe`, as in the flow; a removal is of one text if both documents are edits of one original,
else of two. The peer reads English documents alone.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from bench_dedupe import artifact
from enlarge import read, write
from measured import DATA, measure, table

from pipeline.core.artifact import Artifact
from pipeline.core.draft import LocalDraft
from pipeline.core.files import JsonObject
from pipeline.core.inputs import Inputs
from pipeline.core.job import Identity, Job, StageOutput
from pipeline.core.places import JobPaths
from pipeline.core.records import DOCUMENTS
from pipeline.core.shards import FileEntry, ShardWriter, batches, number
from pipeline.dedupe.section import Dedupe
from pipeline.kernels.column import buffers
from pipeline.kernels.passages import space_for, split_pieces
from pipeline.passages.section import Passages, passages_params
from pipeline.stages import dedupe, passages
from pipeline.text.unicode import tables

TOY = "--peer-mb 0.1"  # the arguments with which the tests run this file

PEER = Path(__file__).with_name("peer_datatrove_sentences.py")
# the lines that raw-mixed has around documents of the kind A-boilerplate
PLANTED = {
    "Home | About | Contact | Privacy Policy", "You are here: Home > Articles",
    "We use cookies to give you the best experience. By continuing to browse this site you accept our use of cookies.",
    "Share this: Facebook Twitter Email Print",
    "Related posts: none yet. Leave a reply. Your email address will not be published.",
    "Copyright (c) all rights reserved by the respective owners. Terms of use. Back to top.",
    "首页 | 关于我们 | 联系我们 | 网站地图", "您当前的位置：首页 > 正文",
    "本站使用 Cookie 以改善您的浏览体验，继续访问即表示您同意我们的隐私政策。",
    "版权所有，未经许可不得转载。返回顶部", "分享到：微信 微博 QQ空间",
    "上一篇：没有了\u3000下一篇：没有了", "责任编辑：佚名",
}  # fmt: skip
LENGTHS = ((1, 1), (10, 20), (20, 30), (30, 50))
DEFAULT = 2  # the index of the default lengths
WITHIN = {"within_documents": True}
COPIES = ("exact", "norm", "A-drop", "A-rotate", "A-truncate", "A-boilerplate")
Truth = Mapping[str, JsonObject]


def truth() -> Truth:
    with gzip.open(DATA / "raw-mixed.truth" / "docs.jsonl.gz", "rt", encoding="utf-8") as stream:
        return {record["id"]: record for record in map(json.loads, stream)}


def documents(folder: Path, known: Truth) -> Artifact:
    """A documents artifact of raw-mixed with the sources and languages of its truth, a file a shard."""
    entries: list[FileEntry] = []
    for path in sorted((DATA / "raw-mixed").glob("*.gz")):
        rows = []
        for record in read(path.name, path.parent):
            if isinstance(record["text"], str) and record["text"] and "id" in record:
                facts = known.get(str(record["id"]), {})
                language = "code" if facts.get("source") == "code" else facts.get("lang")
                named = {"id": str(record["id"]), "source_id": str(record["id"]), "source": facts.get("source")}
                rows.append({**named, "text": record["text"], "language": language})
        with ShardWriter(folder, "parts", path.name, DOCUMENTS) as shard:
            for first in range(0, len(rows), 1_000):
                shard.write(pa.Table.from_pylist(rows[first : first + 1_000], schema=DOCUMENTS))
        assert shard.entry is not None
        entries.append(shard.entry)
    return artifact(folder, StageOutput(number(LocalDraft(folder), entries), {}))


class Bench:
    """Runs stages, each in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root, self.runs = root, 0

    def run(self, stage: Any, params: JsonObject, inputs: Artifact) -> tuple[Artifact, JsonObject, float]:
        """The artifact, its counts, and CPU-seconds."""
        self.runs += 1
        folder = self.root / f"run-{self.runs}"
        folder.mkdir()
        identity = Identity("bench", 1, "documents", "", "", params, 17)
        paths = JobPaths(folder, self.root, self.root, self.root / "log.txt")
        job = Job(identity, Inputs.of({"documents": inputs}), paths)
        start = time.process_time()
        outcome = stage.run(job)
        return artifact(folder, outcome), dict(outcome.counts), time.process_time() - start

    def passages(self, inputs: Artifact, *finders: Any) -> tuple[Artifact, JsonObject, float]:
        section = Passages.model_validate({"finders": list(finders)})
        return self.run(passages, passages_params(section, 17), inputs)


def rows_of(result: Artifact, folder: str, columns: list[str] | None = None) -> Iterator[JsonObject]:
    for path in result.files(folder):
        yield from pq.read_table(path, columns=columns).to_pylist()


def what_goes(bench: Bench, distinct: Artifact, known: Truth) -> None:
    """By finder and length: passages of one text and of two, by source."""
    rows = []
    by_lengths = [
        [{name: {"min_words": words, "min_characters": characters}} for name in ("lines", "paragraphs", "sentences")]
        for words, characters in LENGTHS
    ]
    within = [{name: {**lengths, **WITHIN} for name, lengths in finder.items()} for finder in by_lengths[DEFAULT]]
    for finders in (*by_lengths, within, [{"substrings": {"min_tokens": 50}}]):
        result, counts, _ = bench.passages(distinct, *finders)
        removed = list(rows_of(result, "removed/", ["finder", "source_id", "kept_source_id", "source", "text"]))
        for finder in finders:
            ((name, lengths),) = finder.items()
            own = [row for row in removed if row["finder"] == name]
            of_two = [row for row in own if not same_text(row, known)]
            sources = Counter(row["source"] or "none" for row in of_two).most_common(4)
            share = 100 * counts["passages"][name]["characters"] / max(1, characters_in(distinct))
            listed = ", ".join(f"{source} {n}" for source, n in sources) or "-"
            rows.append(
                [
                    ", ".join([name, *("within" if n is True else str(n) for n in lengths.values())]),
                    len(own),
                    f"{share:.2f} %",
                    len(of_two),
                    listed,
                ]
            )
    header = [
        "finder, least words, characters (tokens)",
        "passages",
        "share of the text",
        "of two texts",
        "most of them in",
    ]
    table("What goes after dedupe", header, rows)


def same_text(row: JsonObject, known: Truth) -> bool:
    first, second = (known.get(row[name], {}).get("origin", name) for name in ("source_id", "kept_source_id"))
    return bool(first == second)


def characters_in(documents_of: Artifact) -> int:
    return sum(len(row["text"]) for row in rows_of(documents_of, "parts/", ["text"]))


def recall(bench: Bench, mixed: Artifact, known: Truth) -> None:
    """The share of the text of planted copies that goes, of the copy or of its original."""
    rows = []
    for name in ("lines", "paragraphs", "sentences", "substrings"):
        gone: Counter[str] = Counter()
        result, _, _ = bench.passages(mixed, {name: {}})
        for row in rows_of(result, "removed/", ["source_id", "start", "end"]):
            gone[row["source_id"]] += row["end"] - row["start"]
        shares: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for document, facts in known.items():
            kind = next((kind for kind in COPIES if facts["kind"].startswith(kind)), None)
            if kind and facts.get("of"):
                both = gone[document] + gone[facts["of"]]
                shares[kind][0] += min(both, facts["chars"])
                shares[kind][1] += facts["chars"]
        rows.append([name, *(f"{shares[kind][0] / max(1.0, shares[kind][1]):.2f}" for kind in COPIES)])
    table("Share of the text of planted copies that goes, without dedupe", ["finder", *COPIES], rows)


def clean_corpora(bench: Bench) -> None:
    """What the finders remove of published text with their defaults, without dedupe, by source."""
    folder, entries, sizes = bench.root / "corpora", list[FileEntry](), Counter[str]()
    for path in sorted((DATA / "corpora").glob("*/*.jsonl.gz")):
        source = path.name.partition(".")[0]
        rows = [
            {"id": str(r["id"]), "source_id": str(r["id"]), "text": r["text"], "source": source, "language": r["lang"]}
            for r in read(path.name, path.parent)
        ]
        sizes[source] += sum(len(row["text"]) for row in rows)
        with ShardWriter(folder, "parts", source, DOCUMENTS) as shard:
            for first in range(0, len(rows), 1_000):
                shard.write(pa.Table.from_pylist(rows[first : first + 1_000], schema=DOCUMENTS))
        assert shard.entry is not None
        entries.append(shard.entry)
    inputs = artifact(folder, StageOutput(number(LocalDraft(folder), entries), {}))
    finders = ("boilerplate", "lines", "paragraphs", "sentences")
    result, _, _ = bench.passages(inputs, *finders)
    passages_of, characters_of = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in rows_of(result, "removed/", ["finder", "source", "start", "end"]):
        passages_of[row["source"], row["finder"]] += 1
        characters_of[row["source"], row["finder"]] += row["end"] - row["start"]
    rows_printed = [
        [source, *(
            f"{passages_of[source, finder]} ({100 * characters_of[source, finder] / size:.2f} %)" for finder in finders
        )]
        for source, size in sorted(sizes.items())
    ]  # fmt: skip
    table("Passages that go of published text, and their share of it", ["source", *finders], rows_printed)


def boilerplate(bench: Bench, distinct: Artifact, known: Truth) -> None:
    """Planted lines that go, by what a source is and how many documents must share a line; and other lines."""
    planted: dict[str, Counter[tuple[str, str]]] = {"source": Counter(), "corpus": Counter()}
    for row in rows_of(distinct, "parts/", ["source_id", "source", "text"]):
        if known.get(row["source_id"], {}).get("kind") == "A-boilerplate":
            for line in {line.strip() for line in row["text"].split("\n")} & PLANTED:
                planted["source"][row["source"], line] += 1
                planted["corpus"]["", line] += 1
    rows = []
    for by, least, where in (
        ("source", 10, "edges"), ("source", 5, "edges"), ("source", 10, "anywhere"), ("corpus", 10, "edges"),
    ):  # fmt: skip
        options = {"by": by, "min_documents": least, "where": where, "min_share": 0.01 if by == "source" else 0}
        result, _, _ = bench.passages(distinct, {"boilerplate": options})
        removed = list(rows_of(result, "removed/", ["text", "source"]))
        hits = [row for row in removed if row["text"].strip() in PLANTED]
        natural = [row for row in removed if row["text"].strip() not in PLANTED]
        # pages in HTML, never extracted: nearly all they share is markup
        others = Counter(row["text"] for row in natural if row["source"] != "web")
        # the first copy of each stays
        shared = sum(n - 1 for n in planted[by].values() if n >= least)
        every = sum(planted[by].values())
        rows.append([f"{by}, {least}, {where}", f"{len(hits)} of {shared}", every, len(others), sum(others.values()),
                     len(natural) - sum(others.values())])  # fmt: skip
    header = ["by, documents, where", "planted lines that enough share", "all planted", "other lines", "copies", "HTML"]
    table("Boilerplate after dedupe", header, rows)


def speed(bench: Bench, mixed: Artifact) -> None:
    """Each finder as a stage, beside splitting alone and beside reading and writing the same files."""
    texts = [batch["text"].combine_chunks() for file in mixed.files("parts/") for batch in batches(file)]
    size = sum(int(buffers(text)[1][-1] - buffers(text)[1][0]) for text in texts) / 1e6
    rows: list[list[object]] = []
    start = time.process_time()
    for at, file in enumerate(mixed.files("parts/")):
        with ShardWriter(bench.root, "copy", f"{at:06d}", DOCUMENTS) as shard:
            for batch in batches(file):
                shard.write(batch)
    rows.append(["the files read and written", size / (time.process_time() - start)])
    for at_sentences, name in enumerate(("lines split and hashed", "sentences split and hashed")):
        seconds = 0.0
        for text in [texts[0].slice(0, 1), *texts]:  # the first compiles
            data, offsets = buffers(text)
            space = space_for(int(offsets[-1] - offsets[0]), len(text))
            start = time.process_time()
            split_pieces(data, offsets, tables(), at_sentences, space)
            seconds += (time.process_time() - start) * (len(text) > 1)
        rows.append([name, size / max(seconds, 1e-9)])
    single = [["boilerplate"], ["lines"], ["paragraphs"], ["sentences"], ["substrings"]]
    for finders in (*single, ["boilerplate", "lines", "sentences"]):
        seconds_of = [bench.passages(mixed, *finders)[2] for _ in range(2)]
        rows.append([f"stage: {', '.join(finders)}", size / min(seconds_of)])
    table(f"raw-mixed, {size:.1f} MB, one worker", ["", "MB per CPU-second"], rows)


def beside_peer(python: Path, megabytes: float, folder: Path) -> None:
    """Spans of three sentences, files to files, both as whole processes on the same English documents."""
    records, size = list[JsonObject](), 0
    for record in read("raw-mixed/*.gz", DATA):
        if record.get("lang") == "en" and isinstance(record["text"], str) and size < megabytes * 1e6:
            records.append({"id": str(len(records)), "text": record["text"]})
            size += len(record["text"].encode())
    write(records, folder / "corpus", shard_bytes=2 << 20)
    theirs = measure([python, PEER, folder / "corpus", folder / "peer"])
    config = folder / "ours.yaml"
    reads = f'ingest: {{sources: [{{reader: jsonl, paths: "{folder}/corpus/*.jsonl.gz", language: en}}]}}\n'
    length = "{min_words: 1, min_characters: 1, within_documents: true}"
    config.write_text(
        f"workdir: {folder}/ours\n{reads}passages: {{finders: [{{sentences: {length}}}], min_units: 1}}\n"
        "cluster: {beam: {workers: 1}}\n",
        encoding="utf-8",
    )
    own = measure(["bloomery", "run", config])
    left = sum(len(row["text"]) for row in peer_rows(folder / "peer" / "out"))
    ours = sum(
        len(text)
        for path in (folder / "ours").glob("store/passages/*/parts/*.parquet")
        for text in pq.read_table(path, columns=["text"])["text"].to_pylist()
    )
    rows = [
        ["datatrove 0.10.1", theirs.cpu, size / 1e6 / theirs.cpu, left],
        ["ingest and passages", own.cpu, size / 1e6 / own.cpu, ours],
    ]
    header = ["spans of three sentences", "CPU-seconds", "MB per CPU-second", "characters left"]
    table(f"{len(records):,} English documents, {size / 1e6:.1f} MB, start-up included", header, rows)


def peer_rows(folder: Path) -> Iterator[JsonObject]:
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            yield from map(json.loads, stream)


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--peer", type=Path, help="a Python that has datatrove")
    options.add_argument("--peer-mb", type=float, default=6)
    given = options.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        bench, known = Bench(Path(folder)), truth()
        mixed = documents(bench.root / "documents", known)
        distinct, _, _ = bench.run(dedupe, Dedupe().model_dump(), mixed)
        what_goes(bench, distinct, known)
        recall(bench, mixed, known)
        clean_corpora(bench)
        boilerplate(bench, distinct, known)
        speed(bench, mixed)
        if given.peer:
            beside_peer(given.peer, given.peer_mb, bench.root)
        else:
            print("datatrove is left out: name a Python that has it with --peer (the docstring says how to make one)")


if __name__ == "__main__":
    main()
