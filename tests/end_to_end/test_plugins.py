"""A plug-in of every kind: found by check, plan and run; a changed source makes its stage stale and is named."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.config import load
from cluster.plan import plan
from pipeline.core.store import Store

# kind → (the stage that its source decides, the file's code); every file imports mine/shared.py
KINDS = {
    "readers": ("ingest", """
from pipeline.readers.jsonl import Jsonl
from pipeline.readers.section import Jsonl as JsonlOptions

class Shouting(Jsonl):
    class Options(JsonlOptions):
        pass
"""),
    "cleaners": ("signals", """
def tidy(text):
    return text.replace("  ", " ")
"""),
    "filters": ("signals", """
from pipeline.core.config import Section
from pipeline.filters.base import DocumentFilter

class Polite(DocumentFilter):
    class Options(Section):
        min_letters: int = 1
    def keep(self, document):
        return len(document["text"]) >= self.options.min_letters
"""),
    "methods": ("dedupe", """
from pipeline.dedupe.exact import Exact

class Same(Exact):
    pass
"""),
    "tokenizers": ("tokenizer", """
from pipeline.tokenizers.bpe import BytePair

class Bytes(BytePair):
    pass
"""),
    "models": ("pretrain", """
from training.models.gpt import Gpt
from training.models.sections.gpt import Gpt as GptOptions

class Small(Gpt):
    class Options(GptOptions):
        width: int = 32
        layers: int = 1
        heads: int = 4
"""),
    "objectives": ("pretrain", """
from training.objectives.causal import Causal
from training.objectives.section import Causal as CausalOptions

class Next(Causal):
    class Options(CausalOptions):
        pass
"""),
    "optimizers": ("pretrain", """
from pipeline.core.config import Section
from training.engines.rules import UpdateRule

class Lion(UpdateRule):
    class Options(Section):
        lr: float = 3e-4
        weight_decay: float = 0.1
    def update(self, parameter, gradient, state, *, lr, weight_decay, step):
        momentum = state("momentum")
        parameter.mul_(1 - lr * weight_decay).sub_(momentum.mul(0.9).add_(gradient, alpha=0.1).sign_(), alpha=lr)
        momentum.mul_(0.99).add_(gradient, alpha=0.01)
"""),
    "schedules": ("pretrain", """
from training.engines.section import Schedule

class Halves(Schedule):
    every: int = 4
    def factor(self, step, steps):
        return 0.5 ** (step // self.every)
"""),
    "engines": ("pretrain", """
from training.engines.plain import Plain
from training.engines.section import Plain as PlainOptions

class Alone(Plain):
    name = "mine"
    class Options(PlainOptions):
        pass
"""),
    "augmentations": ("pretrain", """
from training.augment.base import Augmentation

class Nothing(Augmentation):
    name = "nothing"
"""),
    "tasks": ("evaluate", """
from training.evaluation.base import EvaluationTask, Score, TaskResult

class Parameters(EvaluationTask):
    name = "parameters"
    def cut(self, held_out):
        return [{}]
    def work(self, item, subject):
        return sum(p.numel() for p in subject.model.parameters())
    def merge(self, held_out, results):
        return TaskResult([Score("parameters", "count", float(results[0]), None, 1)])
"""),
    "formats": ("export", """
from pipeline.core.files import replacing
from training.export.base import Format

class Names(Format):
    name = "names"
    def write(self, source, folder):
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "files.txt") as beside:
            beside.write_text("\\n".join(sorted(path.name for path in source.model.iterdir())))
        return ["files.txt"]
    def check(self, source, folder):
        assert (folder / "files.txt").read_text()
"""),
}  # fmt: skip
CONFIG = """\
workdir: work
ingest: {{sources: [{{reader: "mine.readers:Shouting", paths: "{corpus}/[02].jsonl"}}]}}
clean: {{cleaners: [unicode, "mine.cleaners:tidy"], filters: [length, {{"mine.filters:Polite": {{min_letters: 40}}}}]}}
dedupe: {{method: "mine.methods:Same"}}
tokenizer: {{kind: "mine.tokenizers:Bytes", vocabulary: 400}}
pack: {{length: 64, validation: 0.05}}
pretrain:
  model: {{family: "mine.models:Small"}}
  objective: mine.objectives:Next
  optimizer: {{"mine.optimizers:Lion": {{lr: 0.001}}}}
  schedule: {{"mine.schedules:Halves": {{every: 2}}}}
  engine: mine.engines:Alone
  augment: [mine.augmentations:Nothing]
  steps: 6
  batch_tokens: 512
  validate_tokens: 512
  precision: fp32
evaluate: {{tasks: ["mine.tasks:Parameters"]}}
export: {{formats: ["mine.formats:Names"]}}
"""


def ask(folder: Path, *arguments: str) -> str:
    """The command as it is installed: the current folder is no import folder of Python's own."""
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "160"}
    command = [sys.executable, "-m", "cluster.cli", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def states(folder: Path) -> dict[str, str]:
    """Stage → its state and the reason, planned in this process: an import of torch a plan would be minutes."""
    with contextlib.chdir(folder):
        loaded = load(Path("own.yaml"))
        return {one.stage: f"{one.state}: {one.reason}" for one in plan(loaded, Store(loaded.workdir))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Iterator[Path]:
    """A user's folder with the package `mine` and a configuration that names a plug-in for everything, run once."""
    where = tmp_path_factory.mktemp("own")
    (where / "mine").mkdir()
    (where / "mine" / "shared.py").write_text("WORD = '字'\n", encoding="utf-8")
    for kind, (_, code) in KINDS.items():
        (where / "mine" / f"{kind}.py").write_text(f"from mine.shared import WORD\n{code}", encoding="utf-8")
    (where / "own.yaml").write_text(CONFIG.format(corpus=corpus), encoding="utf-8")
    assert "no problems found" in ask(where, "check", "own.yaml")
    assert "9 of 9 stages to run" in ask(where, "plan", "own.yaml")
    ask(where, "run", "own.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(where)])
        yield where
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


@pytest.fixture
def edited(folder: Path) -> Iterator[Path]:
    """The folder; what a test writes into its sources is undone."""
    before = {path: path.read_bytes() for path in (folder / "mine").iterdir() if path.is_file()}
    yield folder
    for path, data in before.items():
        path.write_bytes(data)


@pytest.mark.long
def test_a_run_with_a_plug_in_of_every_kind_is_done_and_stays_done(folder: Path) -> None:
    assert {state.split(":")[0] for state in states(folder).values()} == {"done"}
    (scores,) = folder.glob("work/store/evaluate/*/scores.json")
    assert '"parameters"' in scores.read_text(encoding="utf-8")
    (files,) = folder.glob("work/store/export/*/*/files.txt")
    assert "model.safetensors" in files.read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_plug_in_makes_its_stage_stale_and_is_named(edited: Path, kind: str) -> None:
    stage, _ = KINDS[kind]
    path = edited / "mine" / f"{kind}.py"
    path.write_text(path.read_text(encoding="utf-8") + "# 改\n", encoding="utf-8")
    after = states(edited)
    assert after[stage].startswith("stale") and f"the plug-in source mine/{kind}.py changed" in after[stage]
    before = list(after)[: list(after).index(stage)]
    assert all(after[name].startswith("done") for name in before)


@pytest.mark.long
def test_a_module_that_plug_ins_import_makes_all_their_stages_stale(edited: Path) -> None:
    (edited / "mine" / "shared.py").write_text("WORD = '词'\n", encoding="utf-8")
    after = states(edited)
    for stage in {stage for stage, _ in KINDS.values()} | {"clean"}:
        assert "the plug-in source mine/shared.py changed" in after[stage]
