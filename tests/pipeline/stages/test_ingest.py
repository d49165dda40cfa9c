"""ingest: rows add up, ids and bytes are the same however it ran, nothing finished is read again, bad input is told."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import StageFailed
from pipeline.core.files import sha256_file
from pipeline.core.records import DOCUMENTS, QUARANTINE, to_rows
from pipeline.core.stage import Job, Outcome, check_rows
from pipeline.readers import batch as batching
from pipeline.readers.section import Ingest, ingest_params
from pipeline.stages import chunks as chunking
from pipeline.stages import ingest

DATA = Path(os.environ.get("BLOOMERY_DATA", "no-data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="BLOOMERY_DATA names no folder")
MakeJob = Callable[..., Job]
Planned = Callable[..., Job]


@pytest.fixture
def planned(make_job: MakeJob) -> Planned:
    """planned([{reader: …}], "draft", workers=2) → an ingest job over the raw files that match."""

    def make(sources: list[dict[str, Any]], name: str = "draft", *, workers: int = 1, **options: Any) -> Job:
        section = Ingest.model_validate({"sources": sources, **options})
        listed = [
            {"source": source.name, "reader": source.reader, "files": [
                {"path": file.path, "name": file.name, "size": file.size, "sha256": sha256_file(file.path)}
                for file in files
            ]}
            for source, files in section.raw_files()
        ]  # fmt: skip
        return make_job(name, stage="ingest", params=ingest_params(section, 17), sources=listed, workers=workers)

    return make


def document(number: int, size: int = 300) -> bytes:
    text = (f"文档 {number} document. " * size)[:size]
    return orjson.dumps({"id": f"d{number}", "text": text, "lang": "zh" if number % 2 else "eng"})


def write_corpus(folder: Path, files: int = 3, lines: int = 40) -> dict[str, Any]:
    """A few compressed files, every tenth line broken; gives the source."""
    for file in range(files):
        rows = [document(file * lines + n) if n % 10 else b"{broken" for n in range(lines)]
        (folder / f"文件-{file}.jsonl.gz").write_bytes(gzip.compress(b"\n".join(rows) + b"\n", mtime=0))
    return {"reader": "jsonl", "paths": f"{folder}/*.gz"}


def tables(job: Job, outcome: Outcome, kind: str) -> pa.Table:
    paths = [job.folder / file.path for file in outcome.files if file.path.startswith(f"{kind}/")]
    schema = DOCUMENTS if kind == "parts" else QUARANTINE
    return pa.concat_tables([schema.empty_table(), *(pq.read_table(path) for path in sorted(paths))])


def digests(outcome: Outcome) -> list[tuple[str, str, str]]:
    return [(file.path, file.sha256, file.content) for file in outcome.files]


def test_every_record_is_a_document_or_in_quarantine(tmp_path: Path, planned: Planned) -> None:
    job = planned([write_corpus(tmp_path)], max_bad_fraction=0.2)
    outcome = ingest.run(job)
    check_rows("ingest", outcome.counts)
    documents, bad = tables(job, outcome, "parts"), tables(job, outcome, "quarantine")
    assert (outcome.counts["in"], documents.num_rows, bad.num_rows) == (120, 108, 12)
    assert outcome.counts["reasons"] == {"unparsable_json": 12}
    assert outcome.counts["languages"] == {"en": 48, "zh": 60}
    assert set(bad["file"].to_pylist()) == {f"文件-{file}.jsonl.gz" for file in range(3)}
    assert bad["position"].to_pylist() == [1, 11, 21, 31] * 3
    assert set(bad["raw"].to_pylist()) == {b"{broken"}


def test_a_document_has_the_id_that_its_place_and_text_give_it(tmp_path: Path, planned: Planned) -> None:
    job = planned([{**write_corpus(tmp_path, files=1), "name": "网页"}], max_bad_fraction=0.2)
    row = tables(job, ingest.run(job), "parts").slice(0, 1).to_pylist()[0]
    digest = hashlib.sha256(row["text"].encode()).hexdigest()
    whole = f"网页\0文件-0.jsonl.gz\x002\0{digest}"
    assert row["id"] == hashlib.sha256(whole.encode()).hexdigest()[:32]
    assert (row["source_id"], row["source"], row["url"], row["language"]) == ("d1", "网页", None, "zh")


def test_raw_files_are_listed_with_what_they_held_and_without_paths(tmp_path: Path, planned: Planned) -> None:
    job = planned([write_corpus(tmp_path)], max_bad_fraction=0.2)
    ingest.run(job)
    text = (job.folder / "raw.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert [(one["name"], one["records"], one["quarantined"]) for one in json.loads(text)] == [
        (f"文件-{file}.jsonl.gz", 40, 4) for file in range(3)
    ]


def test_a_constant_language_wins_over_the_records(tmp_path: Path, planned: Planned) -> None:
    job = planned([{**write_corpus(tmp_path), "language": "zh_TW"}], max_bad_fraction=0.2)
    assert ingest.run(job).counts["languages"] == {"zh-Hant": 108}


def test_a_language_that_nobody_named_is_told_by_its_script(tmp_path: Path, planned: Planned) -> None:
    texts = ["今天天气很好，我们去公园。", "Привет, как дела?", "안녕하세요 여러분", "12 34 --"]
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "{text}"}}\n' for text in texts))
    job = planned([{"reader": "jsonl", "paths": f"{tmp_path}/a.jsonl"}])
    found = tables(job, ingest.run(job), "parts")["language"].to_pylist()
    assert found == ["zh", "und-Cyrl", "ko", None]


@pytest.mark.parametrize("isolation", ["threads", "processes"])
def test_one_worker_and_two_give_the_same_bytes(
    isolation: str, tmp_path: Path, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "GROUP_BYTES", 2000)
    source = write_corpus(tmp_path)
    one = ingest.run(planned([source], "one", max_bad_fraction=0.2))
    monkeypatch.setattr(ingest, "PROCESSES_BYTES", 0 if isolation == "processes" else 1 << 60)
    two = ingest.run(planned([source], "two", workers=2, max_bad_fraction=0.2))
    assert digests(one) == digests(two)
    assert one.counts == two.counts
    assert len([file for file in one.files if file.path.startswith("parts/")]) == 3


def test_documents_come_in_the_order_of_sources_files_and_lines(tmp_path: Path, planned: Planned) -> None:
    (tmp_path / "texts").mkdir()
    for name in ("b", "a"):
        (tmp_path / "texts" / f"{name}.txt").write_text(f"{name} 第一\n{name} 第二\n")
    lines = {"reader": "plain", "split": "line", "paths": f"{tmp_path}/texts"}
    sources = [{**lines, "name": "z"}, {**lines, "name": "y", "language": "en"}]
    job = planned([{**sources[0], "language": "zh"}, sources[1]], workers=2)
    outcome = ingest.run(job)
    rows = tables(job, outcome, "parts").select(["source", "text"]).to_pylist()
    texts = ["a 第一", "a 第二", "b 第一", "b 第二"]
    assert [(row["source"], row["text"]) for row in rows] == [(source, text) for source in "zy" for text in texts]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BATCH_BYTES", 1 << 12)
    monkeypatch.setattr(chunking, "CHUNK_BYTES", 1 << 14)


def test_a_large_file_becomes_chunk_files_cut_by_content(tmp_path: Path, planned: Planned, small_chunks: None) -> None:
    job = planned([write_corpus(tmp_path, files=2, lines=300)], max_bad_fraction=0.2)
    outcome = ingest.run(job)
    parts = [file for file in outcome.files if file.path.startswith("parts/")]
    assert len(parts) > 5
    assert sum(file.rows or 0 for file in parts) == outcome.counts["out"] == 540
    groups = [pq.ParquetFile(job.folder / file.path).num_row_groups for file in parts]
    assert max(groups) == 4


def test_after_a_kill_finished_chunks_are_kept_and_the_bytes_are_the_same(
    tmp_path: Path, planned: Planned, small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_corpus(tmp_path, files=2, lines=300)
    whole = ingest.run(planned([source], "whole", max_bad_fraction=0.2))
    job = planned([source], "killed", max_bad_fraction=0.2)
    for chunks_before_the_kill in (1, 2, 1):
        with pytest.raises(StageFailed, match="the power went"), monkeypatch.context() as patch:
            _fail_after(patch, chunks_before_the_kill)
            ingest.run(job)
    kept = {path: path.stat().st_mtime_ns for path in (job.folder / "parts").iterdir()}
    assert len(kept) == 4
    assert digests(ingest.run(job)) == digests(whole)
    assert {path.stat().st_mtime_ns for path in (job.folder / "parts").iterdir()} > set(kept.values())


def _fail_after(patch: pytest.MonkeyPatch, chunks: int) -> None:
    """The attempt ends once it has finished so many chunks more."""
    fill, left = chunking._Chunk.fill, [chunks]

    def failing(self: Any, source: Any) -> Any:
        if not left[0]:
            raise StageFailed("the power went.")
        left[0] -= 1
        return fill(self, source)

    patch.setattr(chunking._Chunk, "fill", failing)


def test_a_second_run_over_finished_work_reads_nothing(
    tmp_path: Path, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = planned([write_corpus(tmp_path)], max_bad_fraction=0.2)
    first = ingest.run(job)
    monkeypatch.setattr(chunking, "reader_of", lambda *args, **kwargs: pytest.fail("a raw file was read again"))
    assert digests(ingest.run(job)) == digests(first)


def test_too_many_bad_records_end_the_run_and_some_are_named(tmp_path: Path, planned: Planned) -> None:
    job = planned([write_corpus(tmp_path)])
    with pytest.raises(StageFailed) as caught:
        ingest.run(job)
    assert "12 of 120 records are bad (10 %; unparsable_json 12)" in str(caught.value)
    assert "文件-0.jsonl.gz:1: unparsable_json" in str(caught.value)


def test_sources_without_a_document_end_the_run(tmp_path: Path, planned: Planned) -> None:
    (tmp_path / "a.jsonl").write_text("\n\n")
    with pytest.raises(StageFailed, match="no document: the raw files hold no record"):
        ingest.run(planned([{"reader": "jsonl", "paths": f"{tmp_path}/a.jsonl"}]))
    (tmp_path / "a.jsonl").write_text('{"body": "正文"}\n')
    with pytest.raises(StageFailed, match="there is no field 'text'"):
        ingest.run(planned([{"reader": "jsonl", "paths": f"{tmp_path}/a.jsonl"}], "wrong field", max_bad_fraction=1))


def test_a_raw_file_that_was_written_anew_since_the_plan_is_told_though_its_size_is_the_same(
    tmp_path: Path, planned: Planned
) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "一"}\n')
    job = planned([{"reader": "jsonl", "paths": f"{tmp_path}/a.jsonl"}])
    job.sources[0]["files"][0]["mtime"] = 1.5
    with pytest.raises(StageFailed, match="a.jsonl has changed since the run was planned"):
        ingest.run(job)
    os.utime(tmp_path / "a.jsonl", (1.5, 1.5))
    assert ingest.run(job).counts["out"] == 1


def test_a_raw_file_that_changed_or_went_since_the_plan_is_told(tmp_path: Path, planned: Planned) -> None:
    job = planned([write_corpus(tmp_path)], max_bad_fraction=0.2)
    path = tmp_path / "文件-1.jsonl.gz"
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(StageFailed, match="文件-1.jsonl.gz has changed since the run was planned"):
        ingest.run(job)
    path.unlink()
    with pytest.raises(StageFailed, match="文件-1.jsonl.gz cannot be read: No such file"):
        ingest.run(job)


def test_a_record_above_the_limit_goes_to_quarantine(tmp_path: Path, planned: Planned) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([document(1), document(2, 5000), document(3)]))
    job = planned([{"reader": "jsonl", "paths": f"{tmp_path}/a.jsonl"}], max_record_bytes=2048, max_bad_fraction=0.5)
    outcome = ingest.run(job)
    assert outcome.counts["reasons"] == {"record_too_large": 1}
    assert len(tables(job, outcome, "quarantine")["raw"][0].as_py()) == 2000


def test_documents_without_metadata_have_an_empty_list(tmp_path: Path, planned: Planned) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "一", "lang": "zh"}\n{"text": "b", "lang": "en", "n": 1, "t": "标题"}\n'
    )
    job = planned([{"reader": "jsonl", "paths": f"{tmp_path}/a.jsonl"}])
    found = tables(job, ingest.run(job), "parts")
    assert found["metadata"].to_pylist() == [[], [{"key": "n", "value": "1"}, {"key": "t", "value": "标题"}]]
    assert found.schema == DOCUMENTS


def test_python_docs_are_parsed_in_worker_processes(planned: Planned) -> None:
    from importlib.metadata import version

    pin = f"pytest=={version('pytest')}"
    job = planned([{"reader": "python_docs", "packages": pin, "bytes": 300_000}], workers=2)
    outcome = ingest.run(job)
    found = tables(job, outcome, "parts")
    assert outcome.counts["languages"] == {"en": found.num_rows}
    assert {dict(row["metadata"])["distribution"] for row in to_rows(found)} == {"pytest"}


@needs_data
def test_the_mixed_corpus_comes_through_with_its_counts(planned: Planned) -> None:
    job = planned([{"reader": "jsonl", "paths": f"{DATA}/raw-mixed/*.gz"}], workers=2)
    outcome = ingest.run(job)
    truth = json.loads((DATA / "raw-mixed.truth" / "counts.json").read_text())
    assert outcome.counts["in"] == truth["lines"] - truth["broken_lines"]["skip"]
    found = tables(job, outcome, "parts")
    with gzip.open(DATA / "raw-mixed.truth" / "docs.jsonl.gz") as stream:
        expected = {orjson.loads(line)["id"] for line in stream}
    assert expected <= set(found["source_id"].to_pylist())
    assert len(set(found["id"].to_pylist())) == found.num_rows
