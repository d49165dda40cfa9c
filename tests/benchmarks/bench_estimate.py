"""The memory that `plan` says against the peak of a worker, by engine: two workers, gloo, two micro-batches a step.

    python tests/benchmarks/bench_estimate.py [--widths 256 512 768] [--engines plain zero-1 zero-2 zero-3]

GPTs of 4 layers over 8,192 pieces, AdamW, 4 rows of 256 tokens at once. The estimate measures a row of the shape in a
process of its own, as `plan` does; the rest is arithmetic (training/planning/memory.py). Some minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measured import table

from pipeline.core.estimate import StepFacts
from pipeline.core.job import ClusterOptions
from pipeline.tokenizers.section import Pack, Tokenizer
from training.planning.estimate import estimate
from training.section import Pretrain

TOY = "--widths 32 --engines plain"  # the arguments with which the tests run this file

HERE = Path(__file__).parent
LENGTH, VOCABULARY, ROWS, WORKERS = 256, 8192, 4, 2


def section_of(engine: str, width: int) -> Pretrain:
    kind, _, stage = engine.partition("-")
    options = {"micro_batch_tokens": ROWS * LENGTH, **({"stage": int(stage)} if stage else {})}
    return Pretrain.model_validate(
        {"model": {"family": "gpt", "layers": 4, "heads": 4, "width": width}, "steps": 100,
         "batch_tokens": WORKERS * 2 * ROWS * LENGTH, "engine": {kind: options}}
    )  # fmt: skip


def answer(module: str, question: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", module], input=json.dumps(question), text=True, capture_output=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def peak(section: Pretrain) -> int:
    """Of worker 0, in bytes."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "question.json"
        question = {"section": section.model_dump(mode="json"), "length": LENGTH, "vocabulary": VOCABULARY}
        path.write_text(json.dumps(question))
        started = [
            subprocess.Popen(
                [sys.executable, str(HERE / "estimate_worker.py"), str(WORKERS), str(rank), str(path)],
                stdout=subprocess.PIPE, text=True,
            )
            for rank in range(WORKERS)
        ]  # fmt: skip
        printed = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        sys.exit("a worker failed")
    return int(json.loads(printed[0].splitlines()[-1])["peak"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 512, 768])
    parser.add_argument("--engines", nargs="+", default=["plain", "zero-1", "zero-2", "zero-3"])
    chosen = parser.parse_args()
    rows = []
    for width in chosen.widths:
        for engine in chosen.engines:
            section = section_of(engine, width)
            facts = StepFacts(
                section, {"tokens": Pack(length=LENGTH), "tokenizer": Tokenizer(vocabulary=VOCABULARY)}, {},
                ClusterOptions(workers=WORKERS), answer, 1 << 40,
            )  # fmt: skip
            figures, measured = estimate(facts).figures, peak(section)
            ratio = figures["worker_bytes"] / measured
            rows.append([engine, f"{figures['parameters'] / 1e6:.1f} M", f"{figures['worker_bytes'] / 1e6:,.0f}",
                         f"{measured / 1e6:,.0f}", ratio])  # fmt: skip
            print(rows[-1], file=sys.stderr, flush=True)
    table("Memory of a worker, MB", ["engine", "parameters", "estimated", "measured", "ratio"], rows)


if __name__ == "__main__":
    main()
