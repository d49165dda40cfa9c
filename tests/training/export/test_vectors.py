"""Word vectors in the formats of word2vec: every number back as it was, in any reader, the same bytes every time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models

from pipeline.core.errors import StageFailed
from pipeline.tokenizers.base import END_OF_TEXT
from training.evaluation.held_out import HeldOut
from training.export import vectors
from training.export.base import ExportSource
from training.export.card import Card
from training.export.section import VectorFiles as Options
from training.export.vectors import VectorFiles
from training.models.base import build
from training.models.saved import save

pytest.importorskip("gensim", reason="gensim is not installed: pip install 'bloomery[export]'")

WORDS = ("the", "河流", "café", "naïve", "😀", "<b>", "等一等", '"', "'s", "#", "a,b", "unseen")
COUNTS = (9, 9, 12, 3, 3, 3, 2, 2, 2, 1, 1, 0)
# numbers that shortest spellings, exponents and signs are tried on
ODD = (0.0, -0.0, 1.0, -1e-45, 1.1754942e-38, 3.4028235e38, 0.1, 1 / 3, 16777216.0, 8.589973e9, 1e-7, -123456.79)


@pytest.fixture
def learned(tmp_path: Path) -> ExportSource:
    special = (END_OF_TEXT, "<unk>", "</s>")
    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate((*special, *WORDS))}, unk_token="<unk>"))
    words.add_special_tokens(list(special))
    words.save(str(tmp_path / "tokenizer.json"))
    torch.manual_seed(1)
    model: Any = build("word2vec", {"width": 5}, vocabulary=len(WORDS) + 3, context=16)
    torch.nn.init.normal_(model.input)
    model.input.data[3 : 3 + len(ODD), 2] = torch.tensor(ODD)
    model.counts[3:] = torch.tensor(COUNTS)
    save(model, tmp_path / "model")
    card = Card({"model": {"word2vec": {"width": 5}}, "objective": {"skipgram": {"window": 5}}}, None, {}, ())
    return ExportSource(
        tmp_path / "model", tmp_path / "tokenizer.json", HeldOut((), (), tmp_path / "tokenizer.json"), card
    )


def test_words_come_by_falling_count_and_every_number_comes_back(learned: ExportSource, tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    written = VectorFiles(Options())
    assert sorted(written.write(learned, tmp_path / "out")) == [
        "README.md", "vectors.bin", "vectors.txt", "vocabulary.tsv",
    ]  # fmt: skip
    written.check(learned, tmp_path / "out")
    words, matrix, counts = vectors.read(learned)
    assert words == ("café", "the", "河流", "naïve", "😀", "<b>", "等一等", '"', "'s", "#", "a,b")
    assert counts == tuple(sorted(COUNTS[:-1], reverse=True))
    for name in ("vectors.txt", "vectors.bin"):
        loaded = KeyedVectors.load_word2vec_format(str(tmp_path / "out" / name), binary=name.endswith("bin"))
        assert tuple(loaded.index_to_key) == words
        assert np.array_equal(loaded.vectors.view(np.uint32), matrix.view(np.uint32))
    assert (tmp_path / "out" / "vocabulary.tsv").read_text(encoding="utf-8").startswith("café\t12\nthe\t9\n河流\t9\n")


def test_a_float_whose_shortest_spelling_a_double_would_shift_is_spelled_longer(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    odd = draw.integers(0, 1 << 32, 60_000, dtype=np.uint32).view(np.float32)
    matrix = odd[np.isfinite(odd)][:50_000].reshape(-1, 10)
    # its shortest spelling is 7.038531e-26; as a double that lies just behind the middle to the next float
    matrix[0, 0] = np.uint32(363742205).view(np.float32)
    words = tuple(f"w{at}" for at in range(len(matrix)))
    vectors._write(tmp_path / "x.txt", words, matrix, vectors._as_text)
    lines = (tmp_path / "x.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"{len(words)} 10" and len(lines) == len(words) + 1
    assert lines[1].startswith("w0 7.03853")
    back = np.array([[np.float32(number) for number in line.split(" ")[1:]] for line in lines[1:]])
    assert np.array_equal(back.view(np.uint32), matrix.view(np.uint32))


def test_two_exports_are_the_same_bytes_however_they_are_cut(
    learned: ExportSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = VectorFiles(Options()).write(learned, tmp_path / "a")
    monkeypatch.setattr(vectors, "BLOCK", 12)
    VectorFiles(Options()).write(learned, tmp_path / "b")
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert str(tmp_path).encode() not in (tmp_path / "a" / name).read_bytes()


def test_only_what_was_asked_for_is_written(learned: ExportSource, tmp_path: Path) -> None:
    assert "vectors.bin" not in VectorFiles(Options(binary=False)).write(learned, tmp_path / "text")
    assert "vectors.txt" not in VectorFiles(Options(text=False)).write(learned, tmp_path / "binary")
    VectorFiles(Options(text=False)).check(learned, tmp_path / "binary")
    with pytest.raises(ValueError, match="leave one of them true"):
        Options(text=False, binary=False)


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.bin", "vocabulary.tsv"])
def test_what_gensim_cannot_load_or_reads_otherwise_is_not_published(
    learned: ExportSource, tmp_path: Path, name: str
) -> None:
    form = VectorFiles(Options())
    form.write(learned, tmp_path / "out")
    path = tmp_path / "out" / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(StageFailed, match="gensim"):
        form.check(learned, tmp_path / "out")
    path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    with pytest.raises(StageFailed, match="gensim"):
        form.check(learned, tmp_path / "out")


def test_the_card_says_how_they_are_loaded_and_that_runs(learned: ExportSource, tmp_path: Path) -> None:
    VectorFiles(Options()).write(learned, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert 'library_name: "gensim"' in card and "pipeline_tag" not in card
    assert "| objective | skipgram |" in card and "| words | 11 |" in card
    code = card.split("```python\n")[1].split("```")[0].replace("[100]", "[2]")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "out", capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and "café" in done.stdout, done.stderr


def test_vectors_that_are_not_numbers_are_a_clear_failure(learned: ExportSource, tmp_path: Path) -> None:
    from training.models.saved import load

    model: Any = load(learned.model)
    model.input.data[5] = float("inf")
    save(model, learned.model)
    with pytest.raises(StageFailed, match="diverged"):
        VectorFiles(Options()).write(learned, tmp_path / "out")
