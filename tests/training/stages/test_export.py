"""The export stage: a folder that others load, the same bytes every time, and a card without times or paths."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from pipeline.core.errors import StageFailed
from training.export.section import Export
from training.models.saved import load, save
from training.stages import export

PARAMS = Export().model_dump(mode="json")
FILES = ["README.md", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json"]
FILES += ["tokenizer_config.json"]


def test_two_exports_in_two_folders_are_the_same_bytes(corpus: Any, make_stage_job: Any) -> None:
    first = export.run(make_stage_job("export", "files", corpus, PARAMS, name="a"))
    second = export.run(make_stage_job("export", "files", corpus, PARAMS, name="b"))
    assert sorted(file.path for file in first.files) == [f"huggingface/{name}" for name in FILES]
    assert first == second


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_every_file_is_as_readable_as_the_umask_says(
    corpus: Any, make_stage_job: Any, mask: int, mode: int, tmp_path: Path
) -> None:
    before = os.umask(mask)
    try:
        job = make_stage_job("export", "files", corpus, PARAMS)
        export.run(job)
        save(load(corpus.inputs.single("model").folder("model")), tmp_path / "model")
    finally:
        os.umask(before)
    files = [path for folder in (job.folder, tmp_path / "model") for path in folder.rglob("*") if path.is_file()]
    assert len(files) == len(FILES) + 2
    assert {path.stat().st_mode & 0o777 for path in files} == {mode}


def test_no_file_tells_a_time_or_a_path(corpus: Any, make_stage_job: Any) -> None:
    job = make_stage_job("export", "files", corpus, PARAMS)
    export.run(job)
    folder = job.folder / "huggingface"
    for name in FILES:
        content = (folder / name).read_bytes()
        assert corpus.inputs.single("model").uri.encode() not in content and b"_name_or_path" not in content
        assert name == "tokenizer.json" or not re.search(rb"20\d\d-\d\d", content)
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        assert weights.metadata() == {"format": "pt"}


def test_the_card_tells_the_lineage_and_the_languages(corpus: Any, make_stage_job: Any) -> None:
    job = make_stage_job("export", "files", corpus, PARAMS)
    export.run(job)
    card = (job.folder / "huggingface" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: ") and '\nlanguage: ["en", "zh"]\n' in card
    for kind in ("model", "tokenizer", "tokens"):
        assert corpus.inputs.single(kind).manifest.fingerprint in card


USE = """
import json, re
from transformers import pipeline
exec(re.search("```python\\n(.*?)```", open("README.md").read(), re.DOTALL)[1])  # what the card says
write = pipeline("text-generation", model=".")
texts = ["今天天气很好。", "The quiet river <|endoftext|> naïve 😀"]
ids = [tokenizer(text)["input_ids"] for text in texts]
print("\\n" + json.dumps({
    "class": type(model).__name__, "ids": ids, "texts": [tokenizer.decode(one) for one in ids],
    "special": [tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.model_max_length],
    "written": write("The quiet river", return_full_text=True)[0]["generated_text"],
}))
"""


def test_a_stranger_loads_it_offline_and_writes_with_it(corpus: Any, make_stage_job: Any) -> None:
    job = make_stage_job("export", "files", corpus, PARAMS)
    export.run(job)
    command = [sys.executable, "-c", USE]
    offline = {"HF_HUB_OFFLINE": "1", "PATH": "", "HOME": str(job.place.scratch), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=job.folder / "huggingface", env=offline, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Your text" in done.stdout
    printed = json.loads(done.stdout.splitlines()[-1])
    assert printed["class"] == "LlamaForCausalLM"
    assert printed["texts"] == ["今天天气很好。", "The quiet river <|endoftext|> naïve 😀"]
    assert printed["special"] == [0, 0, 0, corpus.length]
    assert printed["written"].startswith("The quiet river")


def test_a_model_that_no_class_computes_is_a_clear_failure(make_corpus: Any, make_stage_job: Any) -> None:
    mixed = make_corpus(2, shape="llama", norm="layer")
    with pytest.raises(StageFailed, match="no Hugging Face class"):
        export.run(make_stage_job("export", "files", mixed, PARAMS))
    assert not list(Path(make_stage_job("export", "files", mixed, PARAMS).folder).rglob("*.safetensors"))
