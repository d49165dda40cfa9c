"""The process of an extractor: a page that hangs, crashes or explodes is lost alone, and deterministically."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.core.registry import add_plugin_folder
from pipeline.extract.process import ExtractorProcess, PageFailure

PLUGIN = "hostile:Hostile"


@pytest.fixture
def process() -> ExtractorProcess:
    add_plugin_folder(Path(__file__).parent)
    return ExtractorProcess({"name": PLUGIN, "options": {}}, cpu_seconds=1)


def test_a_page_gives_its_text(process: ExtractorProcess) -> None:
    assert process.extract("<p>渡船 ferry 🛳") == "<P>渡船 FERRY 🛳"
    assert process.extract("x" * 3_000_000) == "X" * 3_000_000


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("hang", "extraction_timeout"),
        ("crash", "extraction_crashed"),
        ("memory", "extraction_failed"),
        ("raise", "extraction_failed"),
    ],
)
def test_a_page_that_misbehaves_is_lost_alone(process: ExtractorProcess, page: str, reason: str) -> None:
    for first in ("", "before"):
        if first:
            assert process.extract(first) == "BEFORE"
        failure = process.extract(page)
        assert isinstance(failure, PageFailure)
        assert failure.reason == reason
        assert process.extract("after") == "AFTER"


def test_the_error_of_a_library_is_in_the_detail(process: ExtractorProcess) -> None:
    assert process.extract("raise") == PageFailure("extraction_failed", "ValueError: not a page: 坏页")


def test_a_process_that_was_killed_between_pages_is_replaced(process: ExtractorProcess) -> None:
    first = process.extract("pid ")
    assert isinstance(first, str)
    os.kill(int(first.removeprefix("PID ")), signal.SIGKILL)
    second = process.extract("pid ")
    assert isinstance(second, str)
    assert second.startswith("PID ") and second != first


def test_processes_are_kept_for_other_pages(process: ExtractorProcess) -> None:
    assert process.extract("pid ") == process.extract("pid ")


def test_an_extractor_that_cannot_start_is_an_error_of_the_user() -> None:
    with pytest.raises(UserError, match="the extractor cannot start"):
        ExtractorProcess({"name": "no_such_module:Nothing", "options": {}}, cpu_seconds=1).extract("x")
