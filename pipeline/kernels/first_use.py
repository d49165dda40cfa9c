"""Reports that kernels are being compiled, to whoever asked for it in this thread. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

COMPILING = "compiling kernels (first use on this machine)"

_REPORT: ContextVar[Callable[[str], None] | None] = ContextVar("report", default=None)


@contextmanager
def reporting(report: Callable[[str], None]) -> Iterator[None]:
    """Pass a sentence to `report` when a kernel that the block calls is compiled, and another when that is done."""
    token = _REPORT.set(report)
    try:
        yield
    finally:
        _REPORT.reset(token)


@contextmanager
def compiling() -> Iterator[None]:
    """Around the compilation of a kernel."""
    report = _REPORT.get()
    if report is None:
        yield
        return
    report(COMPILING)
    started = monotonic()
    yield
    report(f"kernels compiled in {monotonic() - started:.0f} s")
