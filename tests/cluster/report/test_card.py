"""The data card: every number is that of the stages, sums agree, text of the data is escaped, tables are bounded."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.report.card import data_card
from cluster.report.card_tables import MOST_ROWS
from cluster.report.data_stage import DataStage
from cluster.report.drop_tables import MOST_REASONS
from cluster.report.markdown import escape, markdown
from cluster.report.page import write
from cluster.run import Run
from cluster.sections import stage_table
from pipeline.core.counts import StageCounts
from pipeline.core.files import read_json, write_json
from pipeline.core.report import Chapter, Figures, ReportTable, StageReport, TableCell
from pipeline.core.store import Store

MadeUp = Callable[..., tuple[Run, Store]]


def plain(cell: TableCell | str) -> str:
    if isinstance(cell, str):
        return cell
    return cell.text or " ".join(f"{text} {remark}".strip() for text, remark in cell.parts)


def rows_of(block: ReportTable) -> dict[str, list[str]]:
    return {plain(row[0]): [plain(cell) for cell in row[1:]] for row in block.rows}


def stage(name: str, documents: dict[str, dict[str, int]], makes: str = "documents", **counts: Any) -> DataStage:
    """A stage with documents by source and language; each has ten bytes, of two characters."""
    sources: Any = {
        source: {
            "languages": {
                language: {"documents": n, "bytes": 10 * n, "characters": 2 * n}
                | ({"tokens": 3 * n} if makes == "tokens" else {})
                for language, n in languages.items()
            },
            "licences": {},
        }
        for source, languages in documents.items()
    }
    out = sum(n for languages in documents.values() for n in languages.values())
    return DataStage(name, makes, ({"out": out, "sources": sources, **counts},), (f"{out} kept",), StageReport())  # type: ignore[typeddict-item]


def tables(*stages: DataStage) -> list[ReportTable]:
    card = data_card(stages)
    assert card is not None
    return [block for block in card.blocks if isinstance(block, ReportTable)]


def test_the_totals_are_those_of_the_documents_that_are_left() -> None:
    first = stage("ingest", {"web": {"en": 700, "zh": 300}})
    documents = {"web": {"en": 500, "zh": 100}}
    card = data_card([first, stage("clean", documents), stage("pack", documents, "tokens")])
    assert card is not None and isinstance(card.blocks[0], Figures)
    assert dict(card.blocks[0].items) == {
        "documents": "600", "text": "6 kB", "characters": "1.2 k", "tokens": "1.8 k", "sources": "1", "languages": "2",
        "licences stated": "0",
    }  # fmt: skip
    assert card.documents == 600 and card.licences == {"not stated": 600}


def test_each_source_has_its_records_documents_and_share() -> None:
    records = {"web": {"records": 1010, "quarantined": {"a": 4, "b": 1}, "skipped": {"request": 5}}}
    ingest = stage("ingest", {"web": {"en": 700, "zh": 300}}, records_by_source=records)
    sources, *_ = tables(ingest, stage("clean", {"web": {"en": 600, "zh": 200}}))
    assert [column.title for column in sources.columns] == [
        "source", "licence", "languages", "records", "quarantined", "skipped", "read", "left", "share", "text",
    ]  # fmt: skip
    assert rows_of(sources)["web"] == [
        "not stated", "en 75 % zh 25 %", "1,010", "5", "5", "1,000", "800", "80 %", "8 kB",
    ]  # fmt: skip


def test_a_source_of_which_nothing_is_left_is_still_there() -> None:
    records = {name: {"records": 5, "quarantined": {}, "skipped": {}} for name in ("web", "空")}
    ingest = stage("ingest", {"web": {"en": 5}}, records_by_source=records)
    sources, *_ = tables(ingest, stage("clean", {"web": {"en": 4}}))
    assert rows_of(sources)["空"] == ["–", "–", "5", "0", "0", "0", "–", "0 B"]


def test_the_rows_of_many_sources_are_bounded_and_still_add_up() -> None:
    documents = {f"s{n:04d}": {"en": n + 1, "zh": 1} for n in range(3000)}
    ingest, clean = stage("ingest", documents), stage("clean", documents)
    for block in tables(ingest, clean)[2:3]:
        rows = rows_of(block)
        assert len(block.rows) == MOST_ROWS + 1 and "2,981 other sources" in rows
        shown = [int(values[0].split()[0].replace(",", "")) for name, values in rows.items() if name != "all"]
        assert sum(shown) == int(rows["all"][0].split()[0].replace(",", "")) == sum(range(1, 3001)) + 3000


def test_stages_stand_in_their_order_and_a_language_may_change_between_them() -> None:
    first = stage("ingest", {"web": {"en": 10}, "书": {"en": 4}})
    second = stage("passages", {"web": {"en": 8, "zh-Hant": 2}, "书": {"zh": 4}})
    _, _, by_source, by_language, _ = tables(first, second)
    assert [column.title for column in by_source.columns] == ["source", "ingest", "passages"]
    assert rows_of(by_source) == {"web": ["10 100 B"] * 2, "书": ["4 40 B"] * 2, "all": ["14 140 B"] * 2}
    assert rows_of(by_language)["zh"] == ["0", "4 40 B"] and rows_of(by_language)["en"] == ["14 140 B", "8 80 B"]


def test_reasons_are_crossed_with_languages_and_sources_and_every_column_adds_up() -> None:
    records = {
        "web": {"records": 16, "quarantined": {"truncated": 4}, "skipped": {"status_404": 2}},
        "书": {"records": 5, "quarantined": {"truncated": 1}, "skipped": {}},
    }
    clean = {
        "length": {"languages": {"zh": 2, "en": 1}, "sources": {"web": 3}},
        "quality": {"languages": {"en": 1}, "sources": {"web": 1}},
    }
    exact = {"exact": {"languages": {"en": 1}, "sources": {"web": 1}}}
    *_, by_language, by_source, _ = tables(
        stage("ingest", {"web": {"en": 8, "und": 2}, "书": {"zh": 4}}, records_by_source=records),
        stage("signals", {"web": {"en": 8, "zh": 2}, "书": {"zh": 4}}),
        stage("clean", {"web": {"en": 6}, "书": {"zh": 4}}, dropped_by=clean, dropped={"length": 3, "quality": 1}),
        stage("dedupe", {"web": {"en": 5}, "书": {"zh": 4}}, dropped_by=exact, dropped={"exact": 1}),
    )
    assert [column.title for column in by_language.columns] == ["reason", "en", "zh", "all"]
    assert rows_of(by_language) == {
        "documents": ["8", "6", "14"], "length clean": ["1 12 %", "2 33 %", "3 21 %"],
        "quality clean": ["1 12 %", "0", "1 7.1 %"], "exact dedupe": ["1 12 %", "0", "1 7.1 %"],
        "left": ["5 62 %", "4 67 %", "9 64 %"],
    }  # fmt: skip
    assert list(rows_of(by_source)) == [
        "records", "quarantined: truncated ingest", "no document: status_404 ingest", "length clean", "quality clean",
        "exact dedupe", "left",
    ]  # fmt: skip
    for block in (by_language, by_source):
        columns = list(zip(*rows_of(block).values(), strict=True))
        for column in columns:
            numbers = [int(cell.split()[0].replace(",", "")) for cell in column]
            assert numbers[0] == sum(numbers[1:])


def test_reasons_and_languages_are_bounded_and_still_add_up() -> None:
    languages = {f"l{n:02d}": 100 - n for n in range(30)}
    reasons = {f"r{n:03d}": {"languages": dict.fromkeys(languages, 1), "sources": {"web": 30}} for n in range(60)}
    left = {name: n - 60 for name, n in languages.items()}
    *_, table, _ = tables(
        stage("signals", {"web": languages}),
        stage("clean", {"web": left}, dropped_by=reasons, dropped=dict.fromkeys(reasons, 30)),
    )
    assert [column.title for column in table.columns][-2:] == ["25 other languages", "all"]
    assert len(table.rows) == MOST_REASONS + 2 and "37 other reasons" in rows_of(table)
    for column in zip(*rows_of(table).values(), strict=True):
        numbers = [int(cell.split()[0].replace(",", "")) for cell in column]
        assert numbers[0] == sum(numbers[1:])


def test_reasons_that_an_earlier_version_did_not_count_have_no_table() -> None:
    documents = {"web": {"en": 5}}
    blocks = tables(stage("signals", documents), stage("clean", documents, dropped={"length": 1}))
    assert not any(block.title.startswith("Why") for block in blocks)


def test_a_stage_about_documents_appears_with_its_summary_where_its_report_says_nothing() -> None:
    counts: StageCounts = {"in": 10, "out": 10}
    # two models score the same documents: their number is not twice as large
    scores = DataStage("annotate", "annotations", (counts, counts), ("10 documents scored",), StageReport())
    *_, done = tables(stage("ingest", {"web": {"en": 10}}), scores)
    assert rows_of(done)["annotate"] == ["10 documents scored", "", "", ""] and not done.rest


def test_artifacts_of_an_earlier_version_are_said_to_be_uncounted() -> None:
    old = DataStage("ingest", "documents", ({"in": 5, "out": 5},), ("5 documents",), StageReport())
    card = data_card([old])
    assert card is not None and len(card.blocks) == 1 and isinstance(card.blocks[0], ReportTable)
    assert "--force" in card.blocks[0].rest and data_card([]) is None


@pytest.fixture
def published(made_up: MadeUp) -> Run:
    run, store = made_up()
    write(run, store, stage_table())
    return run


def test_the_card_on_the_page_has_the_numbers_of_every_stage(published: Run) -> None:
    page = published.report.read_text(encoding="utf-8")
    card = page[page.index('<section id="card">') : page.index('<section id="dropped">')]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", card))
    for expected in (
        "&lt;b&gt;书&lt;/b&gt; CC BY-SA 4.0 zh 1,849 0 1,849 1,483 80 %",
        "web not stated 67 % · CC0-1.0 33 %",
        "5,552 7 5,545 4,447 80 %",
        "all 7,394 14.8 MB 7,394 14.8 MB 6,501 13 MB 5,930 11.9 MB 5,930 6.76 M tokens",
        "quarantined 7: empty_text 4, invalid_json 3",
        "cleaned: unicode changed 1,203 documents; text 33 MB → 32 MB",
        "identified the language of 12 documents anew",
        "personal data of 2 kinds: replaced 47",
        "dropped 893: repetition.duplicate_lines 571, length.min_units 210, quality.mean_word 112",
        "dropped 571: minhash 431, exact 140",
        "train: 5,780 documents, 6,620,000 tokens in 25,859 rows",
    ):
        assert expected in text, expected
    ids = set(re.findall(r'<section id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', card)) <= ids


def test_kept_documents_are_shown_by_language(published: Run) -> None:
    page = published.report.read_text(encoding="utf-8")
    kept = page[page.index("kept, by language") : page.index('<section id="personal-data">')]
    assert "5,930 of 5,930 (100 %)" in kept and "块炼炉" in kept and "The bloomery turns ore" in kept
    assert kept.count('class="example"') == 6


def test_the_markdown_begins_with_what_a_hub_reads(published: Run) -> None:
    text = published.data_card.read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "pretty_name": "demo", "language": ["en", "zh"], "license": ["cc-by-sa-4.0", "cc0-1.0", "unknown"],
        "size_categories": ["1K<n<10K"], "task_categories": ["text-generation"],
        "annotations_creators": ["no-annotation"], "tags": ["pretraining", "bloomery"],
    }  # fmt: skip
    assert body.startswith("\n# Data card: demo\n")
    for expected in ("| **web** |", "| email | 42 |", "repetition.duplicate\\_lines | 571 | 7.7 % |", "threshold 0.3"):
        assert expected in body, expected


def test_the_markdown_holds_no_text_of_the_corpus_and_no_markup_of_the_data(published: Run) -> None:
    text = published.data_card.read_text(encoding="utf-8")
    assert "块炼炉" not in text and "The bloomery turns" not in text and "没有结尾" not in text
    assert "<b>" not in text and "&lt;b&gt;书&lt;/b&gt;" in text
    assert set(re.findall(r"</?([a-z]+)", text)) <= {"details", "summary", "n"}


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        ({"CC BY-SA 4.0": 3}, "cc-by-sa-4.0"),
        ({"not stated": 3}, "unknown"),
        ({"MIT": 1, "自定义许可": 2}, ["mit", "other"]),
    ],
)
def test_licences_have_the_names_of_the_hub(licences: dict[str, int], expected: object) -> None:
    card = data_card([stage("ingest", {"web": {"zh-Hant": 4000, "code": 2, "und-Latn": 1, "x<b>": 1}})])
    assert card is not None
    front = yaml.safe_load(markdown("a: b", card.__class__((), 4004, card.languages, licences), []).split("---\n")[1])
    assert front["license"] == expected and front["pretty_name"] == "a: b"
    assert front["language"] == ["code", "zh"] and front["language_details"] == ["zh-Hant"]
    assert ("license_details" in front) == ("other" in expected)  # type: ignore[operator]


def test_hostile_text_is_one_line_of_text_in_markdown() -> None:
    hostile = "a|b\n\n# c `d` <script>alert('下载')</script> [x](javascript:y) **z** &amp;"
    chapter = Chapter("card", "", (ReportTable((), ((hostile,),)),), of_data=True)
    assert "\n" not in escape(hostile) and "<" not in escape(hostile) and "\\|" in escape(hostile)
    assert chapter.of_data and "\\[x\\]\\(" in escape(hostile) and "&amp;amp;" in escape(hostile)


def test_a_run_of_models_alone_has_no_card(made_up: MadeUp) -> None:
    run, store = made_up("pretrain")
    write(run, store, stage_table())
    assert not run.data_card.exists() and 'id="card"' not in run.report.read_text(encoding="utf-8")


def test_a_run_whose_artifacts_have_no_counts_by_source_has_a_report(made_up: MadeUp) -> None:
    run, store = made_up("ingest", "signals", "clean")
    for path in Path(run.workdir / "store").glob("*/*/manifest.json"):
        manifest = read_json(path)
        manifest["counts"] = {name: n for name, n in manifest["counts"].items() if name != "sources"}
        write_json(path, manifest)
    write(run, store, stage_table())
    page = run.report.read_text(encoding="utf-8")
    assert "run with --force to count them" in page and "Stage by stage" not in page
