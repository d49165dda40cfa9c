"""ingest of web archives and dumps: rows add up, and neither workers, spans nor a kill change a byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import BloomeryError
from pipeline.core.files import sha256_file
from pipeline.core.job import Job, StageOutput, check_rows
from pipeline.readers import batch as batching
from pipeline.readers.archive_records import ArchiveRecord
from pipeline.readers.base import AnyRecord
from pipeline.readers.section import Ingest, ingest_params
from pipeline.readers.warc import Warc
from pipeline.stages import chunks as chunking
from pipeline.stages import divide, ingest
from tests.support.web_archives import http, members, pages, record

Planned = Callable[..., Job]
CONFIG = """name: web
workdir: work
seed: 17
ingest: {{sources: [{{reader: warc, extract: "slow_pages:Slow", paths: {paths}}}]}}
"""
SLOW = """import time
from pipeline.extract.by_resiliparse import Resiliparse
class Slow(Resiliparse):
    from pipeline.extract.section import Resiliparse as Options
    def extract(self, html):
        time.sleep(0.02)
        return super().extract(html)
"""


@pytest.fixture
def planned(make_job: Callable[..., Job]) -> Planned:
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


def write_archives(folder: Path, files: int = 3) -> dict[str, Any]:
    """Archives with requests, error pages and one damaged record beside the pages."""
    for number in range(files):
        data = [record(b"", kind="warcinfo"), *pages(10), record(b"", kind="request"),
                record(http(b"gone", status="404 Not Found")), record(http(b"<div>" * 3000))]  # fmt: skip
        (folder / f"crawl-{number}.warc.gz").write_bytes(members(data))
    return {"reader": "warc", "extract": "resiliparse", "paths": f"{folder}/*.gz"}


def digests(outcome: StageOutput) -> list[tuple[str, str, str]]:
    return [(file.path, file.sha256, file.content) for file in outcome.files]


def test_rows_add_up_and_what_was_skipped_is_counted(tmp_path: Path, planned: Planned) -> None:
    job = planned([write_archives(tmp_path)], max_bad_fraction=0.2)
    outcome = ingest.run(job)
    check_rows("ingest", outcome.counts)
    assert (outcome.counts["in"], outcome.counts["out"], outcome.counts["quarantined"]) == (42, 30, 3)
    assert outcome.counts["dropped"] == {"status_404": 3, "warc_request": 3, "warc_warcinfo": 3}
    assert outcome.counts["reasons"] == {"nested_too_deep": 3}
    raw = json.loads((job.folder / "raw.json").read_text())
    assert [(file["records"], file["quarantined"], file["skipped"]) for file in raw] == [(14, 1, 3)] * 3


def test_workers_and_chunks_do_not_change_a_byte(
    tmp_path: Path, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_archives(tmp_path)
    monkeypatch.setattr(batching, "BATCH_BYTES", 1000)
    monkeypatch.setattr(chunking, "CHUNK_BYTES", 2000)
    monkeypatch.setattr(ingest, "GROUP_BYTES", 1000)
    outcomes = [
        digests(ingest.run(planned([source], f"draft-{workers}", workers=workers, max_bad_fraction=0.2)))
        for workers in (1, 3)
    ]
    assert outcomes[0] == outcomes[1]
    assert sum(path.startswith("parts/") for path, _, _ in outcomes[0]) > 3


def test_a_large_archive_is_divided_and_gives_the_same_documents(
    tmp_path: Path, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_archives(tmp_path, files=1)
    whole = ingest.run(planned([source], "whole", max_bad_fraction=0.2)).counts
    monkeypatch.setattr(divide, "LARGE_BYTES", 1000)
    monkeypatch.setattr(divide, "SPAN_BYTES", 4000)
    outcomes = [
        ingest.run(planned([source], f"draft-{workers}", workers=workers, max_bad_fraction=0.2)) for workers in (1, 3)
    ]
    assert digests(outcomes[0]) == digests(outcomes[1])
    assert sum(file.path.startswith("parts/") for file in outcomes[0].files) > 1
    assert {key: outcomes[0].counts[key] for key in ("in", "out", "dropped", "reasons")} == {
        key: whole[key] for key in ("in", "out", "dropped", "reasons")
    }


def test_an_attempt_that_ended_in_the_middle_is_continued(
    tmp_path: Path, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_archives(tmp_path)
    monkeypatch.setattr(batching, "BATCH_BYTES", 1000)
    monkeypatch.setattr(chunking, "CHUNK_BYTES", 2000)
    whole = digests(ingest.run(planned([source], "whole", max_bad_fraction=0.2)))
    convert, calls = Warc._convert, count(1)

    def failing(self: Warc, entry: ArchiveRecord) -> AnyRecord:
        if next(calls) % 13 == 0:
            raise MemoryError
        return convert(self, entry)

    monkeypatch.setattr(Warc, "_convert", failing)
    job = planned([source], "killed", max_bad_fraction=0.2)
    for _ in range(10):
        with suppress(BloomeryError, MemoryError):
            assert digests(ingest.run(job)) == whole
            break
    else:
        pytest.fail("the attempts made no progress")
    assert next(calls) > 30


@pytest.mark.long
def test_a_killed_run_that_is_repeated_gives_the_same_bytes(tmp_path: Path) -> None:
    digest = {}
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "slow_pages.py").write_text(SLOW)
        (folder / "web.yaml").write_text(CONFIG.format(paths=tmp_path / "raw"))
        (tmp_path / "raw").mkdir(exist_ok=True)
        (tmp_path / "raw" / "a.warc.gz").write_bytes(members(pages(300)))
        command = [sys.executable, "-m", "cluster.cli", "run", "web.yaml", "cluster.beam.workers=2"]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        if name == "killed":
            process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
            deadline = time.monotonic() + 120
            while not list(folder.glob("work/draft/ingest/*")) and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(4)  # the pages take six seconds
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        subprocess.run(command, cwd=folder, env=environment, check=True)
        (manifest,) = folder.glob("work/store/ingest/*/manifest.json")
        digest[name] = json.loads(manifest.read_text())["digest"]
    assert digest["whole"] == digest["killed"]
