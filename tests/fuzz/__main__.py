"""`make fuzz`: every reader reads thousands of damaged copies of a valid file.

    python -m tests.fuzz [--mutations 10000] [--seed 17] [--only a.csv] [--folder work/fuzz]

No copy may crash or hang a reader, make it hold more than a gigabyte, or lose a record in silence: there are as many
documents as before, or a bad record. A copy that crashes or hangs is noted, and the next one is read in a new process.
What is finished is kept in FOLDER, and the same command goes on. Exit codes: 0 all well, 1 there are problems.
"""

from __future__ import annotations

import argparse
import json
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.fuzz.valid_files import VALID_FILES

LIMIT_S = 30.0  # for one copy; of a few kB, each takes milliseconds
START_S = 300.0  # until a process has imported what it needs, on a busy machine
BATCH = 2000


def fuzz(name: str, seed: int, first: int, end: int) -> Iterator[dict[str, Any]]:
    """One result for every damaged copy, in order."""
    while first < end:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "tests.fuzz.read_damaged", name, str(seed), str(first), str(end), folder]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            begun, hung = None, False
            try:
                for line in _lines(child):
                    if "begin" in line:
                        begun = line["begin"]
                    else:
                        begun = None
                        first = line["number"] + 1
                        yield line
                # a process that crashes closes its output well before its exit code can be read
                error = child.communicate(timeout=LIMIT_S)[1]
            except (TimeoutError, subprocess.TimeoutExpired):
                hung = True
                child.kill()
                error = child.communicate()[1]
            message = error.decode(errors="replace").strip()[-300:]
            if begun is None and first < end:
                raise SystemExit(f"{name}: {message or 'the process ended without a word'}")
            if begun is not None:
                problem = f"hung for {LIMIT_S:g} s" if hung else f"crashed with code {child.returncode}: {message}"
                yield {"number": begun, "problem": problem, "seconds": LIMIT_S if hung else 0.0, "grown": 0}
                first = begun + 1


def _lines(child: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON lines of a process, until it closes its output. TimeoutError: it has written nothing for LIMIT_S."""
    assert child.stdout is not None
    waiting = selectors.DefaultSelector()
    waiting.register(child.stdout, selectors.EVENT_READ)
    data = b""
    limit = START_S
    while True:
        if not waiting.select(limit):
            raise TimeoutError
        limit = LIMIT_S
        block = child.stdout.read1(1 << 16)  # type: ignore[attr-defined]
        if not block:
            return
        *whole, data = (data + block).split(b"\n")
        yield from map(json.loads, whole)


def run(name: str, *, mutations: int, seed: int, folder: Path) -> list[str]:
    """Go on with one file until it has had so many mutations. Returns the problems of all of them."""
    path = folder / f"{name}-{seed}.json"
    state = json.loads(path.read_text()) if path.exists() else {"next": 0, "problems": [], "slowest": 0.0, "grown": 0}
    while state["next"] < mutations:
        for result in fuzz(name, seed, state["next"], min(mutations, state["next"] + BATCH)):
            state["next"] = result["number"] + 1
            state["slowest"] = max(state["slowest"], result["seconds"])
            state["grown"] = max(state["grown"], result["grown"])
            if result["problem"]:
                state["problems"].append(f"{name} {result['number']}: {result['problem']}")
        path.write_text(json.dumps(state, ensure_ascii=False, indent=1))
    problems: list[str] = state["problems"]
    print(
        f"| {name} | {state['next']:,} | {len(problems)} | {state['slowest']:.2f} | {state['grown'] >> 20:,} |",
        flush=True,
    )
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=10_000, help="of each valid file")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--only", choices=list(VALID_FILES), nargs="*", default=list(VALID_FILES))
    parser.add_argument("--folder", type=Path, default=Path("work/fuzz"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print("| file | mutations | problems | slowest s | memory grown MiB |\n| --- | ---: | ---: | ---: | ---: |")
    problems: list[str] = []
    for name in options.only:
        problems += run(name, mutations=options.mutations, seed=options.seed, folder=options.folder)
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
