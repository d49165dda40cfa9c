"""The use of jieba: its identity, that it writes no shared file, and the error when it is missing."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.text import chinese_words, words


@pytest.fixture
def cleared_caches() -> Iterator[None]:
    """Clear the caches before and after a test."""
    cached_functions = (chinese_words._folder, chinese_words._tokenizer, chinese_words.identity)
    for function in cached_functions:
        function.cache_clear()
    yield
    for function in cached_functions:
        function.cache_clear()


def test_the_identity_holds_version_and_dictionary() -> None:
    assert re.fullmatch(r"jieba \d[\d.]*, dictionary [0-9a-f]{16}", chinese_words.identity())


def test_no_shared_cache_file_is_written(cleared_caches: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert chinese_words.words_of_run("铁匠打铁") == ["铁匠", "打铁"]
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_reported_with_the_command_at_the_first_chinese_word(
    cleared_caches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert words.words("no Chinese here") == ["no", "chinese", "here"]
    with pytest.raises(UserError, match="pip install jieba"):
        words.words("铁匠")
    with pytest.raises(UserError, match="need jieba, which is not installed"):
        chinese_words.identity()
