"""What can be asked on the command line, and how quickly and plainly wrong questions are answered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CONFIGS = Path(__file__).parents[2] / "configs"
BROKEN = """\
name: mein/modell
ingest:
  sources:
    - {reader: jsnl, paths: nowhere/*.jsonl}
    - {reader: jsonl, paths: nowhere/*.jsonl}
clean: {filters: [lenght]}
pack: {length: 512}
pretrain:
  model: {family: gpt, layers: 2, context: 256}
  batch_tokns: 100
evaluate: {tasks: [perplexity]}
"""


def ask(where: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "cluster.cli", *arguments], cwd=where, capture_output=True, text=True, check=False,
        env={**os.environ, "COLUMNS": "150"},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_help_imports_nothing_slow() -> None:
    code = (
        "import contextlib, io, sys\n"
        "from cluster import cli\n"
        "sys.argv = ['bloomery', '--help']\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    cli.main()\n"
        "slow = {'pydantic', 'yaml', 'numpy', 'pyarrow', 'polars', 'fsspec', 'torch', 'ray', 'apache_beam'}\n"
        "print(*sorted(slow & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_names_every_command(tmp_path: Path) -> None:
    printed = ask(tmp_path, "--help")
    for command in ("init", "check", "plan", "run", "runs", "report", "sample", "trace", "doctor", "sweep"):
        assert f"  {command} " in printed


def test_every_mistake_of_a_real_configuration_comes_at_once(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(BROKEN, encoding="utf-8")
    printed = ask(tmp_path, "check", "broken.yaml", code=2)
    for expected in (
        "broken.yaml:1: name: should",
        "broken.yaml:4: ingest.sources[0]",
        "Did you mean 'jsonl'?",
        "broken.yaml:6: clean.filters[0]",
        "Did you mean 'length'?",
        "broken.yaml:10: pretrain.batch_tokns: unknown key. Did you mean 'batch_tokens'?",
        "broken.yaml:11: evaluate: the stage evaluate needs tokenizer",
    ):
        assert expected in printed, printed
    assert "Traceback" not in printed


def test_cross_checks_name_both_sides(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "铁"}\n', encoding="utf-8")
    text = BROKEN.replace("mein/modell", "m").replace("    - {reader: jsnl, paths: nowhere/*.jsonl}\n", "")
    text = (
        text.replace("lenght", "length").replace("batch_tokns", "batch_tokens").replace("pack:", "tokenizer: {}\npack:")
    )
    (tmp_path / "cross.yaml").write_text(text, encoding="utf-8")
    printed = ask(tmp_path, "check", "cross.yaml", code=2)
    assert "rows of 512 tokens do not fit the model's context of 256" in printed
    assert "batch_tokens 100 is not a whole number of rows" in printed
    assert "nowhere/*.jsonl: no file matches" in printed
    good = ask(tmp_path, "check", "cross.yaml", "pack.length=50", "ingest.sources=[{reader: jsonl, paths: a.jsonl}]")
    assert "no problems found" in good


def test_a_missing_or_unreadable_file_is_one_sentence(tmp_path: Path) -> None:
    assert "gone.yaml: cannot be read" in ask(tmp_path, "check", "gone.yaml", code=2)
    (tmp_path / "tabs.yaml").write_text("a:\n\tb: 1\n")
    assert "tabs.yaml:2: is not YAML" in ask(tmp_path, "run", "tabs.yaml", code=2)


def test_a_work_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    # root may write in a folder of mode 500, and nobody may create anything in /proc
    printed = ask(tmp_path, "check", str(CONFIGS / "jsonl.yaml"), "workdir=/proc/work", code=2)
    assert "workdir: cannot write in" in printed


def test_a_work_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    printed = ask(tmp_path, "check", str(CONFIGS / "jsonl.yaml"), "workdir=file", code=2)
    assert "command line: workdir: cannot write in" in printed and "Choose another workdir." in printed


def test_init_writes_a_configuration_that_is_right_and_never_over_another(tmp_path: Path) -> None:
    for language in ("en", "zh"):
        (tmp_path / "data" / language).mkdir(parents=True)
        (tmp_path / "data" / language / "a.jsonl.gz").write_bytes(b"")
    assert "bloomery check own.yaml" in ask(tmp_path, "init", "own.yaml")
    assert "no problems found" in ask(tmp_path, "check", "own.yaml")
    assert "already exists" in ask(tmp_path, "init", "own.yaml", code=2)
    ask(tmp_path, "init", "own.yaml", "--force")
    assert "the folder no does not exist" in ask(tmp_path, "init", "no/own.yaml", code=2)


def test_the_configuration_in_the_repository_is_the_one_that_init_writes() -> None:
    from cluster.commands.init import TEMPLATE

    text = TEMPLATE.read_text(encoding="utf-8").replace("THIS_FILE", "configs/jsonl.yaml")
    assert (CONFIGS / "jsonl.yaml").read_text(encoding="utf-8") == text


def test_the_demonstration_is_right_on_this_installation(tmp_path: Path) -> None:
    assert "no problems found" in ask(tmp_path, "check", str(CONFIGS / "demo.yaml"))


def test_commands_on_an_empty_work_directory_say_how_to_begin(tmp_path: Path) -> None:
    assert "bloomery run CONFIG.yaml" in ask(tmp_path, "runs")
    for command in (("report",), ("sample",), ("trace", "--step", "1")):
        assert "no runs yet" in ask(tmp_path, *command, code=2)
    assert "give one of --step N, --document ID and --anomalies" in ask(tmp_path, "trace", code=2)


def test_several_runs_must_be_named_and_one_need_not_be(finished: Any) -> None:
    (only,) = finished.workdir.glob("runs/*")
    assert finished.run("report").strip() == str(only.absolute() / "report.html")
    finished.run("run", "tiny.yaml")
    printed = finished.run("report", code=2)
    assert "several runs; give the name of one" in printed and only.name in printed
    assert "report.html" in finished.run("report", only.name)
    assert "report.html" in finished.run("report", f"work/runs/{only.name}")


def test_null_on_the_command_line_leaves_a_stage_out_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text('{"id": 1, "text": "鐵 and iron."}\n', encoding="utf-8")
    text = "ingest: {sources: [{reader: jsonl, paths: notes.jsonl, language: en}]}\ndedupe: {method: exact}\n"
    (tmp_path / "ore.yaml").write_text(text, encoding="utf-8")
    assert "+ dedupe" in ask(tmp_path, "plan", "ore.yaml")
    assert "+ dedupe" not in ask(tmp_path, "plan", "ore.yaml", "dedupe=null")


BROKEN_TEXT = os.fsdecode(b"caf\xe9 \xff")


@pytest.mark.parametrize(
    "arguments",
    [
        ("sample", "--prompt", BROKEN_TEXT), ("check", "c.yaml", f"name={BROKEN_TEXT}"),
        ("trace", "--document", BROKEN_TEXT), ("sweep", "c.yaml", f"name={BROKEN_TEXT},b"), ("report", BROKEN_TEXT),
        ("runs", "--workdir", BROKEN_TEXT),
    ],
)  # fmt: skip
def test_an_argument_that_is_no_utf8_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    printed = ask(tmp_path, *arguments, code=2)
    assert printed.count("\n") == 1 and "is not UTF-8" in printed and "caf\\udce9" in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ("sample", "--seed", "99999999999999999999"), ("sample", "--tokens", "99999999999999999999"),
        ("sample", "--top-k", "99999999999999999999"), ("trace", "--step", "99999999999999999999"),
        ("sample", "--temperature", "nan"), ("sample", "--temperature", "inf"),
    ],
)  # fmt: skip
def test_a_number_that_is_too_large_or_none_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    printed = ask(tmp_path, *arguments, code=2)
    assert "Traceback" not in printed and arguments[1] in printed
