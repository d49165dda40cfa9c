"""Every entry on every corpus by one command: judged before any work, gone on with, set side by side in one page."""

from __future__ import annotations

import importlib
import os
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

import pipeline.stages
import training.stages
from cluster.comparison import read, write

RULES = ["length", {"script": {"keep": ["Latn", "Hani"]}}]
FAMILIES = """\
name: families
workdir: work
base: {sift: {longest: 8}, judge: {}}
corpora:
  en: {gather: {words: [iron, bloom]}}
  zh: {gather: {words: [铁, 炼铁炉]}}
entries:
  short: {teach: {steps: 2}}
  long: {teach: {steps: 13}}
"""
BROKEN = """\
base: {sift: {longest: many}}
corpora:
  en: {gather: {words: [iron]}, entries: {long: {judge: {tasks: 7}}, wide: {judge: {}}}}
  zh-Hant: {gather: {wrods: [鐵]}, name: mine}
entries:
  short: {teach: {steps: 2}}
  long: {teach: {stesp: 3}, judge: {}}
"""


ONE = FAMILIES.replace("  zh: {gather: {words: [铁, 炼铁炉]}}\n", "")
SPOILED = """\
def teach(job):
    if str(job.params["steps"]) == os.environ.get("SPOIL"):
        raise StageFailed("teach: 铁 is too hot.")
"""


@pytest.fixture
def comparison(folder: Any) -> Any:
    (folder.path / "families.yaml").write_text(ONE, encoding="utf-8")
    tiny = (folder.path / "tiny.py").read_text(encoding="utf-8")
    (folder.path / "tiny.py").write_text(tiny.replace("def teach(job):\n", SPOILED), encoding="utf-8")
    return folder


def tiny_stages(comparison: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process know them too."""
    monkeypatch.syspath_prepend(str(comparison.path))
    tiny = importlib.import_module("tiny")
    monkeypatch.setattr(pipeline.stages, "STAGES", tiny.SPECS)
    monkeypatch.setattr(training.stages, "STAGES", ())


def test_every_entry_runs_on_every_corpus_and_what_they_share_is_done_once(comparison: Any) -> None:
    (comparison.path / "families.yaml").write_text(FAMILIES, encoding="utf-8")
    printed = comparison.run("compare", "families.yaml")
    assert {stage: len(found) for stage, found in comparison.published().items()} == {
        "gather": 2, "sift": 2, "teach": 4, "judge": 2,
    }  # fmt: skip
    assert "— 4 of 4: long-zh" in printed and "4 of 4 done" in printed
    page = comparison.read("work/comparisons/families/index.html")
    assert all(f'id="{corpus}"' in page for corpus in ("en", "zh")) and "4 of 4" in page
    assert len(re.findall(r'href="../../runs/[\w-]+/report.html"', page)) == 4
    tables = comparison.read("work/comparisons/families/table.md")
    assert tables.count("| short |") == 2 and "bits per byte 0.0" in tables and "gather" in tables
    assert str(comparison.path) not in tables
    alone = comparison.run("run", "work/comparisons/families/long-zh.yaml")
    assert alone.count("cached: ") == 4  # what a run comes to is a file that runs by itself


def test_the_same_command_skips_what_is_done_and_goes_on_with_what_failed(comparison: Any) -> None:
    printed = comparison.run("compare", "families.yaml", code=1, SPOIL="2")
    assert "short-en: failed. teach: 铁 is too hot." in printed and "1 of 2 done" in printed
    assert "To resume, run:\n" in printed and printed.strip().endswith("compare families.yaml")
    page = comparison.read("work/comparisons/families/index.html")
    assert "teach: 铁 is too hot." in page and "1 failed" in page
    runs = len(list(comparison.workdir.glob("runs/*")))
    printed = comparison.run("compare", "families.yaml")
    assert "— 2 of 2: long-en: all stages cached" in printed and "2 of 2 done" in printed
    assert len(list(comparison.workdir.glob("runs/*"))) == runs + 1
    assert comparison.run("compare", "families.yaml").count("all stages cached") == 2


def test_a_comparison_that_is_stopped_goes_on(comparison: Any, wait_for: Callable[[Callable[[], bool]], None]) -> None:
    process = comparison.start("compare", "families.yaml", SLOW="0.2")
    wait_for(lambda: (comparison.workdir / "draft" / "teach").exists())
    os.kill(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 130, printed
    assert "0 of 2 done" in printed and "not done" in comparison.read("work/comparisons/families/index.html")
    assert "2 of 2 done" in comparison.run("compare", "families.yaml")


def test_every_mistake_of_every_run_is_told_with_its_line_before_any_work(comparison: Any) -> None:
    (comparison.path / "families.yaml").write_text(BROKEN, encoding="utf-8")
    printed = comparison.run("compare", "families.yaml", "teach.steps=-1.5", code=2)
    for line in (
        "families.yaml:1: base.sift.longest: should be a valid integer",
        "families.yaml:3: corpora.en.entries.long.judge.tasks: should be",
        "families.yaml:3: corpora.en.entries.wide: there is no entry wide.",
        "families.yaml:4: corpora.zh-Hant: is used in file names",
        "families.yaml:4: corpora.zh-Hant.gather.wrods: unknown key. Did you mean 'words'?",
        "families.yaml:4: corpora.zh-Hant.name: applies to the whole comparison.",
        "families.yaml:7: entries.long.teach.stesp: unknown key. Did you mean 'steps'?",
        "command line: entries.short.teach.steps: should be a valid integer",
    ):
        assert line in printed, printed
    assert printed.count("longest") == 1 and not comparison.workdir.exists()


def test_a_mistake_in_what_is_shared_names_the_runs_that_have_it(comparison: Any) -> None:
    text = FAMILIES.replace("short: {teach: {steps: 2}}", "none: {sift: {longest: 9}}")
    (comparison.path / "families.yaml").write_text(text, encoding="utf-8")
    printed = comparison.run("compare", "families.yaml", code=2)
    assert "families.yaml:3: base.judge: in none-en, none-zh: the stage judge needs model" in printed


def test_the_later_section_stands_whole_and_a_corpus_may_say_its_own_for_an_entry(
    comparison: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_stages(comparison, monkeypatch)
    text = FAMILIES.replace("炼铁炉]}}", "炼铁炉]}, entries: {long: {sift: {rules: [script]}}}}")
    (comparison.path / "families.yaml").write_text(text, encoding="utf-8")
    runs = {one.name: one.loaded.resolved()["sift"] for one in read(comparison.path / "families.yaml").runs}
    assert {name: (sift["longest"], sift["rules"]) for name, sift in runs.items()} == {
        "short-en": (8, RULES), "long-en": (8, RULES), "short-zh": (8, RULES), "long-zh": (10, ["script"]),
    }  # fmt: skip


def test_an_override_is_of_the_file_or_of_every_run_that_has_the_section(comparison: Any) -> None:
    comparison.run("compare", "families.yaml", "name=other", "corpora.en.gather.words=[钢]", "teach.steps=1")
    assert "steps: 1" in comparison.read("work/comparisons/other/long-en.yaml")
    assert "[钢]" in comparison.read("work/comparisons/other/short-en.yaml")
    assert len(comparison.published()["teach"]) == 1  # entries of equal steps are one
    assert "no run has a section 'taech'" in comparison.run("compare", "families.yaml", "taech.steps=1", code=2)


def test_what_is_no_comparison_is_refused(comparison: Any) -> None:
    printed = comparison.run("compare", "tiny.yaml", code=2)
    assert "corpora: is missing." in printed and "gather: unknown key." in printed
    assert "cannot be read" in comparison.run("compare", "nowhere.yaml", code=2)


def test_every_model_of_a_run_has_a_row_of_its_own(comparison: Any) -> None:
    text = ONE.replace("judge: {}", "judge: {of: [a, b]}")
    text = text.replace("short: {teach: {steps: 2}}", "short: {teach: [{name: a, steps: 2}, {name: b, steps: 3}]}")
    text = text.replace("  long: {teach: {steps: 13}}\n", "")
    (comparison.path / "families.yaml").write_text(text, encoding="utf-8")
    comparison.run("compare", "families.yaml")
    tables = comparison.read("work/comparisons/families/table.md")
    figures = re.findall(r"^\| short, (a|b) \|.* bits per byte ([\d.]+)", tables, re.MULTILINE)
    assert [name for name, _ in figures] == ["a", "b"], tables
    assert "Run once and shared by several models: gather" in tables
    page = comparison.read("work/comparisons/families/index.html")
    assert "<b>short, a</b>" in page and "<b>short, b</b>" in page and "2 of 2" in page


def test_secrets_stay_names_in_what_is_written(comparison: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_stages(comparison, monkeypatch)
    monkeypatch.setenv("MY_TOKEN", "geheim")
    text = FAMILIES.replace("iron", '"${MY_TOKEN}"').replace("workdir: work", f"workdir: {comparison.workdir}")
    (comparison.path / "families.yaml").write_text(text, encoding="utf-8")
    write(read(comparison.path / "families.yaml"))
    written = comparison.read("work/comparisons/families/short-en.yaml")
    assert "${MY_TOKEN}" in written and "geheim" not in written
