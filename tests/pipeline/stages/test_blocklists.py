"""Blocklists through signals and clean: URLs, domains, words by language with exceptions; the same bytes always."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.job import Job
from pipeline.filters.section import Clean, rules_params, signals_files, signals_params
from pipeline.stages import clean, signals

RECORDS = [
    {"text": "a", "language": "en", "url": "https://www.bad.example/x"},
    {"text": "a", "language": "en", "url": "http://deep.sub.BAD.example:80/"},
    {"text": "a", "language": "en", "url": "https://good.example/listed/page/"},
    {"text": "a", "language": "en", "url": "https://good.example/listed/page/2"},
    {"text": "a", "language": "en", "url": "https://notbad.example/"},
    {"text": "a", "language": "en", "url": None},
    {"text": "He said DARN it, twice.", "language": "en"},
    {"text": "Darning socks in Darnton.", "language": "en"},
    {"text": "A two word   phrase, said plainly.", "language": "en"},
    {"text": "这里有坏词。", "language": "zh"},
    {"text": "性别不是坏人的女性问题", "language": "zh"},
    {"text": "任性", "language": "zh-Hant"},
    {"text": "ein darn Wort", "language": "de"},
]


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    (tmp_path / "domains.txt.gz").write_bytes(gzip.compress(b"bad.example\nhttps://good.example/listed/page\n"))
    (tmp_path / "en.txt").write_text("darn\ntwo word phrase\n...\n13.\n")
    (tmp_path / "zh.txt").write_text("坏词\n性\n")
    return tmp_path


@pytest.fixture
def run(
    lists: Path, make_job: Callable[..., Job], make_documents: Callable[..., Artifact], publish: Callable[..., Artifact]
) -> Callable[..., dict[str, str]]:
    def rules(name: str = "", workers: int = 1, **filters: Any) -> Any:
        section = Clean.model_validate({"language": None, "filters": [{key: value} for key, value in filters.items()]})
        records = [{"url": None, **record, "text": record["text"] + " " * at} for at, record in enumerate(RECORDS)]
        documents = make_documents(records, files=2, name=f"documents{name}")
        job = make_job(
            f"s{name}", params=signals_params(section, 17), sources=signals_files(section), workers=workers,
            inputs={"documents": documents},
        )  # fmt: skip
        measured = publish(job, signals.run(job))
        job = make_job(f"c{name}", params=rules_params(section, 17), inputs={"documents": measured}, workers=workers)
        return publish(job, clean.run(job))

    return rules


def dropped(artifact: Artifact) -> dict[int, str]:
    table = pa.concat_tables([pq.read_table(path) for path in artifact.files("rejected/")])
    ids = (int(name.removeprefix("made-")) for name in table["source_id"].to_pylist())
    return dict(zip(ids, table["rule"].to_pylist(), strict=True))


def test_a_url_is_blocked_by_its_page_and_by_every_domain_above_it(run: Callable[..., Artifact], lists: Path) -> None:
    result = run(blocked_urls={"files": [str(lists / "domains.txt.gz")]})
    assert dropped(result) == dict.fromkeys((0, 1, 2), "blocked_urls.max_matches")
    assert sum(result.manifest.counts["skipped"]["blocked_urls.max_matches"].values()) == 8


def test_words_have_borders_or_exceptions_by_script(run: Callable[..., Artifact], lists: Path) -> None:
    files = {"en": [str(lists / "en.txt")], "zh": [str(lists / "zh.txt")]}
    options = {"files": files, "exceptions": {"zh": ["性别", "女性"]}}
    assert sorted(dropped(run(blocked_words=options))) == [6, 8, 9, 11]
    assert sorted(dropped(run("2", blocked_words={"files": files}))) == [6, 8, 9, 10, 11]
    share = {"files": files, "max_matches": None, "max_share": 0.3}
    assert sorted(dropped(run("3", blocked_words=share))) == [8, 9, 11]


def test_the_same_bytes_with_one_worker_and_three(run: Callable[..., Artifact], lists: Path) -> None:
    options = {"blocked_urls": {"files": [str(lists / "domains.txt.gz")]}}
    assert run("1", 1, **options).manifest.digest == run("3", 3, **options).manifest.digest


def test_the_content_of_a_list_is_in_the_fingerprint_and_its_place_is_not(lists: Path) -> None:
    def params(name: str) -> tuple[Any, Any]:
        section = Clean.model_validate({"filters": [{"blocked_urls": {"files": [str(lists / name)]}}]})
        return signals_params(section, 17), rules_params(section, 17)

    before = params("en.txt")
    (lists / "copy.txt").write_bytes((lists / "en.txt").read_bytes())
    assert params("copy.txt") == before and str(lists) not in str(before)
    assert params("zh.txt")[0] != before[0] and params("zh.txt")[1] == before[1]


def test_a_list_that_changed_after_the_plan_is_refused(
    lists: Path, make_job: Callable[..., Job], make_documents: Callable[..., Artifact]
) -> None:
    section = Clean.model_validate({"filters": [{"blocked_urls": {"files": [str(lists / "en.txt")]}}]})
    job = make_job(
        params=signals_params(section, 17),
        sources=signals_files(section),
        inputs={"documents": make_documents(RECORDS[:1])},
    )
    (lists / "en.txt").write_text("another")
    with pytest.raises(StageFailed, match="changed after the run was planned"):
        signals.run(job)


@pytest.mark.parametrize("name", ["blocked_urls", "blocked_words"])
def test_a_blocklist_without_a_file_is_refused(name: str) -> None:
    with pytest.raises(ValidationError) as error:
        Clean.model_validate({"filters": [name]})
    assert "names no list" in str(error.value.errors()[0]["ctx"]["inner"])
    with pytest.raises(ValidationError):
        files = ["/nothing/here.txt"] if name == "blocked_urls" else {"en": ["/nothing/here.txt"]}
        Clean.model_validate({"filters": [{name: {"files": files}}]})
