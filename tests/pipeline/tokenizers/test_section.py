"""The section `tokenizer`: defaults by kind, options of other kinds refused, stable fingerprints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.config import validate
from pipeline.core.errors import UserError
from pipeline.core.yaml_tree import read_tree
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.section import Tokenizer, tokenizer_files, tokenizer_params


def problems(folder: Path, text: str) -> str:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        validate(read_tree(path), Tokenizer)
    return str(caught.value)


def test_what_byte_pairs_write_down_is_what_they_wrote_before_there_were_other_kinds() -> None:
    before = {"kind": "bpe", "vocabulary": 32_000, "sample_bytes": 16_000_000}
    assert tokenizer_params(Tokenizer(), 17) == before
    small = {"vocabulary": 400, "sample_bytes": 9}
    assert tokenizer_params(Tokenizer(**small), 17) == {**before, **small}
    assert tokenizer_params(Tokenizer(specials=["[MASK]"]), 17) == {**before, "specials": ["[MASK]"]}


def test_what_is_written_down_reads_as_the_same_section(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(BytePair().train(["iron 铁"], 300), encoding="utf-8")
    for options in (
        {}, {"kind": "word", "min_count": 2}, {"kind": "wordpiece", "specials": ["[A]"]},
        {"kind": "file", "path": str(tmp_path)}, {"kind": "pipeline.tokenizers.bpe:BytePair", "lowercase": True},
    ):  # fmt: skip
        section = Tokenizer(**options)
        assert Tokenizer(**section.model_dump(mode="json")) == section


def test_words_declare_what_parts_them() -> None:
    params = tokenizer_params(Tokenizer(kind="word"), 17)
    assert params["segmenter"].startswith("jieba ") and params["unicode"]
    assert (params["lowercase"], params["min_count"], params["sample_bytes"]) == (True, 5, 256_000_000)


def test_a_file_is_known_by_what_it_holds(tmp_path: Path) -> None:
    params = []
    for name in "ab":
        folder = tmp_path / name
        folder.mkdir()
        (folder / "tokenizer.json").write_text(BytePair().train(["iron 铁"], 300), encoding="utf-8")
        section = Tokenizer(kind="file", path=str(folder))
        assert tokenizer_files(section)[0]["files"][0]["path"] == str(folder / "tokenizer.json")
        params.append(tokenizer_params(section, 17))
    assert params[0] == params[1]
    assert set(params[0]) == {"kind", "sample_bytes", "sha256"}
    assert tokenizer_files(Tokenizer()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: bpe\nmin_count: 3", "2: min_count: is not an option of kind: bpe, but of word."),
        ("kind: bpe\nlowercase: true", "2: lowercase: is not an option of kind: bpe, but of wordpiece, word."),
        ("kind: wordpiece\nmin_count: 3\npath: x", "3: path: is not an option of kind: wordpiece, but of file."),
        ("kind: word\npath: x", "2: path: is not an option of kind: word, but of file"),
        ("kind: file\npath: x\nvocabulary: 300", "3: vocabulary: is not an option of kind: file"),
        ("kind: file", "path: is missing"),
        ("kind: file\npath: nowhere", "2: path: nowhere: is neither a folder nor a tokenizer.json"),
        ("vocabulary: 256", "1: vocabulary: should be at least 257 for kind: bpe, is 256."),
        ("kind: bpe\nvocabulary: 257\nspecials: [a]", "2: vocabulary: should be at least 258"),
        ("kind: word\nvocabulary: 3", "2: vocabulary: should be at least 4"),
        ("kind: wordpiece\nspecials: ['[MASK]']", "2: specials: '[MASK]' is empty or already present"),
        ("specials: [a, a]", "1: specials: 'a' is empty or already present"),
        ("specials: [x]", "1: specials: 'x' is a character of text. Use a longer name, such as <|x|>."),
        ("kind: wordpiece\nspecials: ['##x']", "2: specials: '##x' is a character of text"),
        ("kind: wrod", "1: kind: unknown tokenizer 'wrod'. Did you mean 'word'?"),
        ("kind: word\nmin_count: 0", "2: min_count: should be greater than 0"),
    ],
)  # fmt: skip
def test_wrong_options_are_told_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in problems(tmp_path, text)


def test_a_missing_segmenter_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise UserError("Chinese words need jieba, which is not installed.")

    monkeypatch.setattr("pipeline.text.chinese_words.identity", missing)
    assert "1: kind: Chinese words need jieba" in problems(tmp_path, "kind: word")
