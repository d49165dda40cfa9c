"""The files of pairs and analogies: what is read, and what is refused with its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from training.evaluation.word_benchmarks import AnalogyQuestion, JudgedPair, read_judged_pairs, read_questions

WORDS = Path(os.environ.get("BLOOMERY_DATA", "../shared/data")) / "eval" / "words"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "asked.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_pairs_are_separated_by_tabs_commas_or_spaces(tmp_path: Path) -> None:
    expected = [JudgedPair("诗", "李白", 9.2), JudgedPair("tiger", "cat", 7.35)]
    for mark in ("\t", ",", " ", "  "):
        text = f"诗{mark}李白{mark}9.2\r\ntiger{mark}cat{mark}7.35"
        assert read_judged_pairs(written(tmp_path, "\ufeff# a remark\n\nWord 1,Word 2,Human\n" + text)) == expected


def test_questions_belong_to_the_section_above_them(tmp_path: Path) -> None:
    path = written(tmp_path, "a b c d\n: capital world\nBerlin Germany Bern Switzerland\n\n:名\n浙江 越剧 北京 京剧\n")
    assert read_questions(path) == [
        AnalogyQuestion("", "a", "b", "c", "d"),
        AnalogyQuestion("capital world", "Berlin", "Germany", "Bern", "Switzerland"),
        AnalogyQuestion("名", "浙江", "越剧", "北京", "京剧"),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\tb\t1\na\tb\tc\n", 2), ("a\tb\n", 1), ("x y\n", 1), ("# no\n\na\tb\t1\td\n", 3), ("a\tb\t1\na\tb\tnan\n", 2)],
)
def test_what_is_no_pair_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(UserError, match=rf"asked\.txt:{line}: not a pair"):
        read_judged_pairs(written(tmp_path, text))


@pytest.mark.parametrize(("text", "line"), [("a b c\n", 1), (": s\na b c d\na b c d e\n", 3)])
def test_what_is_no_question_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(UserError, match=rf"asked\.txt:{line}: not four words"):
        read_questions(written(tmp_path, text))


def test_an_empty_file_and_one_that_is_no_text_are_refused(tmp_path: Path) -> None:
    for read in (read_judged_pairs, read_questions):
        with pytest.raises(UserError, match="holds no"):
            read(written(tmp_path, "\n# nothing\n" if read is read_judged_pairs else ": only a section\n"))
        with pytest.raises(UserError, match="not UTF-8"):
            read(written(tmp_path, "诗 词".encode("gb18030")))


@pytest.mark.skipif(not WORDS.is_dir(), reason=f"{WORDS} is not there: set BLOOMERY_DATA")
def test_the_published_sets_are_read_completely() -> None:
    assert len(read_judged_pairs(WORDS / "wordsim353-en.tsv")) == 353
    assert len(read_judged_pairs(WORDS / "wordsim240-zh.tsv")) == 240
    english = read_questions(WORDS / "analogies-en.txt")
    assert len(english) == 9695 and len({question.section for question in english}) == 14
    for name, count in (("morphological", 4953), ("semantic", 3636)):
        chinese = read_questions(WORDS / f"analogies-zh-ca8-{name}.txt")
        assert len(chinese) == count and len({question.section for question in chinese}) == 4
