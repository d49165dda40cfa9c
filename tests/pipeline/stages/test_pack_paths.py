"""pack: one encoder, fast or reference, produces the ids of all files, wherever a difference appears."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.beam.task import Task
from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.job import Job
from pipeline.stages import pack
from pipeline.tokenizers import id_hash, verification_sample, verified_encoder
from pipeline.tokenizers.base import Encoded, Encoder
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.packer import load_packer
from pipeline.tokenizers.reference_encoder import ReferenceEncoder, load

MakeJob = Callable[..., Job]
MakeDocuments = Callable[..., Artifact]

ENGLISH = "The furnace turns raw ore into a bloom of iron, number {}; it is hammered while it is hot. "
CHINESE = "第{}座炉子把矿石炼成铁块，趁热锻打。"
PARAMS = {"length": 32, "validation": 0.1}


def records() -> list[dict[str, Any]]:
    english = [{"text": ENGLISH.format(n) * (1 + n % 7), "language": "en"} for n in range(40)]
    return english + [{"text": CHINESE.format(n) * (1 + n % 5), "language": "zh"} for n in range(20)]


@pytest.fixture
def tokenizer(tmp_path: Path) -> Artifact:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    text = BytePair().train([record["text"] for record in records()], 400)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    return Artifact(folder, None)  # type: ignore[arg-type]


@pytest.fixture
def job_of(make_documents: MakeDocuments, make_job: MakeJob, tokenizer: Artifact) -> Callable[..., Job]:
    """job_of(name, workers) packs the same six files."""
    documents = make_documents(records(), files=6)

    def make(name: str = "pack", workers: int = 1) -> Job:
        inputs = {"documents": documents, "tokenizer": tokenizer}
        return make_job(name, stage="pack", kind="tokens", inputs=inputs, params=PARAMS, workers=workers)

    return make


def documents_of(job: Job) -> list[dict[str, Any]]:
    return [row for path in job.inputs.files("documents", "parts/") for row in pq.read_table(path).to_pylist()]


def tokens_of(job: Job) -> dict[str, list[int]]:
    """The tokens of every document, over both splits."""
    tokens: dict[str, list[int]] = {}
    for split in pack.SPLITS:
        for path in sorted((job.folder / split).glob("*.parquet")):
            for row in pq.read_table(path).to_pylist():
                for span in row["documents"]:
                    tokens.setdefault(span["id"], []).extend(row["tokens"][span["start"] : span["end"]])
    return tokens


def expected_of(job: Job) -> dict[str, list[int]]:
    reference = load(job.inputs.single("tokenizer").file("tokenizer.json"))
    return {row["id"]: [*reference.encode_text(row["text"]), 0] for row in documents_of(job)}


class Differing(Encoder):
    """As the reference, but for documents that hold `sign`: those get other ids, as many."""

    def __init__(self, json_text: str, sign: str = "number 13;") -> None:
        self.reference, self.sign = ReferenceEncoder(json_text), sign

    def encode(self, column: pa.LargeStringArray) -> Encoded:
        encoded = self.reference.encode(column)
        ids = encoded.ids.copy()
        for at, text in enumerate(column.to_pylist()):
            if self.sign in text:
                ids[encoded.offsets[at] : encoded.offsets[at + 1]] ^= 1
        return Encoded(ids, encoded.offsets)


def differing_on(sign: str) -> Callable[[str], Encoder]:
    return lambda json_text: Differing(json_text, sign)


def use(fast: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch) -> None:
    """Take another fast encoder for BPE, in every thread that has none yet."""
    monkeypatch.setitem(verified_encoder.FAST_ENCODERS, "BPE", ("fake", fast))
    load_packer.cache_clear()


@pytest.mark.parametrize("workers", [1, 3])
def test_one_difference_in_one_file_encodes_every_file_by_the_reference(
    workers: int, job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Differing, monkeypatch)
    job = job_of(workers=workers)
    outcome = pack.run(job)
    assert tokens_of(job) == expected_of(job)
    assert "other ids" in outcome.journal["encoder"]


@pytest.mark.parametrize("workers", [1, 3])
def test_the_documents_that_decide_are_the_same_whatever_the_workers(
    workers: int, job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One document alone is compared here, that with the smallest number: a difference in another is not seen."""
    monkeypatch.setattr(verification_sample, "LEAST_BYTES", 1)
    rows = documents_of(job_of("documents-only"))
    numbers = id_hash.hash_ids(pa.array([row["id"] for row in rows]), verification_sample.PURPOSE)
    used_reference = []
    for name, at in (("compared", int(numbers.argmin())), ("not-compared", int(numbers.argmax()))):
        use(differing_on(rows[at]["text"]), monkeypatch)
        job = job_of(name, workers)
        pack.run(job)
        used_reference.append((job.folder / "tasks" / "encode-reference").exists())
    assert used_reference == [True, False]


def test_a_resumed_stage_mixes_no_ids_of_the_attempt_that_was_killed(
    job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of()
    use(Differing, monkeypatch)
    real, done = pack.encode, list[str]()

    def killed(job: Job, task: Task) -> dict[str, Any]:
        if len(done) == 4:
            raise StageFailed("killed")
        done.append(task.key)
        return real(job, task)

    monkeypatch.setattr(pack, "encode", killed)
    with pytest.raises(StageFailed, match="killed"):
        pack.run(job)
    monkeypatch.setattr(pack, "encode", real)
    pack.run(job)
    assert tokens_of(job) == expected_of(job)


def test_a_resumed_stage_takes_no_fast_ids_where_the_fast_encoder_is_gone(
    job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of()
    use(differing_on("nothing"), monkeypatch)
    pack.run(job)

    def missing(json_text: str) -> Encoder:
        raise ImportError("No module named 'gigatoken'")

    use(missing, monkeypatch)
    assert "not installed" in pack.run(job).journal["encoder"]
    assert len(list((job.folder / "tasks" / "encode-reference").iterdir())) == 6


def test_a_fast_encoder_that_breaks_in_one_file_leaves_all_files_to_the_reference(
    job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaking(Differing):
        def encode(self, column: pa.LargeStringArray) -> Encoded:
            if any("第7座" in text for text in column.to_pylist()):
                raise RuntimeError("panicked")
            return self.reference.encode(column)

    use(Breaking, monkeypatch)
    job = job_of(workers=3)
    assert "panicked" in pack.run(job).journal["encoder"]
    assert tokens_of(job) == expected_of(job)
