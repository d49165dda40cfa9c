"""Tells whether a process of this machine is the one that was meant: process ids are used again."""

from __future__ import annotations

from pathlib import Path


def process_start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 if it does not exist. It tells reused process ids apart."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])
