"""Byte-level BPE: the same bytes in every process, and every text is decoded unchanged."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.tokenizers.base import END_OF_TEXT
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.reference_encoder import ReferenceEncoder, load

TEXTS = [
    "The ore is washed, roasted and broken before it meets the charcoal.",
    "矿石要先洗净、焙烧、打碎，然后才和木炭相遇。",
    "def smelt(ore, charcoal):\n    return ore.heat(charcoal)\n",
]

TRAIN = """
import hashlib, sys
from pipeline.tokenizers.bpe import BytePair
texts = sys.stdin.buffer.read().decode().split("\\x1e")
print(hashlib.sha256(BytePair().train(texts * 20, 500).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def trained() -> str:
    return BytePair().train(TEXTS * 20, 500)


def test_five_processes_learn_the_same_bytes(trained: str) -> None:
    def learn(seed: int) -> subprocess.Popen[bytes]:
        variables = {**os.environ, "PYTHONHASHSEED": str(seed), "RAYON_NUM_THREADS": str(1 + seed % 2)}
        child = subprocess.Popen(
            [sys.executable, "-c", TRAIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables
        )
        assert child.stdin is not None
        child.stdin.write("\x1e".join(TEXTS).encode())
        child.stdin.close()
        return child

    digests = set()
    for child in [learn(seed) for seed in range(5)]:
        assert child.stdout is not None
        digests.add(child.stdout.read().decode().strip())
        child.stdout.close()
        assert child.wait() == 0
    assert digests == {hashlib.sha256(trained.encode()).hexdigest()}


def test_end_of_text_is_the_first_id_and_all_bytes_have_one(trained: str) -> None:
    reference = ReferenceEncoder(trained)
    assert reference.end_of_text == 0
    assert reference.encode_prompt(END_OF_TEXT) == [0]
    assert len({reference.encode_text(chr(byte))[0] for byte in range(128)}) == 128


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_every_text_comes_back(trained: str, text: str) -> None:
    reference = ReferenceEncoder(trained)
    assert reference.decode(reference.encode_text(text)) == text


def test_a_column_encodes_as_its_texts_do(trained: str) -> None:
    reference = ReferenceEncoder(trained)
    column = pa.array(["", *TEXTS, ""], pa.large_string())
    encoded = reference.encode(column)
    assert len(encoded) == 5
    for index, text in enumerate(column.to_pylist()):
        assert encoded.document(index).tolist() == reference.encode_text(text)
    assert len(reference.encode(pa.array([], pa.large_string()))) == 0


def test_a_file_that_is_no_tokenizer_is_told(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text('{"version": "1.0"}')
    with pytest.raises(UserError, match="tokenizer.json: not a tokenizer.json"):
        load(path)
