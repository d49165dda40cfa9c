"""The code on every card is run as it stands there, in a fresh interpreter that finds nothing of ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import training
from pipeline.tokenizers.base import TokenizerOptions, TokenizerTrainer
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.word_level import WordLevel
from pipeline.tokenizers.wordpiece import WordPiece
from training.evaluation.held_out import HeldOut
from training.export import FORMATS
from training.export.base import ExportSource
from training.export.card import Card
from training.export.section import Export
from training.models.base import build
from training.models.saved import save

MARKED = BytePair(TokenizerOptions(specials=("[PAD]", "[CLS]", "[SEP]", "[MASK]")))
WORDS = WordLevel(TokenizerOptions(min_count=1))
CARDS: dict[str, list[tuple[str, TokenizerTrainer]]] = {
    "huggingface": [("gpt", BytePair()), ("gpt", WordPiece()), ("bert", MARKED), ("bert", WordPiece())],
    "safetensors": [("rnn", BytePair()), ("lstm", WordPiece()), ("gru", WORDS), ("bilstm", WORDS)],
    "onnx": [("rnn", WORDS), ("lstm", BytePair()), ("gru", WordPiece()), ("bilstm", BytePair())],
}
RUN = """
import importlib.util, os, re, sys
ours, folders = sys.argv[1], sys.argv[2:]
sys.path = [path for path in sys.path if os.path.abspath(path or ".") != ours]
for name in ("cluster", "pipeline", "training"):
    assert importlib.util.find_spec(name) is None, name
for folder in folders:
    os.chdir(folder)
    blocks = re.findall("```python\\n(.*?)```", open("README.md", encoding="utf-8").read(), re.DOTALL)
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    print("\\nran", len(blocks))
"""


def run_cards(folders: list[Path], home: Path) -> str:
    """What the code on the cards prints; every card has some."""
    for folder in folders:
        assert re.search(r"```python\n", (folder / "README.md").read_text(encoding="utf-8"))
    ours = str(Path(training.__file__).parents[1])
    env = {"PATH": "", "HOME": str(home), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUN, ours, *map(str, folders)], cwd=home, env=env, capture_output=True,
        encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("ran 1") == len(folders)
    return done.stdout


@pytest.mark.parametrize("name", list(CARDS))
def test_the_code_on_the_card_runs_where_bloomery_is_not(name: str, make_corpus: Any, tmp_path: Path) -> None:
    folders = []
    for family, kind in CARDS[name]:
        source = ExportSource.of(make_corpus(4, family=family, tokenizer=kind).inputs)
        folders.append(tmp_path / f"{len(folders)}-{family}")
        FORMATS.create(Export(formats=[name]).formats[0]).write(source, folders[-1])
    printed = run_cards(folders, tmp_path)
    assert name != "huggingface" or "Your text" in printed


def test_the_code_on_the_card_of_word_vectors_runs_where_bloomery_is_not(tmp_path: Path) -> None:
    pytest.importorskip("gensim", reason="gensim is not installed: pip install 'bloomery[export]'")
    names = [
        f"word{at}" if at % 2 else f"词{chr(0x4E00 + at)}" for at in range(6)
    ]  # a card runs for few words as for many
    (tmp_path / "tokenizer.json").write_text(
        WordLevel(TokenizerOptions(min_count=1)).train([" ".join(names)], 400), encoding="utf-8"
    )
    size = 1 + max(number for number in load_ids(tmp_path / "tokenizer.json").values())
    torch.manual_seed(1)
    model: Any = build("word2vec", {"width": 5}, vocabulary=size, context=16)
    model.counts[3:] = torch.arange(size - 3, 0, -1)
    save(model, tmp_path / "model")
    card = Card({"objective": {"skipgram": {"window": 5}}}, None, {}, ())
    source = ExportSource(
        tmp_path / "model", tmp_path / "tokenizer.json", HeldOut((), (), tmp_path / "tokenizer.json"), card
    )
    folders = []
    for options in ({}, {"binary": False}, {"text": False}):
        folders.append(tmp_path / f"vectors-{len(folders)}")
        FORMATS.create(Export(formats=[{"vectors": options}]).formats[0]).write(source, folders[-1])
    run_cards(folders, tmp_path)


def load_ids(path: Path) -> dict[str, int]:
    from tokenizers import Tokenizer

    return dict(Tokenizer.from_file(str(path)).get_vocab())
