"""The errors that users see: where, what, and what to do next, in one sentence.

Every class takes one positional message, so instances can be pickled and sent through Ray and Beam.
BloomeryError (exit code 1: failed while working) > UserError (exit code 2: the input is wrong) > ConfigError.
Preempted (exit code 80) is no failure: the process was asked to end, and saved its work before it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class BloomeryError(Exception):
    """Something failed while working; the message says where, what, and what to do next."""

    exit_code = 1


class StageFailed(BloomeryError):
    """A stage could not finish; nothing it published is affected and the same command resumes it."""


class ProcessDied(StageFailed):
    """A process of a stage was killed or crashed in native code: the stage may go on from what is finished.

    `what`: that in a clause; `task`: what it was working on, where that is known.
    """

    def __init__(self, message: str, *, what: str = "", task: str = "") -> None:
        super().__init__(message)
        self.what, self.task = what, task


class Preempted(BloomeryError):
    """A process was asked to end (SIGTERM) and saved its work first; it goes on elsewhere, or with the same command."""

    exit_code = 80


class UserError(BloomeryError):
    """The user's input is wrong: a path, a flag, a parameter, a missing package."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One mistake in a configuration file."""

    file: str
    line: int | None
    path: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        key = f"{self.path}: " if self.path else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{where}: {key}{self.what}{hint}"


class ConfigError(UserError):
    """All mistakes of one configuration, one a line, reported together before any work."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> ConfigError:
        ordered = sorted(problems, key=lambda problem: (problem.line or 0, problem.path))
        return cls("\n".join(str(problem) for problem in ordered), ordered)
