"""Cleaners of lines: what goes, what stays, in English and Chinese, and that cleaning twice changes nothing."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.cleaners.lines import C4Lines, RefinedWebLines
from pipeline.cleaners.section import C4Lines as C4Options
from pipeline.cleaners.section import RefinedWebLines as RefinedWebOptions

ENGLISH = """Menu
The smiths came down the hills.[1] They fed it [citation needed] all week.
Please enable JavaScript to read this page.
By using this site you accept our cookie policy now.
A line that has no mark at its end
Too short.
It had to be beaten until it was clean!"""
CHINESE = """首页
铁匠们从山上下来。
登录后查看
他们用筐背来矿石！
作者：佚名"""


def c4(*texts: str, **options: object) -> list[str]:
    cleaner = C4Lines(C4Options.model_validate(options))
    once = cleaner.clean(pa.array(texts, pa.large_string()))
    assert cleaner.clean(once).equals(once)
    return once.to_pylist()  # type: ignore[no-any-return]


def refinedweb(*texts: str) -> list[str]:
    cleaner = RefinedWebLines(RefinedWebOptions())
    once = cleaner.clean(pa.array(texts, pa.large_string()))
    assert cleaner.clean(once).equals(once)
    return once.to_pylist()  # type: ignore[no-any-return]


def test_c4_keeps_lines_that_end_properly_and_removes_citations() -> None:
    assert c4(ENGLISH)[0].splitlines() == [
        "The smiths came down the hills. They fed it  all week.",
        "It had to be beaten until it was clean!",
    ]


def test_c4_keeps_lines_without_a_mark_if_told_so() -> None:
    assert "A line that has no mark at its end" in c4(ENGLISH, end_mark=False)[0]


def test_chinese_lines_end_in_chinese_marks() -> None:
    assert c4(CHINESE)[0].splitlines() == ["铁匠们从山上下来。", "他们用筐背来矿石！"]


def test_a_line_that_damns_its_page_stays_for_the_filter() -> None:
    assert "lorem ipsum" in c4(f"{ENGLISH}\nThis is lorem ipsum, as ever.")[0]


@pytest.mark.parametrize("text", ["ไม่มีเครื่องหมายจบประโยค\nเลยสักบรรทัดเดียว", "menu\nhome", ""])
def test_a_document_that_would_lose_every_line_stays(text: str) -> None:
    assert c4(text) == [text]


def test_refinedweb_removes_menus_from_a_page_of_prose() -> None:
    prose = "They brought ore in baskets, and charcoal that had been burning under turf for a week. " * 4
    page = f"HOME PAGE\n{prose}\n3 likes\n{prose}\nread more..."
    assert refinedweb(page) == [f"{prose}\n{prose.strip()}"]


def test_refinedweb_leaves_a_page_of_menus_to_the_filter() -> None:
    page = "HOME PAGE\n3 likes\nSign in\nThey brought ore in baskets."
    assert refinedweb(page) == [page]


def test_documents_do_not_change_each_other() -> None:
    assert c4(ENGLISH, "", CHINESE) == [*c4(ENGLISH), *c4(""), *c4(CHINESE)]
