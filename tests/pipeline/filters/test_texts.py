"""Real English and Chinese text passes the default rules, junk does not."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from pipeline.cleaners.unicode import Options, Unicode
from pipeline.filters import FILTERS
from pipeline.filters.base import build_filter
from pipeline.filters.rules import KEPT, apply_rules, resolve_languages
from pipeline.kernels.column import measure

ALL = [rule for name in ("length", "quality", "repetition") for rule in build_filter(FILTERS, name, {}).rules()]

ENGLISH = """The furnace stood at the edge of the village, and every autumn the smiths came down the hills to feed it.
They brought ore in baskets, and charcoal that had been burning under turf for a week. Nobody slept while the bellows
worked. By morning there would be a grey lump of iron, full of slag, that had to be beaten until it was clean."""
CHINESE = """村口有一座冶铁的炉子，每到秋天，铁匠们就从山上下来。他们用筐背来矿石，又带来在草皮下闷烧了七天的木炭。
风箱响起的夜里，谁也不睡。到了清晨，炉底便有一块灰色的铁，里面还夹着渣，要反复锻打才能干净。老人说，好铁不怕火，
怕的是没有耐心的手。孩子们围在旁边看，火星落在雪地上，一闪就灭了。"""
ENGLISH, CHINESE = ENGLISH.replace("\n", " "), CHINESE.replace("\n", "")
VERSE = "靜夜思\n李白\n床前明月光，疑是地上霜。\n舉頭望明月，低頭思故鄉。"


def reason(text: str, language: str | None) -> str | None:
    column = Unicode(Options()).clean(pa.array([text], pa.large_string()))
    languages, signals = resolve_languages([language], measure(column, [language]), pa.chunked_array([column]))
    results = apply_rules(ALL, signals, languages)
    return None if results.first[0] == KEPT else ALL[results.first[0]].name


@pytest.mark.parametrize(
    ("text", "language"), [(ENGLISH, "en"), (ENGLISH, None), (CHINESE, "zh"), (CHINESE, "zh-Hant"), (VERSE, "zh")]
)
def test_prose_and_verse_pass(text: str, language: str | None) -> None:
    assert reason(text, language) is None


def spam(words: list[str], count: int) -> list[str]:
    return random.Random(3).choices(words, k=count)


def symbols(words: list[str]) -> str:
    return " ".join(f"{word} ##" for word in words)


def digits() -> str:
    return "\n".join(
        "\t".join(str(number) for number in row) for row in np.random.default_rng(1).integers(1, 99999, (30, 8))
    )


JUNK = {
    "length.min_units": ("after being hypnotized ,", "汪士秀庐州"),
    "quality.max_hash_signs": (symbols(ENGLISH.split()), symbols(list(CHINESE))),
    "quality.max_bullet_lines": (
        "\n".join("- " + line for line in ENGLISH.split(". ")), "\n".join("- " + line for line in CHINESE.split("。"))
    ),
    "quality.max_ellipsis_lines": (
        "\n".join(f"{line}\n{line[:30]}..." for line in ENGLISH.split(". ")),
        "\n".join(f"{line}…" for line in CHINESE.split("。")),
    ),
    "quality.max_unit_concentration": (
        ", ".join(spam("iron ore slag the of cinder hammer smith coal".split(), 200)),
        "、".join(spam(list("铁矿炉的火渣炭村山"), 200)),
    ),
    "repetition.max_duplicate_lines": ((ENGLISH.split(".")[0] + "\n") * 30, (CHINESE.split("。")[0] + "\n") * 30),
}  # fmt: skip


@pytest.mark.parametrize("rule", JUNK)
def test_junk_goes_by_the_rule_for_it(rule: str) -> None:
    english, chinese = JUNK[rule]
    assert (reason(english, "en"), reason(chinese, "zh")) == (rule, rule)


def test_the_same_words_again_and_again_go() -> None:
    assert reason("the smiths came down from the hills " * 20, "en") is not None
    assert reason("风箱响起的夜里谁也不睡" * 20, "zh") is not None


URLS = "\n".join(f"http://www.example.com/p/{number}.html" for number in range(900_000, 900_060))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_digits_urls_capitals_and_misread_bytes_go_whatever_they_are_said_to_be(language: str) -> None:
    assert reason(digits(), language) is not None
    assert reason(URLS, language) is not None
    assert reason(ENGLISH.upper(), language) == "quality.max_upper_letters"


@pytest.mark.parametrize("language", ["en", "zh", "fi", "und-Latn", None])
def test_digits_and_misread_bytes_go_in_any_language(language: str | None) -> None:
    assert reason(digits(), language) == "quality.min_letter_units"
    assert reason(CHINESE.encode().decode("latin-1"), language) == "quality.max_broken_characters"
    assert reason(ENGLISH.replace(",", "—").encode().decode("latin-1"), language) == "quality.max_broken_characters"


# long compounds, short words, few different letters: none of it is junk where it is how a language is written
FINNISH = """Rautasulattamotyöntekijöidenkin lapsenlapsenlapset muistelivat kertomuksissaan kylänvanhimpien
aikalaistodistuksia hiilenpolttajamestareiden ammattitaidottomuudesta ja rautamalminlouhintamenetelmien
kehittymättömyydestä, vaikkeivät yksityiskohtaisempia muistiinpanoja säilyttäneetkään. Sulatusuunirakennelmien
ympäristössä työskennelleistä seppämestareista tunnetuimmat opettivat oppipoikakokelaitaan kärsivällisesti.
Kesäaikaisten markkinamatkojensa yhteydessä kauppiasperheet kuljettivat valmistamiaan rautaesineitä naapuripitäjiin,
joiden asukkaat vaihtoivat viljatuotteitaan, nahkavaatteitaan, turkiksiaan sekä puuastioitaan työkaluihin.
Talviyksinäisyydessään kyläläiset valmistelivat seuraavanvuotisia työtehtäviään keskustellen sukupolvienvälisistä
erimielisyyksistä, perinnönjakokysymyksistä, kalastusoikeuksista, metsänhoitomenetelmistä sekä kirkkoherranvirastojen
epäoikeudenmukaisina pidetyistä kymmenysverokäytännöistä."""
THAI = """ช่างตีเหล็กในหมู่บ้านตื่นแต่เช้าทุกวันเพื่อจุดไฟในเตาใหญ่ริมแม่น้ำ เด็กๆ มักมายืนดูประกายไฟที่กระเด็นขึ้นไปบนอากาศ
พวกเขาช่วยกันขนถ่านและแร่จากภูเขาลงมาใส่ตะกร้า เหล็กที่ดีต้องใช้ความอดทนและเวลาหลายวันกว่าจะตีให้เป็นมีดหรือจอบได้"""
ARABIC = """كان الحدادون في القرية يستيقظون مع الفجر ليوقدوا النار في الفرن الكبير قرب النهر، وكان الأطفال يقفون بعيدا
ينظرون إلى الشرر وهو يتطاير في الهواء البارد. يحمل الرجال الفحم والحجارة من الجبل في سلال على ظهورهم، ثم يضربون
الحديد ساعات طويلة حتى يصير سكينا أو فأسا أو محراثا. وقال الشيخ إن الحديد الجيد لا يخاف النار، وإنما يخاف اليد
التي لا صبر لها، فضحك الأولاد ومضوا إلى بيوتهم قبل أن يهبط الليل على الوادي وتبرد الجمرات الأخيرة."""
KHMER = """ជាងដែកនៅក្នុងភូមិភ្ញាក់ពីព្រលឹមជារៀងរាល់ថ្ងៃដើម្បីដុតភ្លើងក្នុងឡធំនៅមាត់ទន្លេ។ ក្មេងៗតែងតែមកឈរមើលផ្កាភ្លើង
ដែលហោះឡើងលើអាកាស។ ពួកគេជួយគ្នាដឹកធ្យូងនិងរ៉ែពីភ្នំចុះមកក្រោម។"""


@pytest.mark.parametrize(("text", "language"), [(FINNISH, "fi"), (THAI, "th"), (ARABIC, "ar"), (KHMER, "km")])
def test_prose_of_other_languages_is_not_held_to_english_words(text: str, language: str) -> None:
    assert reason(text, language) is None
    assert reason(text, None) is None


@pytest.mark.parametrize(("text", "language"), [(FINNISH, "fi"), (ARABIC, "ar"), (THAI, "th")])
def test_repeated_lines_go_in_any_language(text: str, language: str) -> None:
    line = " ".join(text.split("\n")[:3])
    assert reason(f"{line}\n" * 30, language) == "repetition.max_duplicate_lines"


def test_finnish_said_to_be_english_is_what_the_limits_of_english_refuse() -> None:
    assert reason(FINNISH, "en") == "quality.max_mean_unit_length"


def test_english_without_function_words_goes_and_other_languages_are_not_held_to_them() -> None:
    longer = ENGLISH + " amber birch cedar delta ember fjord grove heron inlet jetty knoll larch maple"
    bare = " ".join(word for word in longer.split() if word.lower() not in {"the", "of", "and", "to", "that", "be"})
    assert reason(bare, "en") == "quality.min_function_words"
    assert reason(bare, "und-Latn") is None


@pytest.mark.parametrize("text", ["", " ", "a", "中", "😀😀😀", "\x00", "\n\n\n", "\u200b", "...", "x" * 1_000_000])
def test_odd_texts_have_a_named_reason(text: str) -> None:
    assert reason(text, "en") is not None
