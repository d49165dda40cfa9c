"""ingest: rows add up, ids and bytes do not depend on workers or kills, finished chunks are kept, errors are clear."""

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
from pipeline.core.job import Job, StageOutput, check_rows
from pipeline.core.records import DOCUMENTS, QUARANTINE, to_rows
from pipeline.readers import batch as batching
from pipeline.readers.section import Ingest, ingest_params
from pipeline.stages import chunks as chunking
from pipeline.stages import divide, ingest
from tests.support.web_archives import http, members, page, record

DATA = Path(os.environ.get("BLOOMERY_DATA", "../shared/data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there: set BLOOMERY_DATA")
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


def tables(job: Job, outcome: StageOutput, kind: str) -> pa.Table:
    paths = [job.folder / file.path for file in outcome.files if file.path.startswith(f"{kind}/")]
    schema = DOCUMENTS if kind == "parts" else QUARANTINE
    return pa.concat_tables([schema.empty_table(), *(pq.read_table(path) for path in sorted(paths))])


def digests(outcome: StageOutput) -> list[tuple[str, str, str]]:
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


def test_a_document_id_is_a_hash_of_its_position_and_text(tmp_path: Path, planned: Planned) -> None:
    job = planned([{**write_corpus(tmp_path, files=1), "name": "网页"}], max_bad_fraction=0.2)
    row = tables(job, ingest.run(job), "parts").slice(0, 1).to_pylist()[0]
    digest = hashlib.sha256(row["text"].encode()).hexdigest()
    hashed = f"网页\0文件-0.jsonl.gz\x002\0{digest}"
    assert row["id"] == hashlib.sha256(hashed.encode()).hexdigest()[:32]
    assert (row["source_id"], row["source"], row["url"], row["language"]) == ("d1", "网页", None, "zh")


def test_raw_files_are_listed_with_their_counts_and_without_paths(tmp_path: Path, planned: Planned) -> None:
    job = planned([write_corpus(tmp_path)], max_bad_fraction=0.2)
    ingest.run(job)
    text = (job.folder / "raw.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert [(file["name"], file["records"], file["quarantined"]) for file in json.loads(text)] == [
        (f"文件-{file}.jsonl.gz", 40, 4) for file in range(3)
    ]


def test_a_constant_language_overrides_the_records(tmp_path: Path, planned: Planned) -> None:
    job = planned([{**write_corpus(tmp_path), "language": "zh_TW"}], max_bad_fraction=0.2)
    assert ingest.run(job).counts["languages"] == {"zh-Hant": 108}


def test_a_missing_language_is_detected_from_the_script(tmp_path: Path, planned: Planned) -> None:
    texts = ["今天天气很好，我们去公园。", "Привет, как дела?", "안녕하세요 여러분", "12 34 --"]
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "{text}"}}\n' for text in texts))
    job = planned([{"reader": "jsonl", "paths": f"{tmp_path}/a.jsonl"}])
    languages = tables(job, ingest.run(job), "parts")["language"].to_pylist()
    assert languages == ["zh", "und-Cyrl", "ko", None]


@pytest.mark.parametrize("isolation", ["threads", "processes"])
def test_one_worker_and_two_give_the_same_bytes(
    isolation: str, tmp_path: Path, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "GROUP_BYTES", 2000)
    source = write_corpus(tmp_path)
    one_worker = ingest.run(planned([source], "one", max_bad_fraction=0.2))
    monkeypatch.setattr(ingest, "PROCESSES_BYTES", 0 if isolation == "processes" else 1 << 60)
    two_workers = ingest.run(planned([source], "two", workers=2, max_bad_fraction=0.2))
    assert digests(one_worker) == digests(two_workers)
    assert one_worker.counts == two_workers.counts
    assert len([file for file in one_worker.files if file.path.startswith("parts/")]) == 3


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


def test_a_large_file_becomes_several_chunk_files(tmp_path: Path, planned: Planned, small_chunks: None) -> None:
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
    uninterrupted = ingest.run(planned([source], "whole", max_bad_fraction=0.2))
    job = planned([source], "killed", max_bad_fraction=0.2)
    for chunks_before_the_kill in (1, 2, 1):
        with pytest.raises(StageFailed, match="the power went"), monkeypatch.context() as patch:
            _fail_after(patch, chunks_before_the_kill)
            ingest.run(job)
    times_before = {path: path.stat().st_mtime_ns for path in (job.folder / "parts").iterdir()}
    assert len(times_before) == 4
    assert digests(ingest.run(job)) == digests(uninterrupted)
    assert {path.stat().st_mtime_ns for path in (job.folder / "parts").iterdir()} > set(times_before.values())


def _fail_after(patch: pytest.MonkeyPatch, chunks: int) -> None:
    """Let the attempt fail after `chunks` more chunks."""
    fill, chunks_left = chunking._Chunk.fill, [chunks]

    def failing(self: Any, records: Any, reader: Any) -> Any:
        if not chunks_left[0]:
            raise StageFailed("the power went.")
        chunks_left[0] -= 1
        return fill(self, records, reader)

    patch.setattr(chunking._Chunk, "fill", failing)


def test_a_second_run_over_finished_work_reads_nothing(
    tmp_path: Path, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = planned([write_corpus(tmp_path)], max_bad_fraction=0.2)
    first_outcome = ingest.run(job)
    monkeypatch.setattr(chunking, "create_reader", lambda *args, **kwargs: pytest.fail("a raw file was read again"))
    assert digests(ingest.run(job)) == digests(first_outcome)


def test_too_many_bad_records_fail_the_stage_with_examples(tmp_path: Path, planned: Planned) -> None:
    job = planned([write_corpus(tmp_path)])
    with pytest.raises(StageFailed) as caught:
        ingest.run(job)
    assert "12 of 120 records are bad (10 %; unparsable_json 12)" in str(caught.value)
    assert "文件-0.jsonl.gz:1: unparsable_json" in str(caught.value)


def test_sources_without_a_document_fail_the_stage(tmp_path: Path, planned: Planned) -> None:
    (tmp_path / "a.jsonl").write_text("\n\n")
    with pytest.raises(StageFailed, match="no document: the raw files hold no record"):
        ingest.run(planned([{"reader": "jsonl", "paths": f"{tmp_path}/a.jsonl"}]))
    (tmp_path / "a.jsonl").write_text('{"body": "正文"}\n')
    with pytest.raises(StageFailed, match="there is no field 'text'"):
        ingest.run(planned([{"reader": "jsonl", "paths": f"{tmp_path}/a.jsonl"}], "wrong field", max_bad_fraction=1))


def test_a_raw_file_rewritten_since_the_plan_is_an_error_even_at_the_same_size(
    tmp_path: Path, planned: Planned
) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "一"}\n')
    job = planned([{"reader": "jsonl", "paths": f"{tmp_path}/a.jsonl"}])
    job.sources[0]["files"][0]["mtime"] = 1.5
    with pytest.raises(StageFailed, match="a.jsonl has changed since the run was planned"):
        ingest.run(job)
    os.utime(tmp_path / "a.jsonl", (1.5, 1.5))
    assert ingest.run(job).counts["out"] == 1


def test_a_raw_file_changed_or_removed_since_the_plan_is_an_error(tmp_path: Path, planned: Planned) -> None:
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
    documents = tables(job, ingest.run(job), "parts")
    assert documents["metadata"].to_pylist() == [[], [{"key": "n", "value": "1"}, {"key": "t", "value": "标题"}]]
    assert documents.schema == DOCUMENTS


def test_python_docs_are_parsed_in_worker_processes(planned: Planned) -> None:
    from importlib.metadata import version

    pin = f"pytest=={version('pytest')}"
    job = planned([{"reader": "python_docs", "packages": pin, "bytes": 300_000}], workers=2)
    outcome = ingest.run(job)
    documents = tables(job, outcome, "parts")
    assert outcome.counts["languages"] == {"en": documents.num_rows}
    assert {dict(row["metadata"])["distribution"] for row in to_rows(documents)} == {"pytest"}


@needs_data
def test_the_mixed_corpus_gives_the_counts_of_its_truth(planned: Planned) -> None:
    job = planned([{"reader": "jsonl", "paths": f"{DATA}/raw-mixed/*.gz"}], workers=2)
    outcome = ingest.run(job)
    truth = json.loads((DATA / "raw-mixed.truth" / "counts.json").read_text())
    assert outcome.counts["in"] == truth["lines"] - truth["broken_lines"]["skip"]
    documents = tables(job, outcome, "parts")
    with gzip.open(DATA / "raw-mixed.truth" / "docs.jsonl.gz") as stream:
        expected = {orjson.loads(line)["id"] for line in stream}
    assert expected <= set(documents["source_id"].to_pylist())
    assert len(set(documents["id"].to_pylist())) == documents.num_rows


@pytest.fixture
def small_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(divide, "SPAN_BYTES", 20_000)
    monkeypatch.setattr(divide, "LARGE_BYTES", 40_000)
    monkeypatch.setattr(batching, "BATCH_BYTES", 4000)
    monkeypatch.setattr(chunking, "CHUNK_BYTES", 9000)


def write_large(folder: Path) -> list[dict[str, Any]]:
    """One large file of each format that can be divided, and a small one between them."""
    rows = [document(number) for number in range(400)]
    lines = b"\n".join(row if number % 40 else b"{broken" for number, row in enumerate(rows))
    (folder / "a.jsonl").write_bytes(lines)
    (folder / "b.jsonl").write_bytes(b"\n".join(rows[:5]))
    (folder / "c.jsonl.gz").write_bytes(
        b"".join(gzip.compress(lines[at : at + 9999]) for at in range(0, len(lines), 9999))
    )
    pq.write_table(pa.Table.from_pylist([orjson.loads(row) for row in rows]), folder / "d.parquet", row_group_size=50)
    return [{"reader": "jsonl", "paths": f"{folder}/*.jsonl*"}, {"reader": "parquet", "paths": f"{folder}/d.parquet"}]


def test_a_large_file_is_divided_and_its_documents_keep_their_ids(
    tmp_path: Path, planned: Planned, small_spans: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = write_large(tmp_path)
    divided = planned(sources, "divided", max_bad_fraction=0.2)
    outcome = ingest.run(divided)
    assert len(divided.draft.results("read")) > 12
    monkeypatch.setattr(divide, "LARGE_BYTES", 1 << 60)
    whole = planned(sources, "whole", max_bad_fraction=0.2)
    whole_outcome = ingest.run(whole)
    assert tables(divided, outcome, "parts").equals(tables(whole, whole_outcome, "parts"))
    assert tables(divided, outcome, "quarantine").equals(tables(whole, whole_outcome, "quarantine"))
    assert outcome.counts == whole_outcome.counts
    assert (divided.folder / "raw.json").read_text() == (whole.folder / "raw.json").read_text()


def test_a_divided_file_has_the_same_bytes_with_any_number_of_workers_and_after_kills(
    tmp_path: Path, planned: Planned, small_spans: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = write_large(tmp_path)
    expected = digests(ingest.run(planned(sources, "one", max_bad_fraction=0.2)))
    job = planned(sources, "killed", max_bad_fraction=0.2)
    for chunks_before_the_kill in (1, 5, 2):
        with pytest.raises(StageFailed, match="the power went"), monkeypatch.context() as patch:
            _fail_after(patch, chunks_before_the_kill)
            ingest.run(job)
    assert digests(ingest.run(job)) == expected
    assert digests(ingest.run(planned(sources, "two", workers=2, max_bad_fraction=0.2))) == expected


def test_fields_left_out_are_counted_once_over_several_chunks(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunking, "CHUNK_BYTES", 9000)
    monkeypatch.setattr(batching, "BATCH_BYTES", 3000)
    rows = [orjson.dumps({"text": f"{number} " * 100, "tags": ["a", "b"]}) for number in range(200)]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    output = ingest.run(planned([{"reader": "jsonl", "paths": str(tmp_path / "a.jsonl")}]))
    assert output.counts["fields_left_out"] == 200


def test_pages_that_are_known_to_be_cut_are_counted_once_over_several_chunks(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunking, "CHUNK_BYTES", 900)
    monkeypatch.setattr(batching, "BATCH_BYTES", 300)
    whole, cut = page("zh").encode(), page("en").encode()[:-200]
    longer = f"Content-Type: text/html\r\nContent-Length: {len(cut) + 200}"
    data = []
    for number in range(8):
        data.append(record(http(whole), url=f"a:{number}"))
        data.append(record(http(cut), url=f"b:{number}", extra="WARC-Truncated: length\r\n"))
        data.append(record(http(cut, headers=longer), url=f"c:{number}"))
    (tmp_path / "a.warc.gz").write_bytes(members(data))
    job = planned([{"reader": "warc", "paths": str(tmp_path / "a.warc.gz"), "extract": "whole"}])
    output = ingest.run(job)
    assert len(job.draft.results("chunks")) > 3
    assert (output.counts["out"], output.counts["truncated"]) == (24, {"content_length": 8, "length": 8})
