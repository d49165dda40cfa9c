"""A JSON parser that keeps the digits of numbers, for the few lines that a fast parser rejects or rounds.

A number is returned as the text it was written as, of any size. NaN, Infinity and -Infinity are numbers, as Python and
pandas write them. Lists, and objects below the levels that the caller reads, are validated but returned empty. The
parser recurses into these levels alone, so deep nesting costs only memory. Of a repeated key the last value counts.
Cost: about 10 us for a line of 300 bytes and 2 us for each nested value, ten times what orjson takes.
"""

from __future__ import annotations

import re
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]

MAX_LEVELS = 100_000  # deeper nesting is rejected; each level costs a list entry
BLANK = re.compile(r"[ \t\n\r]*")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|NaN|-?Infinity", re.ASCII)
WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
WORD = re.compile("true|false|null")
CLOSING = {"[": "]", "{": "}"}
_VALUE, _FIRST_VALUE, _KEY, _FIRST_KEY, _AFTER_VALUE = range(5)


class Number(str):
    """A number as the text it was written as."""

    __slots__ = ()


Value = str | bool | dict[str, "Value"] | list["Value"] | None


def parse(text: str, *, levels: int = 0) -> Value:
    """Parse a text that holds one JSON value. Objects below `levels` levels of an object, and lists, come back empty.

    Raises: JSONDecodeError.
    """
    at = _blank(text, 0)
    value: Value
    if text[at : at + 1] == "{":
        value, at = _object(text, at + 1, levels)
    else:
        value, at = _value(text, at, 0)
    at = _blank(text, at)
    if at != len(text):
        raise JSONDecodeError("unexpected text after the value", text, at)
    return value


def _object(text: str, at: int, levels: int) -> tuple[dict[str, Value], int]:
    """Parse the object whose opening brace lies before `at`. Returns it and the position after it."""
    members: dict[str, Value] = {}
    at = _blank(text, at)
    if text[at : at + 1] == "}":
        return members, at + 1
    while True:
        key, at = _key(text, at)
        members[key], at = _value(text, _blank(text, at), levels)
        at = _blank(text, at)
        if text[at : at + 1] == "}":
            return members, at + 1
        if text[at : at + 1] != ",":
            raise JSONDecodeError("a comma or a closing brace is missing", text, at)
        at = _blank(text, at + 1)


def _key(text: str, at: int) -> tuple[str, int]:
    """Parse the key that begins at `at`. Returns it and the position after its colon."""
    if text[at : at + 1] != '"':
        raise JSONDecodeError("a key is not a string", text, at)
    key, at = scanstring(text, at + 1, True)
    at = _blank(text, at)
    if text[at : at + 1] != ":":
        raise JSONDecodeError("a colon is missing", text, at)
    return key, at + 1


def _value(text: str, at: int, levels: int) -> tuple[Value, int]:
    opening = text[at : at + 1]
    if opening == "{" and levels:
        return _object(text, at + 1, levels - 1)
    if opening in CLOSING:
        return ({} if opening == "{" else []), _end_of_nested(text, at)
    return _scalar(text, at)


def _scalar(text: str, at: int) -> tuple[str | bool | None, int]:
    if text[at : at + 1] == '"':
        string, end = scanstring(text, at + 1, True)
        return string, end
    if match := NUMBER.match(text, at):
        return Number(match[0]), match.end()
    if match := WORD.match(text, at):
        return WORDS[match[0]], match.end()
    raise JSONDecodeError("a value is missing", text, at)


def _end_of_nested(text: str, at: int) -> int:
    """Validate the list or object that begins at `at`. Returns the position after it."""
    closing: list[str] = []  # the closing bracket of each open level
    expected = _VALUE
    while True:
        at = _blank(text, at)
        char = text[at : at + 1]
        if expected == _AFTER_VALUE:
            if char == closing[-1]:
                closing.pop()
                if not closing:
                    return at + 1
            elif char == ",":
                expected = _KEY if closing[-1] == "}" else _VALUE
            else:
                raise JSONDecodeError("a comma or a closing bracket is missing", text, at)
            at += 1
        elif (expected == _FIRST_KEY and char == "}") or (expected == _FIRST_VALUE and char == "]"):
            expected = _AFTER_VALUE  # an empty list or object: the branch above closes it
        elif expected in (_KEY, _FIRST_KEY):
            _, at = _key(text, at)
            expected = _VALUE
        elif char in CLOSING:
            closing.append(CLOSING[char])
            if len(closing) > MAX_LEVELS:
                raise JSONDecodeError(f"more than {MAX_LEVELS:,} levels of nesting", text, at)
            expected = _FIRST_KEY if char == "{" else _FIRST_VALUE
            at += 1
        else:
            _, at = _scalar(text, at)
            expected = _AFTER_VALUE


def _blank(text: str, at: int) -> int:
    match = BLANK.match(text, at)
    assert match is not None  # the pattern also matches the empty string
    return match.end()
