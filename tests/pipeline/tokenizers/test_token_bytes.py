"""The bytes of tokens: the text itself for byte-level BPE, what the kind preserves for the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from pipeline.core.errors import UserError
from pipeline.tokenizers import adversarial, reference_encoder, token_bytes
from pipeline.tokenizers.base import TokenizerOptions, TokenizerTrainer
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.word_level import WordLevel
from pipeline.tokenizers.wordpiece import WordPiece

TEXTS = ["The smith's bloom, hammered hot.", "铁匠趁热打铁。", "Eisen 2026"]
END = {"id": 0, "content": "<|endoftext|>"}


def write_tokenizer(folder: Path, json_text: str) -> Path:
    (folder / "tokenizer.json").write_text(json_text, encoding="utf-8")
    return folder / "tokenizer.json"


def test_the_tokens_of_a_text_have_its_bytes(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path, BytePair(TokenizerOptions(specials=("[MASK]",))).train(TEXTS * 9, 400))
    tokens, reference = token_bytes.load(path), reference_encoder.load(path)
    assert tokens.exact and tokens.unknown is None
    for text in [*adversarial.PLAIN, "今天天气很好。", "Once upon a time [MASK]"]:
        assert tokens.text(reference.encode_text(text)) == text.encode()


@pytest.mark.parametrize(
    ("kind", "spelled", "unknown"),
    [
        (WordPiece(), " The smith's bloom, hammered hot.铁匠趁热打铁。", "[UNK]"),
        (WordLevel(TokenizerOptions(min_count=1)), " the smith's bloom hammered hot\n铁匠趁热打铁\n", "<unk>"),
    ],
)
def test_tokens_of_other_kinds_have_the_bytes_that_their_kind_keeps(
    tmp_path: Path, kind: TokenizerTrainer, spelled: str, unknown: str
) -> None:
    path = write_tokenizer(tmp_path, kind.train(TEXTS * 9, 400))
    tokens, reference = token_bytes.load(path), reference_encoder.load(path)
    text = tokens.text(reference.encode_text(f"{TEXTS[0]} {TEXTS[1]}")).decode()
    assert text.replace(" '", "'").replace("' s", "'s") == spelled
    assert not tokens.exact
    assert tokens.unknown == reference.unknown == reference.special(unknown)
    assert tokens.sizes[tokens.unknown] == 0 and tokens.by_id[tokens.unknown] == unknown.encode()
    assert tokens.sizes.sum() == sum(map(len, tokens.by_id)) - len(unknown)
    assert tokens.end_of_text == 0


def test_tokens_of_sentencepiece_have_blanks_and_bytes(tmp_path: Path) -> None:
    ids = {"<unk>": 0, "<s>": 1, "</s>": 2, "<0x41>": 3, "▁iron": 4, "铁": 5}
    tokenizer = Tokenizer(models.BPE(ids, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokens = token_bytes.load(write_tokenizer(tmp_path, tokenizer.to_str()))
    assert tokens.text([4, 5, 3]) == " iron铁A".encode()
    assert (tokens.exact, tokens.unknown, tokens.end_of_text) == (False, None, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "NFC"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}},
        {"decoder": {"type": "WordPiece"}},
    ],
)
def test_what_changes_the_text_is_not_exact(change: dict[str, Any]) -> None:
    tree = json.loads(BytePair().train(TEXTS, 300))
    assert token_bytes.from_json(tree).exact
    assert not token_bytes.from_json({**tree, **change}).exact


def test_a_tokenizer_without_an_end_of_text_is_refused(tmp_path: Path) -> None:
    tree = json.loads(BytePair().train(TEXTS, 300))
    del tree["model"]["vocab"]["<|endoftext|>"]
    path = write_tokenizer(tmp_path, json.dumps({**tree, "added_tokens": []}))
    with pytest.raises(UserError, match="tokenizer.json: none of its tokens marks the end of a text"):
        token_bytes.load(path)
