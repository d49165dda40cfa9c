"""Gates of personal data: the kernel finds what a plain search finds, in each document alone."""

from __future__ import annotations

import re

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels.column import buffers
from pipeline.kernels.gates import AT_SIGN, COLONS, NUMBER, SHORT_NUMBER, find_gates, fixed_words

WORDS = fixed_words([(b"wxid_", 4, 10), (b"QQ", 1, 11), ("微信".encode(), 1, 12)])
SIGNS = st.sampled_from(
    list("0123456789") + [".", "-", " ", "－", "１", "@", "＠", ":", "a", "f", "g", "QQ", "wxid_", "微信", "中"]
)
DIGIT = "(?:[0-9]|[０-９])"
SEPARATOR = "[ \\-.()/\t\u00a0\u3000\u2000-\u202f\u2212（-／]"


def gates(*texts: str) -> list[list[tuple[str, int]]]:
    """(text, group) of every gate, a list for each text."""
    data, offsets = buffers(pa.array(texts, pa.large_string()))
    result: list[list[tuple[str, int]]] = [[] for _ in texts]
    for document, begin, end, group in zip(
        *(array.tolist() for array in find_gates(data, offsets, WORDS)), strict=True
    ):
        result[document].append((data[begin:end].tobytes().decode("utf-8", "replace"), group))
    return result


def reference(text: str) -> list[tuple[str, int]]:
    """The same by plain regular expressions, sorted."""
    result = []
    for match in re.finditer(f"{DIGIT}(?:{SEPARATOR}{{0,3}}{DIGIT})*", text):
        digits = len(re.findall(DIGIT, match.group()))
        dots = len(re.findall(f"(?<={DIGIT})\\.(?={DIGIT})", match.group()))
        if digits >= 9 or dots >= 3:
            result.append((match.group(), NUMBER))
        elif digits >= 7:
            result.append((match.group(), SHORT_NUMBER))
    result += [(match.group(), COLONS) for match in re.finditer("[0-9A-Fa-f:]+", text) if match.group().count(":") >= 2]
    for word, group in (("wxid_", 10), ("QQ", 11), ("微信", 12)):
        result += [(word, group) for _ in re.finditer(f"(?={word})", text)]
    result += [("@", AT_SIGN) for sign in text if sign == "@"] + [("\ufffd", AT_SIGN) for sign in text if sign == "＠"]
    return sorted(result)


@given(st.lists(SIGNS, max_size=60).map("".join))
def test_the_kernel_finds_what_plain_expressions_find(text: str) -> None:
    assert sorted(gates(text)[0]) == reference(text)


def test_no_gate_crosses_documents() -> None:
    assert gates("12345", "6789", "wxi", "d_", "", "a:", ":b") == [[], [], [], [], [], [], []]
    assert gates("x 123456789", "123456789")[1] == [("123456789", NUMBER)]
