"""`make chaos`: runs of a small config, in each of which processes are killed at random moments.

    python -m tests.chaos --place local|s3|cluster --runs 50 --seed 17

Every run must end, with the data of an undisturbed run, and by itself where nothing but its own stages and workers was
killed; what else it needs for it is in the table. Finished runs are kept in FOLDER/PLACE.jsonl, and the same command
goes on with the next. An undisturbed run comes first and then after every ten runs; times are compared with the median
of all of them. Exit codes: 0 all well, 1 a run failed or has to be done again, 3 not possible here.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.chaos.kills import kills_of
from tests.chaos.one_run import Outcome, observe, perform
from tests.chaos.places import ClusterPlace, LocalPlace, S3Place
from tests.chaos.table import Record, run_line, table
from tests.support.hosts import HostsUnavailable
from tests.support.s3 import ServerUnavailable
from tests.support.small_run import of_data

PLACES = {"local": LocalPlace, "s3": S3Place, "cluster": ClusterPlace}
UNDISTURBED_EVERY = 10
MOST_TIMES = 2  # as many runs as are asked for, with those that are done again
FIRST_LIMIT_S = 1_800.0
LIMIT_TIMES, LIMIT_MORE_S = 5.0, 300.0  # a run is hung after so many times an undisturbed one, and so many seconds


class Results:
    """The records of a place, one JSON line each; those of another configuration or seed are left out."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.records: list[Record] = [record for line in lines if (record := json.loads(line))["identity"] == identity]

    def add(self, outcome: Outcome, **fields: object) -> Record:
        record = {"identity": self.identity, "commit": _commit(), **outcome.as_json(), **fields}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        self.records.append(record)
        return record

    def undisturbed(self) -> list[Record]:
        return [record for record in self.records if record["run"] < 0]

    def disturbed(self) -> list[Record]:
        """Those in which every kill came, or that failed; the others are done again by the next start."""
        return [record for record in self.records if record["run"] >= 0 and (record["problem"] or not record["missed"])]


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    folder = options.folder.resolve() / options.place
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with PLACES[options.place](folder) as place:
            return _chaos(place, options)
    except (HostsUnavailable, ServerUnavailable) as error:
        print(f"skipped: {error}")
        return 3


def _chaos(place: LocalPlace, options: argparse.Namespace) -> int:
    # the work directory differs from start to start where its bucket does
    text = place.configuration("run").replace(place.workdir("run"), "").replace(getattr(place, "bucket", "?"), "")
    identity = hashlib.sha256(f"{options.seed} {text}".encode()).hexdigest()[:12]
    results = Results(options.folder.resolve() / f"{options.place}.jsonl", identity)
    came_late = False
    for number in itertools.islice(_remaining(results, options.runs), MOST_TIMES * options.runs):
        if not results.undisturbed():  # the first run on a machine compiles kernels: its time is not typical
            observe(place, "warm-up", FIRST_LIMIT_S)
        # where a kill came too late, the machine is faster now than when its moment was drawn
        due = not results.undisturbed() or number % UNDISTURBED_EVERY == 0 or came_late
        if due and not _undisturbed(place, results):
            return 1
        came_late = _disturbed(place, results, number, options.seed)
    records = [_compared(record, results) for record in results.disturbed()]
    print(f"\n{table(records)}")
    if missing := options.runs - len({record["run"] for record in records}):
        print(f"\n{missing} runs ended before their kill came. The same command does them again.")
    return int(missing > 0 or any(record["problem"] for record in records))


def _remaining(results: Results, runs: int) -> Iterator[int]:
    """The runs that are to be done, in rounds: one that ended before its kill came is done again."""
    while missing := sorted(set(range(runs)) - {record["run"] for record in results.disturbed()}):
        yield from missing


def _undisturbed(place: LocalPlace, results: Results) -> bool:
    name = f"undisturbed-{len(results.undisturbed())}"
    outcome, alive = observe(place, name, FIRST_LIMIT_S)
    outcome.run = -1 - len(results.undisturbed())
    if not outcome.problem and results.undisturbed():
        expected = results.undisturbed()[0]["digests"]
        if of_data(outcome.digests) != of_data(expected):
            outcome.problem = "an undisturbed run has other data than the first"
    print(f"undisturbed: {outcome.seconds:.0f} s {outcome.problem}", flush=True)
    if not outcome.problem:
        results.add(outcome, alive=alive)
    return not outcome.problem


def _disturbed(place: LocalPlace, results: Results, number: int, seed: int) -> bool:
    """One run with kills. Returns whether it ended before one of them came."""
    first = results.undisturbed()[0]
    # of the fastest, so that a kill is due before the end of a run beside less other work
    alive: Mapping[str, Sequence[float]] = min(results.undisturbed(), key=lambda record: record["seconds"])["alive"]
    limit_s = LIMIT_TIMES * statistics.median(record["seconds"] for record in results.undisturbed()) + LIMIT_MORE_S
    kills = kills_of(number, seed, alive, place.victims)
    again = sum(record["run"] == number for record in results.records)
    outcome = perform(place, number, kills, first["digests"], limit_s, again=again)
    print(run_line(_compared(results.add(outcome), results)), flush=True)
    return bool(outcome.missed)


def _compared(record: Record, results: Results) -> Record:
    seconds = statistics.median(other["seconds"] for other in results.undisturbed())
    same_model = record["digests"] == results.undisturbed()[0]["digests"]
    return {**record, "undisturbed_s": seconds, "same_model": same_model}


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--place", choices=PLACES, default="local")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--folder", type=Path, default=Path("work/chaos"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
