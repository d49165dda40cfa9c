"""The kernel for units compared with the reference `pipeline.text.words`."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels.column import measure
from pipeline.kernels.signals import NAMES
from pipeline.text import words
from pipeline.text.unicode import LETTER, UNIT

ODD = st.text(
    st.sampled_from("aZé1_'’ .…#\n\t中文。かｱ한ส\u0e35\u0301\u00adקl·״׳ខ\u17d2\u200d\ufe0fﬁＡ😀\x00�Ã©"), max_size=80
)
TEXTS = st.lists(ODD | st.text(max_size=60), max_size=6)


def column(*texts: str) -> pa.Array:
    return pa.array(texts, pa.large_string())


def reference(text: str) -> dict[str, float]:
    spans = [text[start:end] for start, end in words.spans(text)]
    ratio = (lambda part: part / len(spans)) if spans else (lambda part: 0.0)
    kinds = [{words.kind_of(character) for character in unit} for unit in spans]
    return {
        "characters": len(text),
        "units": len(spans),
        "own_units": ratio(sum(UNIT in kind for kind in kinds)),
        "mean_unit_length": ratio(sum(map(len, spans))),
        "letter_units": ratio(sum(LETTER in kind or UNIT in kind for kind in kinds)),
        "hash_signs": ratio(text.count("#")),
        "ellipses": ratio(text.count("...") + text.count("…")),
        "function_words": len({*words.units(text)} & {*words.FUNCTION_WORDS["zh"]}),
    }


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_units_equal_those_of_the_reference(texts: list[str]) -> None:
    signals = measure(column(*texts), ["zh"] * len(texts))
    for at, text in enumerate(texts):
        expected = reference(text)
        assert {name: signals[name][at] for name in expected} == expected


@settings(max_examples=50, deadline=None)
@given(st.permutations(["The the a.\nb", "今天天气。\n今天天气。", "", "a b a b a b", "é 한국 ส", "x" * 300]))
def test_signals_do_not_depend_on_other_documents(texts: list[str]) -> None:
    together = measure(column(*texts), ["en"] * len(texts))
    alone = [measure(column(text), ["en"]) for text in texts]
    assert {name: together[name].tolist() for name in NAMES} == {
        name: [signals[name][0] for signals in alone] for name in NAMES
    }


MARKED = [
    ("ที่นี่ ที่", 3, 3 * 3),
    ("ស៊\u200cី ខ្ញុំ", 3, 4 + 2 + 3),
    ("ທີ່ນີ້", 2, 6),
    ("မြန်မာ", 3, 6),
    ("צה״ל ג׳", 2, 6),
    ("col·lecció", 1, 10),
    ("می\u200cخواهم", 1, 8),
    ("كِتَابٌ हिन्दी தமிழ்", 3, 7 + 6 + 5),
    ("Don't stop", 2, 9),
    ("乔治·布什 D·E", 6, 6),
]


@pytest.mark.parametrize(("text", "units", "characters"), MARKED)
def test_marks_are_part_of_the_unit_of_their_letter(text: str, units: int, characters: int) -> None:
    signals = measure(column(text))
    assert signals["units"][0] == units
    assert signals["mean_unit_length"][0] == characters / units


def test_a_slice_of_a_column_gives_the_signals_of_its_own_texts() -> None:
    full_column = column("skipped", "a b c", "中文", "left out")
    assert measure(full_column.slice(1, 2))["units"].tolist() == [3, 2]


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("Ã©tÃ© dâ€™Ã©tÃ©", 10 / 15),  # été d’été in UTF-8, read as Windows-1252; é and ’ both count two
        ("ï¿½ � ok", 3 / 8),
        ("été « à l’été » não” nº ¿qué?", 0),
        ("今天天气很好。“是的”……", 0),
    ],
)
def test_misread_bytes_are_counted_and_accents_are_not(text: str, broken: float) -> None:
    assert measure(column(text))["broken_characters"][0] == broken


def test_upper_case_counts_among_letters_of_all_scripts() -> None:
    assert measure(column("ABcd", "AB中文", "12"))["upper_letters"].tolist() == [0.5, 0.5, 0.0]


def test_function_words_are_distinct_folded_and_of_the_documents_own_language() -> None:
    texts = column("The THE the, to be", "的的是", "the to be", "的是")
    distinct_words = measure(texts, ["en", "zh-Hant", None, "und-Hani"])["function_words"]
    assert distinct_words[:2].tolist() == [3, 2]
    assert str(distinct_words[2:].tolist()) == "[nan, nan]"


@pytest.mark.parametrize(
    "text",
    ["", "a", "中", " ", "\n\n", "😀", "\x00", "\u200b", "\u0301", "....", "a" * 100_000, "中" * 100_000, "\n" * 9],
)
def test_unusual_texts_are_measured(text: str) -> None:
    signals = measure(column(text), ["en"])
    assert all(value[0] == value[0] and value[0] >= 0 for value in signals.values())


def test_english_and_chinese_measure_as_before_marks_had_units_of_their_own() -> None:
    english = "Don't \"quote\" snake_case, café naïve: 3.14 · a·b — rock'n'roll… It’s\n- one\n- two\n" * 2
    chinese = "“用Python写代码”，《J·K·罗琳》、乔治·布什！\n中\ufe0f国\u200d人，３．１４；❤\ufe0f\n" * 2
    signals = measure(column(english, chinese), ["en", "zh"])
    digests = [hashlib.sha256(np.stack(list(signals.values()))[:, at].tobytes()).hexdigest()[:16] for at in (0, 1)]
    assert digests == ["401ad217afdb4ebc", "afb650280152b536"]
