"""A tokenizer.json of the user: stored byte for byte, identified by content, refused without an end of text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from pipeline.core.errors import UserError
from pipeline.tokenizers import tokenizer_file
from pipeline.tokenizers.base import TokenizerOptions
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.existing import ExistingTokenizer
from pipeline.tokenizers.reference_encoder import ReferenceEncoder

TEXTS = ["The smith hammers iron.", "铁匠打铁。"]


def write_tokenizer(folder: Path, *special: str, config: dict[str, Any] | None = None, kind: str = "WordLevel") -> Path:
    pieces = {piece: at for at, piece in enumerate((*special, "iron", "铁"))}
    model = {
        "WordLevel": lambda: models.WordLevel(pieces, unk_token="iron"),
        "WordPiece": lambda: models.WordPiece(pieces, unk_token="iron"),
        "BPE": lambda: models.BPE(pieces, []),
        "Unigram": lambda: models.Unigram([(piece, 0.0) for piece in pieces], 0),
    }[kind]()
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(list(special))
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize("end", ["<|endoftext|>", "</s>", "[SEP]"])
@pytest.mark.parametrize("kind", ["WordLevel", "WordPiece", "BPE", "Unigram"])
def test_a_file_that_says_its_end_is_kept_to_the_byte(tmp_path: Path, end: str, kind: str) -> None:
    folder = write_tokenizer(tmp_path, "[A]", end, kind=kind)
    for path in (folder, folder / "tokenizer.json"):
        json_text = ExistingTokenizer(TokenizerOptions(path=str(path))).train([], 0)
        assert json_text.encode() == (folder / "tokenizer.json").read_bytes()
    assert ReferenceEncoder(json_text).end_of_text == 1
    assert tokenizer_file.read(str(folder)).end_of_text == end


@pytest.mark.parametrize("kind", ["WordLevel", "WordPiece", "BPE", "Unigram"])
@pytest.mark.parametrize("eos", ["<eos>", {"content": "<eos>", "lstrip": False}])
def test_eos_token_is_written_into_a_file_that_does_not_say_its_end(tmp_path: Path, kind: str, eos: Any) -> None:
    # </s> is a mark of HTML where another piece is named
    folder = write_tokenizer(tmp_path, "</s>", "<eos>", config={"eos_token": eos}, kind=kind)
    reference = ReferenceEncoder(ExistingTokenizer(TokenizerOptions(path=str(folder))).train([], 0))
    assert reference.end_of_text == reference.special("<eos>") == 1
    assert reference.encode_text("铁") == [3]


def test_end_of_text_is_what_stands_between_texts_whatever_ends_a_turn(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path, "<|im_end|>", "<|endoftext|>", config={"eos_token": "<|im_end|>"})
    assert tokenizer_file.read(str(folder)).end_of_text == "<|endoftext|>"


def test_one_of_ours_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(BytePair().train(TEXTS, 300), encoding="utf-8")
    json_text = ExistingTokenizer(TokenizerOptions(path=str(tmp_path))).train([], 0)
    assert ReferenceEncoder(json_text).decode(ReferenceEncoder(json_text).encode_text(TEXTS[1])) == TEXTS[1]


def test_the_hash_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    first_hash, second_hash = (tokenizer_file.read(str(write_tokenizer(folder, "</s>"))).sha256 for folder in folders)
    assert first_hash == second_hash
    assert tokenizer_file.read(str(write_tokenizer(folders[1], "</s>", "more"))).sha256 != first_hash


@pytest.mark.parametrize(
    ("special", "config", "message"),
    [
        ((), None, "no token marks the end of a text"),
        ((), {"bos_token": "iron"}, "no token marks the end of a text"),
        (("</s>",), {"eos_token": "<eos>"}, "eos_token '<eos>' is not a token of tokenizer.json"),
    ],
)
def test_a_file_that_does_not_say_its_end_is_refused(
    tmp_path: Path, special: tuple[str, ...], config: dict[str, Any] | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        tokenizer_file.read(str(write_tokenizer(tmp_path, *special, config=config)))


def test_what_is_not_there_or_no_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is neither a folder nor"):
        tokenizer_file.read(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="contains no tokenizer.json.*save_pretrained"):
        tokenizer_file.read(str(tmp_path))
    for content in ("{", "[]", "{}", '{"model": {"vocab": []}}'):
        (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match="tokenizer.json"):
            ExistingTokenizer(TokenizerOptions(path=str(tmp_path))).train([], 0)
