"""A format whose consumer is not installed is refused before any work, with the command that installs it."""

from __future__ import annotations

import pytest

from training.export import FORMATS, consumers
from training.export.section import Export


def test_every_consumer_belongs_to_a_format() -> None:
    assert set(consumers.CONSUMERS) <= set(FORMATS.names())


def test_a_missing_consumer_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "find_spec", lambda name: None)
    message = consumers.missing(Export(formats=["huggingface", "vectors"]))
    assert (
        message is not None
        and "vectors is loaded with gensim" in message
        and "pip install 'bloomery[export]'" in message
    )
    assert "onnx and onnxruntime" in str(consumers.missing(Export(formats=["onnx"])))
    assert consumers.missing(Export(formats=["huggingface"])) is None


def test_nothing_is_missing_where_all_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "find_spec", lambda name: object())
    assert consumers.missing(Export(formats=["vectors", "onnx"])) is None
