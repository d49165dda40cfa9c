"""Imports Beam without the libraries that it only uses where they are installed: half of the time, 0.5 CPU-seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.beam.beam_log import mute_import
from pipeline.core.absent_modules import absent

# data frames, and connectors to databases and clouds
UNUSED = ("pandas", "pymongo", "apache_beam.io.gcp.bigquery", "apache_beam.io.gcp.gcsfilesystem")


@contextmanager
def lean_import() -> Iterator[None]:
    """Around the first import of Beam in a process that runs the tasks of a step on this host."""
    mute_import()
    with absent(*UNUSED):
        yield
