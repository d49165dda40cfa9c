"""CPU-seconds to compile kernels on a machine's first use: a run with an empty cache beside one with a full cache.

    python tests/benchmarks/bench_compile.py [--only default presets] [--work DIR]

Both runs read the same five documents, so that little else is measured. The bare limit is the second run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from pathlib import Path

from bench_data_plane import stage_cpu
from enlarge import read
from measured import DATA, measure, table

TOY = "--only default"  # the arguments with which the tests run this file

CLEAN = {
    "default": "{filters: [length, quality, repetition]}",
    "presets": "{cleaners: [unicode, mojibake, {pii: {}}, c4_lines, refinedweb_lines],"
    " filters: [length, c4, fineweb, refinedweb, gopher_quality, gopher_repetition]}",
}
CONFIG = """\
name: compile
workdir: {work}
seed: 17
ingest: {{sources: [{{reader: jsonl, paths: {corpus}}}]}}
clean: {clean}
dedupe: {{}}
tokenizer: {{vocabulary: 300}}
pack: {{length: 64}}
cluster: {{launcher: local, beam: {{workers: 1}}}}
"""


def write_corpus(path: Path) -> None:
    """Three English documents and two Chinese ones."""
    documents = [
        record for language, count in (("en", 3), ("zh", 2))
        for record in itertools.islice(read(f"corpora/{language}/*.gz", DATA), count)
    ]  # fmt: skip
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(
            json.dumps({"id": str(number), "text": record["text"]}, ensure_ascii=False) + "\n"
            for number, record in enumerate(documents)
        )


def run(name: str, folder: Path, cache: Path) -> tuple[float, dict[str, float]]:
    """CPU-seconds of a run, and of each of its stages."""
    corpus, work = folder / "five.jsonl", folder / "work"
    write_corpus(corpus)
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(work=work, corpus=corpus, clean=CLEAN[name]), encoding="utf-8")
    command = [sys.executable, "-m", "cluster.cli", "run", config]
    measured = measure(command, NUMBA_CACHE_DIR=str(cache))
    return measured.cpu, stage_cpu(work)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="*", choices=list(CLEAN), default=list(CLEAN))
    options.add_argument("--work", type=Path)
    chosen = options.parse_args()
    rows: list[list[object]] = []
    for name in chosen.only:
        folder = Path(tempfile.mkdtemp(dir=chosen.work))
        (folder / "first").mkdir()
        (folder / "second").mkdir()
        (first, by_stage), (second, again) = (
            run(name, folder / part, folder / "cache") for part in ("first", "second")
        )
        rows.append([name, first, second, first - second])
        rows += [[f"· {stage}", by_stage[stage], again[stage], by_stage[stage] - again[stage]] for stage in by_stage]
    table("CPU-seconds of a run on five documents", ["clean", "first run", "second run", "compiling"], rows)


if __name__ == "__main__":
    main()
