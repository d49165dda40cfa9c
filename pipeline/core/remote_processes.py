"""The door to processes on other hosts: what a data stage needs of a cluster, whatever engine starts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pipeline.core.files import JsonObject


class RemoteProcess(Protocol):
    """A process that was asked for; it may still wait for room."""

    def kill(self) -> None:
        """End it at once, wherever it is; `ended` may be called. Returns without waiting."""


class RemoteProcesses(Protocol):
    """Processes of one CPU each, on the nodes of a cluster, for the life of the stage that asked for them."""

    @property
    def host(self) -> str:
        """The address of this machine that the nodes reach."""

    def room(self) -> int:
        """How many processes the nodes that live have CPUs for."""

    def start(self, target: str, spec: JsonObject, ended: Callable[[str], None]) -> RemoteProcess:
        """Run `target(spec)`, "module:function", in a process of its own as soon as there is room; returns at once.

        `ended` is called from any thread when the function has returned (""), raised, or its process is gone: why.
        """
