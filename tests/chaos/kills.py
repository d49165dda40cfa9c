"""Which process is killed when: drawn from the seed and the number of a run, before it starts."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# class of a process → what its command line has; Ray names its workers after what they do
VICTIMS: Mapping[str, re.Pattern[str]] = {
    "driver": re.compile(r"cluster\.cli run"),
    "stage": re.compile(r"cluster\.(child|stage_server) "),
    "training worker": re.compile(r"cluster\.launchers\.(child|fork_server)|ray::(Agent|.*RayTrainWorker)"),
    "Beam worker": re.compile(r"pipeline\.beam\.workers|ray::Worker"),
    "raylet": re.compile(r"/raylet/raylet "),
    "head of Ray": re.compile(r"/gcs/gcs_server "),
    "S3 server": re.compile(r"weed .*server"),
}
MOST_KILLS = 2


@dataclass(frozen=True)
class Kill:
    """Kill a process of a class at a moment of the undisturbed run, or the first that appears after it."""

    victim: str
    at_s: float
    choice: float  # 0 to 1: which of several

    def among(self, pids: Sequence[int]) -> int:
        return sorted(pids)[int(self.choice * len(pids))]


def victim_of(line: str) -> str | None:
    """The class of a process, by its command line."""
    return next((victim for victim, pattern in VICTIMS.items() if pattern.search(line)), None)


def kills_of(run: int, seed: int, alive: Mapping[str, Sequence[float]], order: Sequence[str]) -> list[Kill]:
    """The kills of a run. `alive`: class → the moments at which an undisturbed run had one; `order`: classes in turn.

    Every class is struck first equally often. Half of the runs have a second kill, of any class.
    """
    draws = random.Random(f"{seed} {run}")
    classes = [victim for victim in order if alive.get(victim)]
    first = classes[run % len(classes)]
    victims = [first, *draws.choices(classes, k=draws.randrange(MOST_KILLS))]
    kills = [Kill(victim, draws.choice(alive[victim]), draws.random()) for victim in victims]
    return sorted(kills, key=lambda kill: kill.at_s)
