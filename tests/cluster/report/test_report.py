"""report.html: whole, self-contained, safe, and true to the artifacts."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cluster.report.page import write as write_page
from cluster.run import Run
from cluster.sections import stage_table
from pipeline.core.files import read_json, write_json
from pipeline.core.store import Store

MadeUp = Callable[..., tuple[Run, Store]]
VOID = {"meta", "br", "hr", "img", "input", "link"}


def write(run: Run, store: Store) -> Path:
    return write_page(run, store, stage_table())


class Strict(HTMLParser):
    """Every element is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()}"


@pytest.fixture
def page(made_up: MadeUp) -> str:
    return write(*made_up()).read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_loads_nothing(page: str) -> None:
    parser = Strict()
    parser.feed(page)
    assert parser.open == []
    assert not re.search(r"""(src|href)=["'](?!#)|url\(|@import|<script""", page)


def test_text_of_the_corpus_and_of_the_model_is_escaped(page: str) -> None:
    assert "<script>alert" not in page and "&lt;script&gt;alert(&#39;下载&#39;)" in page
    assert "&lt;b&gt;were&lt;/b&gt; kept &amp; counted" in page


def test_the_funnel_shows_every_gate_and_what_fell_out(page: str) -> None:
    funnel = page[page.index('class="chart funnel"') : page.index('id="dropped"')]
    for expected in ("8 files", "7,394", "6,501", "5,930", "6.76 M", "−893", "−571", "repetition.duplicate_lines 571"):
        assert expected in funnel, expected


def test_every_reason_has_three_examples_with_value_and_threshold(page: str) -> None:
    dropped = page[page.index('id="dropped"') : page.index('id="tokenizer"')]
    reasons = dropped.split("<details>")[1:]
    assert len(reasons) == 2 + 3 + 2 + 2  # the last two: languages of what was kept
    assert all(part.count('class="example"') == 3 for part in reasons)
    assert "threshold 0.3" in dropped and "similarity 0." in dropped and "zh/0.jsonl.gz" in dropped


def test_a_duplicate_is_shown_beside_the_document_that_stays(page: str) -> None:
    dropped = page[page.index('id="dropped"') : page.index('id="tokenizer"')]
    assert "块炼炉" in dropped and "The bloomery turns ore" in dropped and "kept <code>doc-" in dropped


def test_words_stand_beside_their_nearest_words(page: str) -> None:
    shown = page[page.index('<section id="neighbours">') : page.index('<section id="cost">')]
    for expected in ("铁匠", "zh", "炉子", "0.81", "&lt;b&gt;", "bloomery", "not in the vocabulary"):
        assert expected in shown, expected


def test_gaps_stand_beside_what_fills_them(page: str) -> None:
    shown = page[page.index('<section id="gaps">') : page.index('<section id="cost">')]
    for expected in ("铁匠把[MASK]点着了", "炉子", "灯火", "0.43", "&lt;i&gt;", "letter"):
        assert expected in shown, expected


def test_scores_samples_tokenizer_and_curves_are_there(page: str) -> None:
    for expected in (
        "1.8520",
        "xz_bits_per_byte",
        "0.82 × xz -9",
        "很好，铁匠",
        "3.00",
        "8,192 pieces",
        "validation loss 4.25",
    ):
        assert expected in page, expected


def test_the_wall_time_of_training_adds_up_to_that_of_its_stage(page: str) -> None:
    table = page[page.index("Goodput: 67 % of 31 s") :]
    table = table[: table.index("</table>")]
    rows = re.findall(
        r"<tr>\s*<td>([^<]+)</td>.*?width:([\d.]+)%.*?<td class=.n.>([^<]+)</td>\s*</tr>", table, re.DOTALL
    )
    assert [name for name, _, _ in rows] == [
        "start-up", "waiting for data", "computing steps", "validation", "checkpoints and the model",
        "restarts and lost steps", "ending the workers", "publishing the model", "not accounted",
    ]  # fmt: skip
    assert sum(float(width) for _, width, _ in rows) == pytest.approx(100, abs=0.4)
    shares = {name: share for name, _, share in rows}
    assert (shares["restarts and lost steps"], shares["publishing the model"]) == ("10 %", "0.7 %")
    assert float({name: width for name, width, _ in rows}["not accounted"]) < 0.5


def test_it_says_how_to_repeat_the_run_and_where_everything_comes_from(page: str) -> None:
    assert "bloomery run demo.yaml" in page and "config.yaml" in page and "python==3.11.7" in page
    lineage = page[page.index('id="lineage"') : page.index('id="repeat"')]
    assert all(stage in lineage for stage in ("ingest", "signals", "clean", "dedupe", "pack", "pretrain", "export"))


@pytest.mark.parametrize("stages", [("ingest",), ("ingest", "signals", "clean"), ("tokenizer", "pack", "pretrain")])
def test_a_run_of_some_stages_has_a_report_of_those(made_up: MadeUp, stages: tuple[str, ...]) -> None:
    page = write(*made_up(*stages)).read_text(encoding="utf-8")
    assert all(f"<td>{stage}</td>" in page for stage in stages)
    assert "Generated text" not in page


def test_long_tables_of_languages_are_folded(made_up: MadeUp) -> None:
    run, store = made_up()
    (scores,) = (run.workdir / "store" / "evaluate").glob("*/scores.json")
    (splits,) = (run.workdir / "store" / "pack").glob("*/splits.json")
    tags = [f"x{number:02d}" for number in range(60)]
    row = {"task": "perplexity", "metric": "loss", "value": 4.0, "interval": None, "items": 1}
    write_json(scores, [{**row, "language": None}, *({**row, "language": tag} for tag in tags)])
    counts = {tag: {"documents": 1, "tokens": 100 + number} for number, tag in enumerate(tags)}
    write_json(splits, {"train": {"documents": 60, "tokens": 9, "rows": 1, "languages": counts}})
    page = write(run, store).read_text(encoding="utf-8")
    assert "60 scores by language" in page and "Tokens of each language: 60 languages" in page
    assert page.index("<td>x59</td>") < page.index("<td>x00</td>")  # the most tokens first


def test_a_failed_run_shows_its_sentence(made_up: MadeUp) -> None:
    run, store = made_up("ingest", ended="failed", error="clean: 坏了 & broken. Mend it.")
    page = write(run, store).read_text(encoding="utf-8")
    assert 'class="state failed"' in page and "clean: 坏了 &amp; broken. Mend it." in page


def test_the_curve_of_an_unfinished_training_comes_from_its_metrics(made_up: MadeUp) -> None:
    run, store = made_up("ingest")
    training = {"stage": "pretrain", "fingerprint": "f" * 64, "inputs": {}, "why": "nothing yet"}
    write_json(run.path / "plan.json", [*read_json(run.path / "plan.json"), training])
    lines = ['{"step": 1, "loss": 9.0}', '{"step": 2, "loss": 8.5}', '{"step": 3, "lo']
    (run.metrics / "train.jsonl").write_text("\n".join(lines))
    assert "training loss 8.5 at 2" in write(run, store).read_text(encoding="utf-8")
