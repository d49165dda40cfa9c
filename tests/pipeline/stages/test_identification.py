"""Language identification: the script first, code by its own rule, the model for the rest; clear text corrects tags."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from pipeline.kernels import column
from pipeline.stages.identification import Identification, identify, revise
from pipeline.text.language_model import SAMPLE_BYTES, identify_text

TEXTS = {
    "zh": "今天天气很好，我们去图书馆看书，老师告诉学生明天早上要带一本新的词典来上课。",
    "zh-Hant": "今天天氣很好，我們去圖書館看書，老師告訴學生明天早上要帶一本新的詞典來上課。",
    "yue": "佢哋今日唔喺屋企，我哋聽日先至嚟搵佢，你話好唔好呀？嗰個嘢係邊個嘅？",
    "ja": "今日は天気がいいので、図書館へ行って本を読みます。先生は新しい辞書を持って来るように言いました。",
    "ko": "오늘은 날씨가 좋아서 도서관에 가서 책을 읽습니다.",
    "el": "Σήμερα ο καιρός είναι πολύ καλός και πηγαίνουμε στη βιβλιοθήκη.",
    "en": "The weather is fine today, and we will go to the library with the teacher to read a new book.",
    "fr": "Il fait très beau aujourd'hui, et nous allons à la bibliothèque avec le professeur pour lire un livre.",
    "de": "Heute ist das Wetter sehr schön, und wir gehen mit dem Lehrer in die Bibliothek, um ein Buch zu lesen.",
    "ru": "Сегодня очень хорошая погода, и мы идём с учителем в библиотеку читать новую книгу.",
    "uk": "Сьогодні дуже гарна погода, і ми йдемо з учителем до бібліотеки читати нову книгу.",
    "code": "import os\n\ndef read(path):\n    with open(path) as stream:\n        return stream.read()\n\n\n"
    "class Reader:\n    def __init__(self, path):\n        self.path = path\n        self.lines = read(path).split()\n",
}


def identified(texts: Sequence[str], tags: Sequence[str | None], *, every: bool = False) -> Identification:
    return identify(pa.array(texts, pa.large_string()), list(tags), every=every)


@pytest.mark.parametrize("language", TEXTS)
def test_a_text_without_a_tag_gets_its_language(language: str) -> None:
    for tag in (None, "und-Latn"):
        result = identified([TEXTS[language]], [tag])
        assert result.languages == [language]
        assert result.confidence[0] > 0.6 and result.second[0] < 0.2


def test_the_script_settles_chinese_japanese_and_korean_without_the_model() -> None:
    result = identified(list(TEXTS.values()), [None] * len(TEXTS))
    unseen = [tag for tag, seen in zip(TEXTS, result.examined.tolist(), strict=True) if not seen]
    assert unseen == ["zh", "zh-Hant", "yue", "ja", "ko", "el"]


def test_a_tag_is_kept_where_the_text_agrees_and_replaced_where_its_script_contradicts_it() -> None:
    texts = [TEXTS[name] for name in ("en", "zh", "fr", "zh-Hant", "ja", "ko")]
    result = identified(texts, ["en", "en", "zh", "zh", "zh", "nl"])
    assert result.languages == ["en", "zh", "fr", "zh-Hant", "ja", "ko"]
    assert result.examined.tolist() == [False, False, True, False, False, False]
    assert np.isnan(result.confidence[0])


def test_a_wrong_tag_within_a_script_is_seen_with_all_or_if_english_words_are_missing() -> None:
    text = pa.array([TEXTS["fr"], TEXTS["de"], TEXTS["en"]], pa.large_string())
    tags: list[str | None] = ["en", "nl", "en"]
    assert identify(text, tags, every=True).languages == ["fr", "de", "en"]
    before = identify(text, tags, every=False)
    assert before.languages == tags
    after, changed = revise(text, before, column.measure(text, before.languages)["function_words"])
    assert (after.languages, changed.tolist()) == (["fr", "nl", "en"], [0])


def test_a_text_of_two_languages_is_known_as_such() -> None:
    halves = identified([f"{TEXTS['en']}\n{TEXTS['fr']}", f"{TEXTS['zh']}\n{TEXTS['en'] * 2}"], [None, None])
    assert halves.second[0] > 0.4 and halves.second[1] > 0.3
    assert set(halves.languages) <= {"en", "fr", "zh"}


def test_text_without_letters_has_no_language_and_filler_text_keeps_its_tag() -> None:
    lorem = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore. " * 3
    assert identified(["12345 67890 !!!", ""], [None, None]).languages == [None, None]
    assert identified([lorem], ["en"], every=True).languages == ["en"]


def test_addresses_of_pages_are_not_code() -> None:
    links = "\n".join(f"https://www.example.org/path/to/page_{n}.html?id={n}&name=a_b" for n in range(30))
    assert identified([links], [None]).languages != ["code"]


def test_characters_that_the_library_refuses_are_no_error() -> None:
    for odd in ("\x00", "\x1b", "\x7f", "\x85", "\ufdd0", "\ufffe", "\U0001ffff"):
        assert identify_text(f"{TEXTS['fr']}{odd}{TEXTS['fr']}".encode()).language == "fr"


def test_a_long_text_is_sampled_to_its_end_and_a_cut_character_does_no_harm() -> None:
    long = (TEXTS["ru"] * 200 + TEXTS["uk"] * 200).encode()
    answer = identify_text(long)
    assert len(long) > 10 * SAMPLE_BYTES and {answer.language} <= {"ru", "uk"} and answer.second > 0.3


def test_a_row_depends_on_its_own_text_alone_in_any_batch_and_thread() -> None:
    texts, tags = list(TEXTS.values()) * 20, [None, "en", "zh"] * (len(TEXTS) * 20 // 3)
    whole = identified(texts, tags)
    answers: dict[int, tuple[str | None, float]] = {}

    def alone(first: int) -> None:
        for row in range(first, len(texts), 4):
            one_row = identified([texts[row]], [tags[row]])
            answers[row] = (one_row.languages[0], float(one_row.second[0]))

    threads = [threading.Thread(target=alone, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[row][0] for row in range(len(texts))] == whole.languages
    assert np.array_equal([answers[row][1] for row in range(len(texts))], whole.second, equal_nan=True)
