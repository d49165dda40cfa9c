"""passages: repeated passages go, the first copy stays, the rest of the document is whole; the same bytes always."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.job import Job
from pipeline.core.report import ReportedStep, ReportTable
from pipeline.passages.section import Passages, passages_params
from pipeline.reports import passages as reports
from pipeline.stages import passages, passages_inputs
from pipeline.text.words import sentences
from tests.support.artifact_rows import rows_of, texts_of

LINE = (
    "The old lighthouse keeper climbed the narrow stairs every evening to light the lamp for passing ships that came "
    "home late."
)
VERSE = "那位老船长每天傍晚都要爬上狭窄的楼梯去点亮灯塔，为过往的船只照明，从来没有间断。"
MENU, FOOT = "Home | About us | Contact | Privacy policy", "版权所有，未经许可不得转载。返回顶部"
Run = Callable[..., Artifact]


def own(number: int, length: int = 4) -> str:
    """Text that no other document has, in English or Chinese."""
    if number % 2:
        return "".join(f"第{number}篇文章的第{at}句话，说的是{number * 7 + at}件小事。" for at in range(length))
    return " ".join(f"Report {number} has a sentence {at} on item {number * 7 + at}." for at in range(length))


@pytest.fixture
def run(run_passages: Run) -> Run:
    return run_passages


def test_a_repeated_line_goes_and_the_first_copy_stays(run: Run) -> None:
    before = [
        f"{own(0)}\n{LINE}\n{own(2)}",
        f"{own(1)}\n\n{VERSE}",
        f"{own(3)}\n  {LINE.upper()}\n\n{own(5)}\n{VERSE}\n",
    ]
    result = run([*before, LINE[:30]], "lines")
    assert texts_of(result) == [before[0], before[1], f"{own(3)}\n\n{own(5)}", LINE[:30]]
    rows = rows_of(result, "removed")
    assert [(row["source_id"], row["kept_source_id"], row["copies"]) for row in rows] == [
        ("made-2", "made-0", 2), ("made-2", "made-1", 2),
    ]  # fmt: skip
    assert [row["text"] for row in rows] == [LINE.upper(), VERSE]
    assert all(before[2][row["start"] : row["end"]] == row["text"] for row in rows)
    assert rows[0]["kept_id"] == rows_of(result, "parts")[0]["id"]
    assert result.manifest.counts["passages"] == {
        "lines": {"passages": 2, "documents": 1, "characters": len(LINE) + len(VERSE)}
    }


def test_a_short_line_is_never_looked_at(run: Run) -> None:
    refrain = "Hey nonny nonny no"
    records = [f"{own(n)}\n{refrain}\n}}\n---\n噫吁嚱，危乎高哉" for n in range(6)]
    assert texts_of(run(records, "lines", "paragraphs", {"sentences": {"span": 1}})) == records


def test_a_repeated_paragraph_goes_and_its_lines_elsewhere_stay(run: Run) -> None:
    first, second = f"{LINE}\n{VERSE}", f"{own(0)}\n{LINE}"
    result = run([f"{first}\n\n{own(1)}", second, f"{own(3)}\n\n{first}\n\n{own(5)}"], "paragraphs")
    assert texts_of(result) == [f"{first}\n\n{own(1)}", second, f"{own(3)}\n\n{own(5)}"]


def test_spans_of_three_sentences_go_and_two_stay(run: Run) -> None:
    english, chinese = own(100, 3), own(101, 3)
    two = " ".join(own(100, 2).split(" "))
    records = [
        f"{own(0)} {english}",
        f"{own(1)}{chinese}",
        f"{own(2)} {english} {own(4)}",
        f"{own(3)}{chinese}{own(5)}",
        f"{two} {own(6)}",
    ]
    result = run(records, "sentences")
    assert texts_of(result) == [records[0], records[1], f"{own(2)} {own(4)}", f"{own(3)}{own(5)}", records[4]]


def test_overlapping_spans_are_one_removal(run: Run) -> None:
    result = run([own(8, 9), f"{own(0)} {own(8, 9)}"], "sentences")
    (row,) = rows_of(result, "removed")
    assert (row["text"], row["copies"]) == (own(8, 9), 2)


def test_a_document_may_repeat_itself_unless_the_finder_looks_within_documents(run: Run) -> None:
    chorus = own(8, 3)
    within = {"sentences": {"within_documents": True}}
    song = " ".join([chorus, own(0), chorus, own(2), chorus])
    assert texts_of(run([song, f"{own(4)} {chorus}"], "sentences", name="song")) == [song, own(4)]
    assert texts_of(run([" ".join([chorus, own(0), chorus, own(2), chorus])], within)) == [
        f"{chorus} {own(0)} {own(2)}"
    ]
    laugh = "This is a sentence of several words that comes again and again."
    assert texts_of(run([" ".join([laugh] * 7)], within, name="laugh")) == [" ".join([laugh] * 3)]


def boilerplate_records() -> list[dict[str, Any]]:
    site = [{"text": f"{MENU}\n\n{own(n)}\n{MENU}\n{own(n + 100)}\n\n{FOOT}\n", "source": "site"} for n in range(8)]
    other = [{"text": f"{MENU}\n\n{own(n)}\n\n{FOOT}", "source": "other"} for n in range(20, 22)]
    return [*site, *other, *({"text": own(n), "source": "other"} for n in range(30, 60))]


def test_boilerplate_goes_at_the_edges_of_a_source_and_stays_once(run: Run) -> None:
    records = boilerplate_records()
    result = run(records, {"boilerplate": {"min_documents": 5}})
    assert texts_of(result) == [
        records[0]["text"],
        *(f"{own(n)}\n{MENU}\n{own(n + 100)}" for n in range(1, 8)),
        *(record["text"] for record in records[8:]),
    ]
    assert {row["copies"] for row in rows_of(result, "removed")} == {8}
    assert result.manifest.counts["passage_sources"] == {"boilerplate": {"site": 14}}


def test_short_lines_go_only_further_out_than_a_long_line_of_boilerplate(run: Run) -> None:
    verse = [f"浣溪沙\n苏轼\n{own(n)}\n" for n in range(1, 13, 2)]
    menu = [f"首页\n登录\n{MENU}\n浣溪沙\n{own(n)}\n转载\n{FOOT}\n责任编辑" for n in range(21, 33, 2)]
    result = run([*menu, *verse], {"boilerplate": {"min_documents": 5}})
    assert texts_of(result) == [menu[0], *(f"浣溪沙\n{own(n)}\n转载" for n in range(23, 33, 2)), *verse]


def test_boilerplate_needs_its_share_of_the_documents_of_the_source(run: Run) -> None:
    rare = [{"text": f"{MENU}\n{own(n)}" if n < 3 else own(n)} for n in range(40)]
    assert not rows_of(run(rare, {"boilerplate": {"min_documents": 3, "min_share": 0.1}}, name="a"), "removed")
    assert len(rows_of(run(rare, {"boilerplate": {"min_documents": 3, "min_share": 0.05}}, name="b"), "removed")) == 2
    anywhere = [f"{own(n)}\n{MENU}\n{own(n + 100)}" for n in range(4)]
    options = {"min_documents": 3, "where": "anywhere"}
    assert len(rows_of(run(anywhere, {"boilerplate": options}, name="c"), "removed")) == 3


def test_a_source_may_be_the_host_of_the_url(run: Run) -> None:
    records = [{"text": f"{MENU}\n{own(n)}", "url": f"https://User@WWW.example.org:80/{n}"} for n in range(4)]
    records += [
        {"text": f"{MENU}\n{own(n)}", "url": None if n % 2 else f"http://example.net/{n}"} for n in range(10, 14)
    ]
    result = run(records, {"boilerplate": {"by": "host", "min_documents": 4}})
    assert [row["source_id"] for row in rows_of(result, "removed")] == ["made-1", "made-2", "made-3"]


def test_a_document_that_is_left_too_short_is_dropped_with_its_text(run: Run) -> None:
    result = run([f"{own(0)}\n{LINE}", f"Only {LINE[:9]}\n{LINE}", "short"], "lines", min_units=20)
    assert texts_of(result) == [f"{own(0)}\n{LINE}", "short"]  # nothing was removed of the last one
    (row,) = rows_of(result, "rejected")
    assert (row["rule"], row["value"], row["threshold"]) == ("passages.short", 4, 20)
    assert row["text"] == f"Only {LINE[:9]}\n{LINE}"
    assert result.manifest.counts["dropped"] == {"passages.short": 1}


def test_code_is_left_as_it_is(run: Run) -> None:
    records = [{"text": f"{LINE}\n{own(n)}", "language": "code" if n < 2 else "en"} for n in range(4)]
    assert [row["source_id"] for row in rows_of(run(records, "lines"), "removed")] == ["made-3"]
    assert len(rows_of(run(records, "lines", name="all", skip_languages=[]), "removed")) == 3


def test_nothing_repeated_changes_nothing(run: Run) -> None:
    records = [own(n) for n in range(5)]
    result = run([*records, "", " \n"], "lines", "paragraphs", "sentences", "boilerplate")
    assert texts_of(result) == [*records, "", " \n"]
    assert not rows_of(result, "removed") and not rows_of(result, "samples")


def many_records() -> list[dict[str, Any]]:
    records = boilerplate_records()
    for n in range(60, 200):
        parts = [own(n % 90, 3), LINE if n % 3 else VERSE, own(n), f"{VERSE}\n{LINE}"]
        records.append(
            {"text": "\n\n".join(parts[n % 4 :] + parts[: n % 4]), "language": "code" if n % 7 == 0 else "en"}
        )
    return records


FINDERS = [{"boilerplate": {"min_documents": 5}}, "lines", "paragraphs", "sentences"]


def test_the_same_bytes_with_one_worker_and_three(run: Run) -> None:
    one = run(many_records(), *FINDERS, name="1", files=5)
    three = run(many_records(), *FINDERS, name="3", files=5, workers=3)
    assert one.manifest.digest == three.manifest.digest
    assert rows_of(one, "removed") and rows_of(one, "samples")


def test_the_same_removals_however_many_files_and_spills(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = run(many_records(), *FINDERS, name="1", files=1)
    monkeypatch.setattr(passages_inputs, "PARTITION_BYTES", 2000)
    monkeypatch.setattr(passages_inputs, "SEGMENT_BYTES", 8)
    many = run(many_records(), *FINDERS, name="2", files=2)
    assert list((tmp_path / "draft2" / "folder" / "spill").glob("keys-*-000001.bin"))
    in_order = [
        sorted(rows_of(run_of, "removed"), key=lambda row: (row["finder"], row["id"], row["start"]))
        for run_of in (one, many)
    ]
    assert in_order[0] == in_order[1]
    assert texts_of(one) == texts_of(many)
    assert one.manifest.counts == many.manifest.counts


def test_every_removed_sentence_still_stands_once(run: Run) -> None:
    before = many_records()
    result = run(before, *FINDERS)
    assert {s for record in before for s in sentences(record["text"])} == {
        s for text in texts_of(result) for s in sentences(text)
    }


def test_a_finished_step_is_not_run_again(
    make_job: Callable[..., Job], make_documents: Run, publish: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = Passages.model_validate({"finders": FINDERS})
    documents = make_documents(many_records(), files=4)

    def job(name: str) -> Job:
        return make_job(name, stage="passages", params=passages_params(section, 17), inputs={"documents": documents})

    whole = publish(job("whole"), passages.run(job("whole")))
    write = passages.write

    def killed(at: Job, task: Any) -> Any:
        if task.key.endswith("2"):
            raise StageFailed("killed")
        return write(at, task)

    monkeypatch.setattr(passages, "write", killed)
    with pytest.raises(StageFailed):
        passages.run(job("again"))
    monkeypatch.setattr(passages, "write", write)
    monkeypatch.setattr(passages, "find_keys", None)  # its results are there
    assert publish(job("again"), passages.run(job("again"))).manifest.digest == whole.manifest.digest


def test_the_report_has_each_finder_apart_and_samples_with_the_copy_that_stays(run: Run) -> None:
    result = run([f"{own(0)}\n{LINE}", f"{own(2)}\n{LINE.upper()}\n{own(4)}"], "lines", "paragraphs")
    report = reports.passages([ReportedStep("", result, (), result.folder)])
    (chapter,) = [chapter for chapter in report.chapters if chapter.id == "passages"]
    (done,) = report.done
    assert done.text.startswith("removed repeated passages: lines 1 passage, paragraphs 0 passages; ")
    finders, sources, samples = [block for block in chapter.blocks if isinstance(block, ReportTable)]
    assert [row[1:] for row in finders.rows] == [("1", "1", str(len(LINE))), ("0", "0", "0")]
    assert sources.rows == (("made", "1"),)
    ((_, copies, removed, stays),) = samples.rows
    assert copies == "2"
    assert f"⟦{LINE.upper()}⟧" in str(removed) and f"⟦{LINE}⟧" in str(stays)


def test_a_finder_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="wrong options"):
        Passages.model_validate({"finders": ["lines", {"lines": {"min_words": 5}}]})


def test_removed_rows_have_a_schema_that_others_can_read(run: Run, tmp_path: Path) -> None:
    result = run([LINE, LINE], "lines", min_units=1)
    (file,) = result.files("removed/")
    schema = pq.read_schema(file)
    assert schema.field("start").type == pa.int64() and schema.field("text").type == pa.large_string()
