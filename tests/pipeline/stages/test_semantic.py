"""semantic: what is alike by its vector goes, beside the document that stays; whatever the number of workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.draft import LocalDraft
from pipeline.core.job import Job
from pipeline.core.manifest import Manifest, content_digest_of, digest_of
from pipeline.core.shards import FileEntry, ShardWriter, batches, number
from pipeline.kernels.vectors import to_unit
from pipeline.semantic import groups
from pipeline.semantic.section import Semantic, semantic_params
from pipeline.stages import semantic, semantic_clusters

Run = Callable[..., Artifact]
BUNDLES, EACH, WIDTH = 40, 5, 16


def records() -> list[dict[str, Any]]:
    """Documents of 40 topics, half of them English and half Chinese, the third of a topic the longest."""
    texts = (("The river number {} flows past the old mill.", "en"), ("第{}条河流经过古老的磨坊。", "zh"))
    return [
        {"text": texts[topic % 2][0].format(topic) + "!" * (9 if at == 2 else at), "language": texts[topic % 2][1],
         "source_id": f"{topic}-{at}"}
        for at in range(EACH) for topic in range(BUNDLES)
    ]  # fmt: skip


def topic_vectors(noise: float = 0.02) -> np.ndarray:
    draw = np.random.default_rng(1)
    return np.tile(draw.normal(size=(BUNDLES, WIDTH)), (EACH, 1)) + noise * draw.normal(size=(BUNDLES * EACH, WIDTH))


@pytest.fixture
def vectors_of(tmp_path: Path) -> Callable[[Artifact, np.ndarray], Artifact]:
    """vectors_of(documents, matrix) → an artifact of these vectors, as the stage `embed` makes it."""

    def make(documents: Artifact, matrix: np.ndarray) -> Artifact:
        folder, entries, row = tmp_path / "vectors", list[FileEntry](), 0
        unit, _ = to_unit(matrix)
        for file, path in enumerate(documents.files("parts/")):
            tables = []
            for batch in batches(path):
                part = pa.array(unit[row : row + len(batch)].reshape(-1))
                sizes = pa.array([len(text.encode()) for text in batch["text"].to_pylist()])
                vector = pa.FixedSizeListArray.from_arrays(part, WIDTH)
                tables.append(pa.table({"id": batch["id"], "bytes": sizes, "vector": vector}))
                row += len(batch)
            with ShardWriter(folder, "vectors", f"{file:06d}", tables[0].schema) as shard:
                for table in tables:
                    shard.write(table)
            assert shard.entry is not None
            entries.append(shard.entry)
        files = tuple(number(LocalDraft(folder), entries))
        digest, inputs = digest_of(files), {"dedupe": documents.manifest.digest}
        manifest = Manifest("embed", 1, digest, "vectors", {}, inputs, files, {}, digest, content_digest_of(files))
        return Artifact(folder, manifest)

    return make


@pytest.fixture
def run_semantic(make_job: Callable[..., Job], publish: Run, vectors_of: Run, make_documents: Run) -> Run:
    """run_semantic(matrix, threshold=0.9) → the artifact of the stage over `records`."""
    documents = make_documents(records(), files=3)

    def run(matrix: np.ndarray, name: str = "semantic", workers: int = 1, **options: Any) -> Artifact:
        params = semantic_params(Semantic.model_validate({"threshold": 0.9, **options}), 17)
        inputs = {"documents": documents, "vectors": vectors_of(documents, matrix)}
        job = make_job(name, stage="semantic", params=params, inputs=inputs, workers=workers)
        return publish(job, semantic.run(job))

    return run


def rows_of(artifact: Artifact, folder: str) -> list[dict[str, Any]]:
    return [row for path in artifact.files(folder) for row in pq.read_table(path).to_pylist()]


def test_of_documents_that_are_alike_the_longest_stays(run_semantic: Run) -> None:
    artifact = run_semantic(topic_vectors())
    assert sorted(row["source_id"] for row in rows_of(artifact, "parts/")) == sorted(f"{n}-2" for n in range(BUNDLES))
    copies = rows_of(artifact, "duplicates/")
    assert {row["kept_source_id"].partition("-")[0] == row["source_id"].partition("-")[0] for row in copies} == {True}
    assert {row["method"] for row in copies} == {"semantic"} and min(row["similarity"] for row in copies) >= 0.9
    counts = artifact.manifest.counts
    assert counts["dropped"] == {"semantic": 160} and (counts["in"], counts["out"]) == (200, 40)
    assert sum(counts["copies_by_similarity"].values()) == 160
    # at most with the 40 that stay, each document is compared
    assert 0 < counts["clusters"].pop("pairs") <= BUNDLES * (BUNDLES - 1) // 2 + 160 * BUNDLES
    assert counts["clusters"] == {"clusters": 1, "largest": 200, "divided": 0, "without_vector": 0}


def test_the_similarity_is_the_cosine_of_the_two_vectors(run_semantic: Run) -> None:
    matrix = topic_vectors(0.05)
    row_of = {record["source_id"]: row for row, record in enumerate(records())}
    matrix_of = {name: matrix[row] / np.linalg.norm(matrix[row]) for name, row in row_of.items()}
    for copy in rows_of(run_semantic(matrix), "duplicates/"):
        cosine = float(matrix_of[copy["source_id"]] @ matrix_of[copy["kept_source_id"]])
        assert abs(copy["similarity"] - cosine) < 2e-4


@pytest.mark.parametrize(("keep", "expected"), [("nearest", "0"), ("farthest", "4")])
def test_the_rule_says_which_document_stays(run_semantic: Run, keep: str, expected: str) -> None:
    """All lean from one middle, the later documents of a topic more: the first is the nearest to the middle."""
    middle, lean = np.zeros(WIDTH), np.random.default_rng(2).normal(size=(BUNDLES, WIDTH))
    middle[0] = 20.0
    matrix = np.concatenate([middle + lean * (1 + at / 50) for at in range(EACH)])
    artifact = run_semantic(matrix, keep=keep, threshold=0.9999)
    stay = {row["source_id"] for row in rows_of(artifact, "parts/")}
    assert stay >= {f"{topic}-{expected}" for topic in range(BUNDLES)}


def test_equal_vectors_are_copies_at_a_threshold_of_one(run_semantic: Run) -> None:
    """The product of a rounded vector with itself may be a little less than 1."""
    artifact = run_semantic(topic_vectors(0.0), threshold=1)
    assert len(rows_of(artifact, "parts/")) == BUNDLES


def test_documents_without_a_vector_stay(run_semantic: Run) -> None:
    matrix = topic_vectors()
    matrix[::2] = 0.0
    artifact = run_semantic(matrix)
    assert artifact.manifest.counts["clusters"]["without_vector"] == 100
    assert artifact.manifest.counts["out"] == 100 + BUNDLES // 2


def test_nothing_goes_where_no_document_has_a_vector(run_semantic: Run) -> None:
    artifact = run_semantic(np.zeros((BUNDLES * EACH, WIDTH)))
    assert artifact.manifest.counts["out"] == 200 and artifact.manifest.counts["dropped"] == {"semantic": 0}


def test_clusters_and_their_parts_find_what_one_cluster_finds(
    run_semantic: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_semantic(topic_vectors())
    monkeypatch.setattr(semantic_clusters, "cluster_count", lambda job, documents: 4)
    monkeypatch.setattr(groups, "MOST_COMPARED", 30)
    divided = run_semantic(topic_vectors(), "divided")
    assert divided.manifest.counts["clusters"]["divided"] >= 1
    assert rows_of(divided, "parts/") == rows_of(whole, "parts/")


def test_the_bytes_are_the_same_with_several_workers(run_semantic: Run) -> None:
    digests = {run_semantic(topic_vectors(), f"w{n}", workers=n).manifest.digest for n in (1, 3)}
    assert len(digests) == 1
