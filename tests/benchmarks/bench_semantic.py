"""embed and semantic on raw-mixed: what goes against its table of near pairs and against planted rewordings, what
clusters miss beside all pairs, and CPU-seconds, those of vectors apart from those of clusters.

    python tests/benchmarks/bench_semantic.py [--artifact MODEL]

MODEL: a word2vec or GloVe artifact, for the model word_vectors. A removal is listed when its pair is in the table (true
Jaccard index of 0.3 or more, or containment of 0.6 or more); a pair is found when not both stay.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench_dedupe import documents, languages, pairs, rows_of
from measured import table

from pipeline.core.artifact import Artifact
from pipeline.core.draft import LocalDraft
from pipeline.core.files import JsonObject, write_json
from pipeline.core.inputs import Inputs
from pipeline.core.job import Identity, Job, StageOutput
from pipeline.core.manifest import NAME, Manifest
from pipeline.core.places import JobPaths
from pipeline.core.records import DOCUMENTS
from pipeline.core.shards import ShardWriter, number
from pipeline.kernels.vectors import SCALE
from pipeline.semantic.section import Semantic, semantic_params
from pipeline.stages import semantic
from training.annotation.section import externals, file_sources
from training.annotation.worker import score
from training.embedding.section import Embed, embed_params
from training.stages import embed

TOY = "--planted 20 --sizes 64"  # the arguments with which the tests run this file

BINS = ((0.9, "≥ .9"), (0.8, ".8–.9"), (0.7, ".7–.8"), (0.6, ".6–.7"), (0.5, ".5–.6"), (0.4, ".4–.5"))
THRESHOLDS = {"hashed": (0.9, 0.8, 0.7), "word_vectors": (0.999, 0.995, 0.99)}
LEAST_CHARACTERS = 400  # of a document that is reworded
CHANGES = (0.1, 0.2, 0.4)


class InProcess:
    """A launcher that embeds in this process."""

    def pool(self, target: str, shared: JsonObject, specs: list[JsonObject], *, job: Job) -> list[None]:
        for spec in specs:
            score({**shared, **spec})  # type: ignore[typeddict-item]
        return []


@dataclass(frozen=True)
class Timed:
    """An artifact and the CPU-seconds of the stage that made it."""

    artifact: Artifact
    seconds: float


def staged(
    folder: Path, stage: str, run: Callable[[Job], StageOutput], inputs: dict[str, Artifact], params: JsonObject,
    **fields: Any,
) -> Timed:  # fmt: skip
    """Run a stage with one worker in this process."""
    (folder / "work").mkdir(parents=True)
    identity = Identity(stage, 1, "documents", "", "0" * 64, params, 17)
    job = Job(identity, Inputs.of(inputs), JobPaths(folder / "work", folder, folder, folder / "log.txt"), **fields)
    start = time.process_time()
    outcome = run(job)
    seconds = time.process_time() - start
    made_of = {"documents": inputs["documents"].manifest.digest}
    manifest = Manifest(stage, 1, stage, "documents", {}, made_of, tuple(outcome.files), outcome.counts, stage, "")
    return Timed(written(folder / "work", manifest), seconds)


def written(folder: Path, manifest: Manifest) -> Artifact:
    """An artifact with its manifest, which processes read."""
    write_json(folder / NAME, manifest.to_dict())
    return Artifact(folder, manifest)


def embedded(root: Path, inputs: Artifact, model: str | JsonObject) -> Timed:
    section = Embed.model_validate({"model": model})
    others = {name: Artifact.of(place) for name, place in externals(section).items()}
    return staged(
        root, "embed", embed.run, {"documents": inputs, **others}, params=embed_params(section, 17),
        section=section.model_dump(mode="json"), sources=file_sources(section),
    )  # fmt: skip


def deduplicated(root: Path, inputs: Artifact, vectors: Artifact, **options: object) -> Timed:
    params = semantic_params(Semantic.model_validate(options), 17)
    return staged(root, "semantic", semantic.run, {"documents": inputs, "vectors": vectors}, params=params)


def gone_of(artifact: Artifact) -> dict[str, JsonObject]:
    columns = ["source_id", "kept_source_id", "similarity"]
    return {row["source_id"]: row for row in rows_of(artifact, "duplicates/", columns)}


def against_the_table(root: Path, inputs: Artifact, models: dict[str, Timed]) -> None:
    """Recall by Jaccard index, and how many removals are listed."""
    true = list(pairs())
    listed = {frozenset((one, other)) for one, other, _ in true}
    language = languages()
    entered = {row["source_id"] for row in rows_of(inputs, "parts/", ["source_id"])}
    rows = []
    for name, vectors in models.items():
        for threshold in THRESHOLDS[name]:
            place = root / f"{name}-{threshold}"
            gone = gone_of(deduplicated(place, inputs, vectors.artifact, threshold=threshold).artifact)
            for group in ("en", "zh"):
                counts = defaultdict(lambda: [0, 0])
                for one, other, index in true:
                    bin_ = next((title for least, title in BINS if index >= least), None)
                    if bin_ and language.get(one) == group and one in entered and other in entered:
                        counts[bin_][0] += one in gone or other in gone
                        counts[bin_][1] += 1
                removed = [row for key, row in gone.items() if language.get(key) == group]
                right = sum(frozenset((row["source_id"], row["kept_source_id"])) in listed for row in removed)
                found = [f"{hit}/{of}" if of else "-" for hit, of in (counts[title] for _, title in BINS)]
                rows.append([f"{name}, {threshold}, {group}", len(removed), right, *found])
    header = ["model, threshold, language", "removed", "listed", *(title for _, title in BINS)]
    table("Removals, and pairs of which not both stay, by true Jaccard index", header, rows)


def reworded(text: str, share: float, draw: random.Random, words: Sequence[str]) -> str:
    """The text in another order of its sentences, with a share of its words (or characters) replaced by others."""
    han = sum("\u4e00" <= c <= "\u9fff" for c in text) > len(text) / 4
    sentences = [
        part for part in (text.replace("。", "。\0") if han else text.replace(". ", ". \0")).split("\0") if part
    ]
    draw.shuffle(sentences)
    units = list("".join(sentences)) if han else " ".join(sentences).split()
    changed = [draw.choice(words) if unit.strip() and draw.random() < share else unit for unit in units]
    return "".join(changed) if han else " ".join(changed)


def planted(root: Path, inputs: Artifact, count: int) -> tuple[Artifact, dict[str, str]]:
    """`count` documents of each language beside rewordings of them, and copy → original."""
    draw, language = random.Random(5), languages()
    seen: set[str] = set()
    rows: list[JsonObject] = []
    originals: dict[str, str] = {}
    by_language: dict[str, list[JsonObject]] = defaultdict(list)
    for row in rows_of(inputs, "parts/", ["source_id", "text"]):
        kind = language.get(row["source_id"], "other")
        if kind in ("en", "zh") and len(row["text"]) >= LEAST_CHARACTERS and row["text"][:200] not in seen:
            seen.add(row["text"][:200])
            by_language[kind].append({**row, "text": row["text"][:3000]})
    for kind, of_language in sorted(by_language.items()):
        chosen = draw.sample(of_language, min(count, len(of_language)))
        everything = "".join(row["text"] for row in of_language[:500])
        words = [c for c in everything if "\u4e00" <= c <= "\u9fff"] if kind == "zh" else everything.split()
        for row in chosen:
            rows.append({"id": row["source_id"], **row, "language": kind})
            for share in CHANGES:
                name = f"{kind}-{share:g}-{row['source_id']}"
                originals[name] = row["source_id"]
                text = reworded(row["text"], share, draw, words)
                rows.append({"id": name, "source_id": name, "text": text, "language": kind})
    draw.shuffle(rows)
    with ShardWriter(root / "planted", "parts", "all", DOCUMENTS) as shard:
        for first in range(0, len(rows), 500):
            shard.write(pa.Table.from_pylist(rows[first : first + 500], schema=DOCUMENTS))
    assert shard.entry is not None
    files = tuple(number(LocalDraft(root / "planted"), [shard.entry]))
    manifest = Manifest("bench", 1, "", "documents", {}, {}, files, {}, "planted", "")
    return written(root / "planted", manifest), originals


def rewordings(root: Path, inputs: Artifact, count: int, models: dict[str, str | JsonObject]) -> None:
    """How many planted rewordings are found (they or their original go), and how many removals are of other pairs."""
    corpus, originals = planted(root, inputs, count)
    language, rows = languages(), []
    for name, model in models.items():
        vectors = embedded(root / f"planted-{name}", corpus, model)
        for threshold in (0.5, *THRESHOLDS[name]) if name == "hashed" else THRESHOLDS[name]:
            place = root / f"planted-{name}-{threshold}"
            gone = gone_of(deduplicated(place, corpus, vectors.artifact, threshold=threshold).artifact)
            for kind in ("en", "zh"):
                found = []
                for share in CHANGES:
                    copies = [copy for copy in originals if copy.startswith(f"{kind}-{share:g}-")]
                    hits = sum(_related(gone, copy, originals) for copy in copies)
                    found.append(f"{hits}/{len(copies)}")
                wrong = sum(
                    _root(key, originals) != _root(row["kept_source_id"], originals)
                    for key, row in gone.items() if language.get(_root(key, originals)) == kind
                )  # fmt: skip
                rows.append([f"{name}, {threshold}, {kind}", *found, wrong])
    header = ["model, threshold, language", *(f"{100 * share:g} % of units" for share in CHANGES), "of another text"]
    table("Rewordings found: sentences in another order, and a share of their units replaced at random", header, rows)


def _root(name: str, originals: dict[str, str]) -> str:
    return originals.get(name, name)


def _related(gone: dict[str, JsonObject], copy: str, originals: dict[str, str]) -> bool:
    """Whether a copy went for a text of its family, or its original did for this copy."""
    row, original = gone.get(copy), originals[copy]
    if row is not None:
        return _root(row["kept_source_id"], originals) == original
    row = gone.get(original)
    return row is not None and row["kept_source_id"] == copy


def clusters(root: Path, inputs: Artifact, vectors: Timed, sizes: Sequence[int], threshold: float) -> None:
    """What clusters miss beside all pairs, and what they cost; all pairs by a product of float32 matrices."""
    matrix, names = _matrix(vectors.artifact), [row["source_id"] for row in rows_of(inputs, "parts/", ["source_id"])]
    start = time.process_time()
    alike = list(_pairs_above(matrix, threshold))
    seconds = time.process_time() - start
    count = len(names)
    rows: list[Sequence[object]] = [
        ["all pairs, float32", 1, f"{count * (count - 1) // 2:,}", f"{len(alike):,}", "-", seconds]
    ]
    for size in sizes:
        result = deduplicated(root / f"c{size}", inputs, vectors.artifact, threshold=threshold, cluster_size=size)
        gone = gone_of(result.artifact)
        found = sum(names[one] in gone or names[other] in gone for one, other in alike)
        figures = result.artifact.manifest.counts["clusters"]
        share = f"{found:,} = {found / max(1, len(alike)):.4f}"
        rows.append(
            [f"cluster_size {size}", figures["clusters"], f"{figures['pairs']:,}", share, len(gone), result.seconds]
        )
    header = ["", "clusters", "pairs compared", f"pairs of {threshold} or more found", "removed", "CPU-seconds"]
    table("What clusters find of all pairs that are alike (model hashed)", header, rows)


def _matrix(vectors: Artifact) -> np.ndarray:
    columns = [pq.read_table(path, columns=["vector"])["vector"].combine_chunks() for path in vectors.files("vectors/")]
    width = columns[0].type.list_size
    return np.concatenate([column.flatten().to_numpy().reshape(-1, width) for column in columns]).astype(
        np.float32
    ) / np.float32(SCALE)


def _pairs_above(matrix: np.ndarray, threshold: float) -> Iterator[tuple[int, int]]:
    for first in range(0, len(matrix), 1024):
        block = matrix[first : first + 1024] @ matrix[first:].T
        for row, column in np.argwhere(block >= threshold).tolist():
            if column > row:
                yield first + row, first + column


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", help="a word2vec or GloVe artifact")
    parser.add_argument("--planted", type=int, default=300, help="documents of each language that are reworded")
    parser.add_argument("--sizes", default="8192,2048,512,128,64", help="values of cluster_size")
    options = parser.parse_args()
    Job.launch = lambda self: InProcess()  # type: ignore[method-assign]
    models: dict[str, str | JsonObject] = {"hashed": "hashed"}
    if options.artifact:
        models["word_vectors"] = {"word_vectors": {"artifact": options.artifact}}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        entered = documents(root / "documents").manifest.files
        manifest = Manifest("bench", 1, "", "documents", {}, {}, entered, {}, "raw-mixed", "")
        inputs = written(root / "documents", manifest)
        embedded(root / "warm", inputs, "hashed")  # compiles
        vectors = {name: embedded(root / name, inputs, model) for name, model in models.items()}
        deduplicated(root / "warm-semantic", inputs, vectors["hashed"].artifact, threshold=0.8)
        against_the_table(root, inputs, vectors)
        rewordings(root, inputs, options.planted, models)
        clusters(root, inputs, vectors["hashed"], [*map(int, options.sizes.split(","))], 0.8)
        again = deduplicated(root / "again", inputs, vectors["hashed"].artifact, threshold=0.8)
        size = again.artifact.manifest.counts["bytes_in"] / 1e6
        rows = [[f"embed, {name}", each.seconds, size / each.seconds] for name, each in vectors.items()]
        rows.append(["semantic", again.seconds, size / again.seconds])
        table(f"One worker, {size:.1f} MB, kernels loaded", ["stage", "CPU-seconds", "MB per CPU-second"], rows)


if __name__ == "__main__":
    main()
