"""Every benchmark runs to its end at a toy size, on a small corpus made here, and prints its table. No times judged."""

from __future__ import annotations

import ast
import gzip
import json
import os
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.core.files import JsonObject

HERE = Path(__file__).parent
BENCHMARKS = sorted(path.name for path in HERE.glob("bench_*.py"))
# more than ten seconds: they train, or run the command or a stage of Beam several times
SLOW = {
    "bench_annotate.py", "bench_bert.py", "bench_data_plane.py", "bench_dedupe.py", "bench_document_mask.py",
    "bench_driver.py", "bench_estimate.py", "bench_glove.py", "bench_ingest.py", "bench_init_embeddings.py",
    "bench_kernels.py",
    "bench_limits.py", "bench_memory.py", "bench_passages.py", "bench_recurrent.py", "bench_resume.py",
    "bench_semantic.py", "bench_skew.py", "bench_training.py", "bench_vectors.py",
}  # fmt: skip
MACHINE = re.compile(r".+, \d+ cores, .+, Python 3\.\d+\.\d+, \d{4}-\d{2}-\d{2}")
ENGLISH = """the of and to in that it with as was he for on his be is at which by had this but from have not they who
were their her she been would there when what out so said old more into some could them about then man time after
like over then our little such great before must through house long where much should water well people night day
river letter station village garden morning winter window bridge mountain market teacher doctor captain music paper
story garden horse road field forest island king queen ship harbour kitchen summer""".split()
CHINESE = """河流 经过 古老 的 车站 村子 里 还 没有 人 打开 它 今天 天气 很 好 我们 去 图书馆 看书 老师 告诉 学生
明天 早上 要 带 一本 新 的 词典 春天 来 了 花园 里 开满 花 他 说 这 座 城市 比 从前 更 安静 火车 在 夜里 开往 北方 孩子
们 在 河边 唱歌""".split()


def toy(file: str) -> list[str]:
    """The arguments that a benchmark names in a line `TOY = "…"`."""
    for statement in ast.parse((HERE / file).read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "TOY":
            return shlex.split(ast.literal_eval(statement.value))
    pytest.fail(f'{file} names no toy size: give it a line TOY = "--option value …"')


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What BLOOMERY_DATA holds, in the small: corpora, raw-mixed with its truth, and questions about words."""
    root, draw = tmp_path_factory.mktemp("data"), random.Random(17)
    english = [_english(draw) for _ in range(240)]
    chinese = [_chinese(draw) for _ in range(120)]
    _jsonl(root / "corpora/en/gutenberg.jsonl.gz", _records(english[:200], "en"))
    for name, texts in {"zhwiki": chinese[:40], "laws": chinese[40:80], "poetry": chinese[80:100]}.items():
        _jsonl(root / f"corpora/zh/{name}.jsonl.gz", _records(texts, "zh"))
    mixed = [
        *_records(english[200:], "en"),
        *_records(chinese[100:], "zh"),
        {"text": "BUY NOW !!! " * 40, "lang": "en"},
    ]
    # a near pair: the second lacks the last words of the first
    mixed.append({"text": mixed[0]["text"][:-30], "lang": "en"})
    mixed = [{**record, "id": f"m{number}"} for number, record in enumerate(mixed)]
    _jsonl(root / "raw-mixed/shard-00000.jsonl.gz", mixed)
    _jsonl(root / "raw-mixed.truth/docs.jsonl.gz", [_truth(line, record) for line, record in enumerate(mixed, 1)])
    pairs = f"id_a\tid_b\tjaccard\tcontainment\thow\nm0\t{mixed[-1]['id']}\t0.95\t1.0\tnatural\n"
    (root / "raw-mixed.truth/near-pairs.tsv").write_text(pairs, encoding="utf-8")
    _word_sets(root / "eval/words")
    for name, texts in {"topic-en": english, "topic-zh": chinese}.items():
        labelled = enumerate(texts[:60])
        _jsonl(
            root / f"eval/{name}.jsonl.gz",
            [{"id": f"{name}{n}", "text": text, "label": str(n % 2)} for n, text in labelled],
        )
    return root


def _english(draw: random.Random) -> str:
    sentences = [" ".join(draw.choices(ENGLISH, k=draw.randint(8, 20))).capitalize() + "." for _ in range(12)]
    return "\n\n".join(" ".join(sentences[at : at + 4]) for at in range(0, 12, 4))


def _chinese(draw: random.Random) -> str:
    return "\n".join("".join(draw.choices(CHINESE, k=draw.randint(8, 20))) + "。" for _ in range(10))


def _records(texts: Iterable[str], language: str) -> list[JsonObject]:
    return [{"id": f"{language}{number}", "text": text, "lang": language} for number, text in enumerate(texts)]


def _truth(line: int, record: JsonObject) -> JsonObject:
    bad = record["text"].startswith("BUY")
    return {
        "id": record["id"], "kind": "bad" if bad else "base", "lang": record["lang"], "source": "toy",
        "quality": "bad" if bad else "good", "reason": "all-caps" if bad else None, "shard": "shard-00000.jsonl.gz",
        "line": line,
    }  # fmt: skip


def _jsonl(path: Path, records: Iterable[JsonObject]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _word_sets(folder: Path) -> None:
    """Pairs and questions about words that the corpus holds."""
    folder.mkdir(parents=True)
    for name, words in {"wordsim353-en.tsv": ENGLISH[-24:], "wordsim240-zh.tsv": CHINESE[:24]}.items():
        pairs = zip(words[::2], words[1::2], strict=True)
        text = "".join(f"{one}\t{other}\t{number % 10}\n" for number, (one, other) in enumerate(pairs))
        (folder / name).write_text(text, encoding="utf-8")
    english = f": all\n{' '.join(ENGLISH[-4:])}\n{' '.join(ENGLISH[-8:-4])}\n"
    (folder / "analogies-en.txt").write_text(english, encoding="utf-8")
    for kind in ("morphological", "semantic"):
        (folder / f"analogies-zh-ca8-{kind}.txt").write_text(f": A\n{' '.join(CHINESE[:4])}\n", encoding="utf-8")


def tables(printed: str) -> list[list[list[str]]]:
    """The cells of each table under a line of the machine, its header first."""
    lines, found = printed.splitlines(), []
    for at, line in enumerate(lines):
        if MACHINE.fullmatch(line):
            rest = lines[at + 2 :]
            size = next((number for number, row in enumerate(rest) if not row.startswith("|")), len(rest))
            found.append([[cell.strip() for cell in row.strip("|").split(" | ")] for row in rest[:size]])
    return found


@pytest.mark.parametrize(
    "file", [pytest.param(name, marks=pytest.mark.long) if name in SLOW else name for name in BENCHMARKS]
)
def test_a_benchmark_runs_and_prints_its_tables_with_the_machine_and_the_date(
    file: str, data: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, HERE / file, *toy(file)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        check=False, cwd=tmp_path, env={**os.environ, "BLOOMERY_DATA": str(data), "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    printed = tables(done.stdout)
    assert printed, done.stdout[-4000:]
    for header, divider, *rows in printed:
        assert len(header) >= 2
        assert len(divider) == len(header)
        assert rows
        assert all(len(row) == len(header) for row in rows)


def test_a_benchmark_without_a_toy_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bench_new.py").write_text("ROUNDS = 5\n", encoding="utf-8")
    monkeypatch.setattr(sys.modules[__name__], "HERE", tmp_path)
    with pytest.raises(pytest.fail.Exception, match="names no toy size"):
        toy("bench_new.py")
