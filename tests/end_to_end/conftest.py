"""A made-up corpus in English and Chinese, and the command run as a user runs it."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NOUNS = [f"{head}{tail}" for head in "riv gard stat lant harb brid mount winds painf vall mach librar".split()
         for tail in "er en ion ern our ge ain ow all ey ine ets".split()]  # fmt: skip
VERBS = (
    "carries finds repairs watches leaves builds remembers follows opens paints crosses sells reads keeps meets".split()
)
KINDS = (
    "quiet old bright narrow heavy green distant careful broken early famous simple hidden warm empty patient".split()
)
JOINTS = ["and it", "because the other", "which", "while a neighbour of the", "after that the", "but nobody in the"]
HAN = "天地山水风云花草木石日月星河城门车船书画琴棋米面茶酒金银铜铁春夏秋冬东西南北人心手口目耳田土火光"
ZH_JOINTS = ["在早上", "因为大家都知道", "虽然下了雨", "在他们的老城里", "为了明年的", "和邻居一起", "经过很长时间以后"]


def english(random_: random.Random, sentences: int) -> str:
    def sentence() -> str:
        pick = random_.choice
        text = f"the {pick(KINDS)} {pick(NOUNS)} {pick(VERBS)} a {pick(NOUNS)} {pick(JOINTS)} {pick(NOUNS)}"
        return f"{text[0].upper()}{text[1:]} {pick(VERBS)} {pick(NOUNS)} to be with {pick(KINDS)} {pick(NOUNS)}."

    return " ".join(sentence() for _ in range(sentences))


def chinese(random_: random.Random, sentences: int) -> str:
    def word() -> str:
        return random_.choice(HAN) + random_.choice(HAN)

    def sentence() -> str:
        joint = random_.choice(ZH_JOINTS)
        return f"{word()}的{word()}{joint}{word()}了{word()}，是{word()}和{word()}的{word()}。"

    return "".join(sentence() for _ in range(sentences))


def documents(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Half English, half Chinese; one in ten a near copy of an earlier one, one in twenty too short to stay."""
    random_ = random.Random(seed)
    made: list[dict[str, Any]] = []
    for number in range(count):
        language, write = ("en", english) if number % 2 else ("zh", chinese)
        text = write(random_, random_.randint(12, 40))
        if number % 20 == 19:
            text = text[:30]
        elif number % 10 == 9:
            text = made[number - 8]["text"] + " " + write(random_, 1)
        made.append({"id": f"{language}-{number}", "text": text, "lang": language})
    return made


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four JSONL files, one of them gzipped, 600 documents, with a line that is not JSON."""
    folder = tmp_path_factory.mktemp("corpus")
    made = documents(600)
    for index in range(4):
        lines = [json.dumps(document, ensure_ascii=False) for document in made[index * 150 : (index + 1) * 150]]
        if index == 2:
            lines.insert(70, '{"id": "broken", "text": "no end')
        data = ("\n".join(lines) + "\n").encode()
        if index == 1:
            (folder / "1.jsonl.gz").write_bytes(gzip.compress(data, mtime=0))
        else:
            (folder / f"{index}.jsonl").write_bytes(data)
    return folder


CONFIG = """\
name: tiny
workdir: {workdir}
seed: 5
ingest:
  sources: [{{reader: jsonl, paths: "{corpus}/*.jsonl*"}}]
clean: {{}}
dedupe: {{}}
tokenizer: {{vocabulary: 512}}
pack: {{length: 64, validation: 0.05}}
pretrain:
  model: {{family: gpt, layers: 2, heads: 2, width: 32}}
  steps: 24
  batch_tokens: 512
  save_every: 6
  validate_every: 12
  precision: fp32
  engine: {engine}
evaluate: {{tasks: [perplexity, {{samples: {{prompts: ["The river", "今天"], tokens: 12}}}}]}}
export: {{formats: [huggingface]}}
cluster: {{launcher: {launcher}, workers: {workers}, beam: {{workers: {beam}}}}}
"""


@pytest.fixture
def config(tmp_path: Path, corpus: Path) -> Callable[..., Path]:
    """Write a configuration into a folder of its own: config("a", engine="plain", beam=2) → its path."""

    def write(name: str, *, engine: str = "plain", launcher: str = "local", workers: int = 1, beam: int = 1) -> Path:
        path = tmp_path / f"{name}.yaml"
        where = {"workdir": tmp_path / name, "corpus": corpus}
        text = CONFIG.format(engine=engine, launcher=launcher, workers=workers, beam=beam, **where)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """Start the command in a process group of its own."""
    command = [sys.executable, "-m", "cluster.cli", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "160"}
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, env=environment,
        **options,
    )  # fmt: skip


@pytest.fixture
def bloomery() -> Callable[..., str]:
    """Run the command to its end and return what it printed; `code` is the exit code that is expected."""

    def run(*arguments: str | Path, code: int = 0) -> str:
        process = start(*arguments)
        printed, _ = process.communicate(timeout=600)
        assert process.returncode == code, printed
        return printed

    return run


@pytest.fixture
def begin() -> Callable[..., subprocess.Popen[str]]:
    """Start the command and do not wait."""
    return start


@pytest.fixture
def digests() -> Callable[[Path], dict[str, str]]:
    """The digest of every artifact of a work directory, by stage."""

    def read(workdir: Path) -> dict[str, str]:
        manifests = sorted(workdir.glob("store/*/*/manifest.json"))
        assert len({path.parts[-3] for path in manifests}) == len(manifests), "one artifact a stage"
        return {path.parts[-3]: json.loads(path.read_text())["digest"] for path in manifests}

    return read
