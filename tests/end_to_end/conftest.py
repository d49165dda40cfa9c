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

NOUNS = (
    "river city student engine garden letter window teacher mountain market bridge paper station farmer doctor island "
    "forest kitchen library painter winter harbour machine village captain story morning valley journey lantern"
).split()
VERBS = (
    "carries finds repairs watches leaves builds remembers follows opens paints crosses sells reads keeps meets".split()
)
KINDS = (
    "quiet old bright narrow heavy green distant careful broken early famous simple hidden warm empty patient".split()
)
PLACES = ["near the coast", "behind the school", "at the northern gate", "with great care", "of the old town"]
PLACES += ["that nobody expected", "and the people of the valley have noticed it", "to be ready for the long winter"]
ZH_NOUNS = (
    "河流 城市 学生 机器 花园 信件 窗户 老师 高山 市场 石桥 纸张 车站 农民 医生 小岛 森林 厨房 图书馆 画家".split()
)
ZH_VERBS = "带着 发现 修理 看见 离开 建造 记得 跟随 打开 描绘 穿过 卖掉 阅读 保存 遇到".split()
ZH_KINDS = "安静的 古老的 明亮的 狭窄的 沉重的 绿色的 遥远的 小心的 破旧的 早晨的 著名的 简单的 隐蔽的 温暖的".split()
ZH_PLACES = [
    "在海边",
    "在学校后面",
    "在北门",
    "非常仔细地",
    "在老城里",
    "为了过冬",
    "因为大家都已经知道了",
    "和邻居一起",
]


def english(random_: random.Random, sentences: int) -> str:
    def sentence() -> str:
        pick = random_.choice
        text = f"the {pick(KINDS)} {pick(NOUNS)} {pick(VERBS)} a {pick(KINDS)} {pick(NOUNS)} {pick(PLACES)}"
        if random_.random() < 0.5:
            text += f", and it {pick(VERBS)} the {pick(NOUNS)} {pick(PLACES)}"
        return text[0].upper() + text[1:] + "."

    return " ".join(sentence() for _ in range(sentences))


def chinese(random_: random.Random, sentences: int) -> str:
    def sentence() -> str:
        pick = random_.choice
        return f"{pick(ZH_KINDS)}{pick(ZH_NOUNS)}{pick(ZH_PLACES)}{pick(ZH_VERBS)}{pick(ZH_KINDS)}{pick(ZH_NOUNS)}。"

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
