"""The options of the filters `blocked_urls` and `blocked_words`. Their lists are files: content, not place, counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import field_validator

from pipeline.core import listing
from pipeline.core.config import Component, UserPath
from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject, sha256_of
from pipeline.core.job import SourceFiles
from pipeline.filters.limits import Limits, Thresholds
from pipeline.text.language import canonical

BLOCKED_URLS, BLOCKED_WORDS = "blocked_urls", "blocked_words"
FILES = "files"


class BlockedUrls(Thresholds):
    """Lists of domains and URLs, an entry a line: plain, as in a hosts file, or ||domain^. A domain blocks all hosts
    below it. Paths, patterns or URLs; compressed or not."""

    MEASURES: ClassVar[bool] = True

    files: list[UserPath] = []
    max_matches: Limits = {"words": 0.0, "characters": 0.0}

    @field_validator("files")
    @classmethod
    def _check_files(cls, paths: list[str]) -> list[str]:
        return [_existing(path) for path in paths]


class BlockedWords(Thresholds):
    """Lists of words by language, a word or phrase a line. `exceptions`: phrases in which a listed word does not count.

    A document is judged by the list of its language, and not at all where there is none.
    """

    MEASURES: ClassVar[bool] = True

    files: dict[str, list[UserPath]] = {}
    exceptions: dict[str, list[str]] = {}
    max_matches: Limits = {"words": 0.0, "characters": 0.0}
    max_share: Limits = {"words": None, "characters": None}

    @field_validator("files")
    @classmethod
    def _check_files(cls, files: dict[str, list[str]]) -> dict[str, list[str]]:
        for language, paths in files.items():
            if canonical(language) != language:
                raise ValueError(f"'{language}' is no language; write a tag such as zh or en")
            for path in paths:
                _existing(path)
        return files


def _existing(path: str) -> str:
    try:
        listing.match([path])
    except UserError as error:
        raise ValueError(str(error)) from error
    return path


def files_of(component: Component) -> Iterator[tuple[str, str, str, str]]:
    """(label, path, name, sha256) of every list of a filter; the label is the filter's name, with the language."""
    lists = component.options.get(FILES) or {} if component.name in (BLOCKED_URLS, BLOCKED_WORDS) else {}
    by_language = lists if isinstance(lists, dict) else {"": lists}
    for language, paths in sorted(by_language.items()):
        for file in listing.match(paths) if paths else ():
            label = f"{component.name}:{language}" if language else component.name
            yield label, file.path, file.name, sha256_of(file)


def identity(component: Component) -> JsonObject:
    """What enters the fingerprint of the stage that measures: the digests of the lists, not where they lie."""
    digests = [[label, digest] for label, _, _, digest in files_of(component)]
    return {"lists": digests} if digests else {}


def without_files(component: Component) -> Component:
    """The component without the places of its lists."""
    if component.name not in (BLOCKED_URLS, BLOCKED_WORDS):
        return component
    options = {key: value for key, value in component.options.items() if key != FILES}
    return Component(name=component.name, options=options)


def list_sources(components: list[Component]) -> list[SourceFiles]:
    """Where the lists lie whose digests are in the parameters."""
    return [
        {"source": label, "reader": "blocklist", "files": [{"path": path, "name": name, "sha256": digest}]}
        for component in components
        for label, path, name, digest in files_of(component)
    ]


def nameless_problem(components: list[Component]) -> str:
    """What is wrong where a blocklist has no file, or ""."""
    for component in components:
        if component.name in (BLOCKED_URLS, BLOCKED_WORDS) and not component.options.get(FILES):
            example = "[domains.txt.gz]" if component.name == BLOCKED_URLS else "{en: [words.txt]}"
            return f"the filter {component.name} names no list. Write {component.name}: {{files: {example}}}."
    return ""
