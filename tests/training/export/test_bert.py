"""An encoder of ours as BertForMaskedLM: the same scores, the same ids, and a pipeline that fills gaps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from pipeline.core.errors import StageFailed
from training.export import huggingface
from training.export.base import ExportSource
from training.export.huggingface import Huggingface
from training.export.section import Huggingface as Options
from training.export.tokenizer_files import with_special_tokens


@pytest.fixture(scope="module")
def source(masked_corpus: Any) -> ExportSource:
    return ExportSource.of(masked_corpus.inputs)


def test_the_folder_is_checked_by_its_consumer_and_has_the_same_bytes_anywhere(
    source: ExportSource, tmp_path: Path
) -> None:
    export = Huggingface(Options())
    names = export.write(source, tmp_path / "a")
    export.check(source, tmp_path / "a")
    assert names == export.write(source, tmp_path / "b") and "generation_config.json" not in names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["architectures"] == ["BertForMaskedLM"] and config["max_position_embeddings"] == 34


def test_other_weights_are_found_out(source: ExportSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export = Huggingface(Options())
    export.write(source, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.1}))
    with pytest.raises(StageFailed, match="logits differ"):
        export.check(source, tmp_path)


@pytest.mark.parametrize("text", ["the quiet [MASK] carries a letter", "今天天气很[MASK]，我们去图书馆看书。"])
def test_a_pipeline_fills_a_gap_in_english_and_chinese(source: ExportSource, tmp_path: Path, text: str) -> None:
    Huggingface(Options()).write(source, tmp_path)
    fill = transformers.pipeline(
        "fill-mask",
        model=transformers.AutoModelForMaskedLM.from_pretrained(tmp_path),
        tokenizer=transformers.AutoTokenizer.from_pretrained(tmp_path),
    )
    answers = fill(text)
    assert len(answers) == 5 and all(isinstance(answer["token_str"], str) for answer in answers)


def test_every_tensor_has_its_place_and_none_is_drawn_anew(source: ExportSource, tmp_path: Path) -> None:
    Huggingface(Options()).write(source, tmp_path)
    _, loading_info = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert (
        not loading_info["missing_keys"] and not loading_info["unexpected_keys"] and not loading_info["mismatched_keys"]
    )


def test_a_text_gets_its_special_tokens_and_a_hidden_word_its_space(source: ExportSource, tmp_path: Path) -> None:
    Huggingface(Options()).write(source, tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    encoded = tokenizer("the [MASK] carries")
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"])[0] == "[CLS]"
    hidden = tokenizer.convert_ids_to_tokens(encoded["input_ids"]).index("[MASK]")
    assert tokenizer.decode(encoded["input_ids"][1:hidden]) == "the"  # no space left behind
    both = tokenizer("河流", "车站", return_token_type_ids=True)
    assert both["token_type_ids"][0] == 0 and both["token_type_ids"][-1] == 1
    assert both["input_ids"].count(tokenizer.sep_token_id) == 2


def test_a_tokenizer_that_frames_already_is_left_alone() -> None:
    added = [{"id": 7, "content": "[CLS]"}, {"id": 8, "content": "[SEP]"}, {"id": 9, "content": "[MASK]"}]
    own = with_special_tokens({"added_tokens": added, "post_processor": None})
    assert own["post_processor"]["type"] == "TemplateProcessing" and with_special_tokens(own) == own
    without = {"added_tokens": [{"id": 0, "content": "[MASK]"}], "post_processor": None}
    assert with_special_tokens(without) is without
    assert huggingface.TOLERANCE == 1e-4
