"""The exports of recurrent models: the same bytes every time, read by strangers, refused where they are not right."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pipeline.core.errors import StageFailed
from training.export import FORMATS, recurrent
from training.export.base import ExportSource
from training.export.section import Export
from training.models.saved import load
from training.stages import export

FAMILIES: dict[str, dict[str, Any]] = {
    "rnn": {"tied": False, "hidden": 24},
    "lstm": {"hidden": 48},
    "gru": {"layers": 3, "hidden": 24},
    "bilstm": {"tied": False},
}
FORMATS_OF = {"safetensors": "model.safetensors", "onnx": "model.onnx"}
families = pytest.mark.parametrize("family", list(FAMILIES))
formats = pytest.mark.parametrize("name", list(FORMATS_OF))


@pytest.fixture(scope="module")
def corpora(make_corpus: Callable[..., Any]) -> dict[str, Any]:
    return {family: make_corpus(6, family=family, **options) for family, options in FAMILIES.items()}


@pytest.fixture
def written(corpora: dict[str, Any], make_stage_job: Any) -> Callable[..., Path]:
    """written(family, format) → the folder, after the stage has checked it."""

    def write(family: str, name: str, *, run: str = "a") -> Path:
        params = Export(formats=[name]).model_dump(mode="json")
        job = make_stage_job("export", "files", corpora[family], params, name=run)
        files = [file.path for file in export.run(job).files]
        expected = ["README.md", "config.json", FORMATS_OF[name], "tokenizer.json"]
        assert sorted(files) == sorted(f"{name}/{file}" for file in expected)
        folder: Path = job.folder / name
        return folder

    return write


@families
@formats
def test_two_exports_are_the_same_bytes_and_tell_no_path(family: str, name: str, written: Any) -> None:
    first, second = written(family, name), written(family, name, run="b")
    for path in sorted(first.iterdir()):
        content = path.read_bytes()
        assert content == (second / path.name).read_bytes()
        assert str(first.parents[1]).encode() not in content and b".py" not in content
        assert path.name == "tokenizer.json" or not re.search(rb"20\d\d-\d\d", content)


@families
def test_a_graph_takes_any_number_of_rows_and_tokens(family: str, written: Any, corpora: Any) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(written(family, "onnx") / "model.onnx")
    model = load(corpora[family].inputs.single("model").folder("model"))
    tokens = np.random.default_rng(0).integers(0, model.vocabulary, (5, 7))
    with torch.inference_mode():
        ours = recurrent.logits(model, tokens)
    if family == "bilstm":
        _, *theirs = session.run(None, {"tokens": tokens, "lengths": np.full(5, 7)})
    else:
        states = [entry for entry in session.get_inputs() if entry.name != "tokens"]
        state = {entry.name: np.zeros((1, 5, entry.shape[2]), np.float32) for entry in states}
        parts = []
        for at in range(7):  # a token a call
            logits, *after = session.run(None, {"tokens": tokens[:, at : at + 1], **state})
            parts, state = [*parts, logits], dict(zip(state, after, strict=True))
        theirs = [np.concatenate(parts, 1)]
    for entry, expected in zip(theirs, ours, strict=True):
        assert np.abs(entry - expected.numpy()).max() < 1e-4


RUN_CARDS = """
import os, re, sys
for folder in sys.argv[1:]:
    os.chdir(folder)
    exec(re.search("```python\\n(.*?)```", open("README.md", encoding="utf-8").read(), re.DOTALL)[1])
    print("\\nit ran")
"""


@formats
def test_what_the_cards_say_runs_where_bloomery_is_not(name: str, written: Any, tmp_path: Path) -> None:
    folders = [str(written(family, name, run=family)) for family in ("gru", "bilstm")]
    path = {"PATH": "", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", RUN_CARDS, *folders]
    done = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("it ran") == 2


@formats
def test_the_card_tells_the_languages_and_the_lineage(name: str, written: Any, corpora: Any) -> None:
    card = (written("lstm", name) / "README.md").read_text(encoding="utf-8")
    assert '\nlanguage: ["en", "zh"]\n' in card and "| family | lstm |" in card
    assert corpora["lstm"].inputs.single("model").manifest.fingerprint in card


def test_the_file_holds_the_weights_and_nothing_else(written: Any, corpora: Any) -> None:
    folder = written("lstm", "safetensors")
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        assert weights.metadata() == {"format": "pt"}
    saved = corpora["lstm"].inputs.single("model").folder("model") / "model.safetensors"
    assert (folder / "model.safetensors").read_bytes() == saved.read_bytes()


@families
@formats
def test_an_export_that_computes_something_else_is_refused(
    family: str, name: str, written: Any, corpora: Any, tmp_path: Path
) -> None:
    folder, source = written(family, name), ExportSource.of(corpora[family].inputs)
    changed = load_file(source.model / "model.safetensors")
    first = next(one for one in sorted(changed) if one.endswith("weight_hh"))
    changed[first][0] += 0.5
    (tmp_path / "changed").mkdir()
    save_file(changed, tmp_path / "changed" / "model.safetensors")
    (tmp_path / "changed" / "config.json").write_bytes((source.model / "config.json").read_bytes())
    changed_source = ExportSource(tmp_path / "changed", source.tokenizer, source.held_out, source.card)
    format_ = FORMATS.create(Export(formats=[name]).formats[0])
    format_.check(source, folder)
    with pytest.raises(StageFailed, match="differ by .* Nothing was published"):
        format_.check(changed_source, folder)


@formats
def test_a_folder_that_its_consumer_cannot_read_is_one_clear_sentence(name: str, written: Any, corpora: Any) -> None:
    folder, format_ = written("lstm", name), FORMATS.create(Export(formats=[name]).formats[0])
    (folder / FORMATS_OF[name]).write_bytes(b"broken")
    with pytest.raises(StageFailed, match=f"export: {name}: "):
        format_.check(ExportSource.of(corpora["lstm"].inputs), folder)


@formats
def test_another_family_is_refused(name: str, make_corpus: Any, make_stage_job: Any) -> None:
    params = Export(formats=[name]).model_dump(mode="json")
    with pytest.raises(StageFailed, match="the model is a gpt"):
        export.run(make_stage_job("export", "files", make_corpus(2), params))
