"""Imports what every data stage needs, for a process that is about to be forked."""

from __future__ import annotations


def preload() -> None:
    """Beam, Arrow and numba with the code that uses them; not polars, which starts threads when it is imported."""
    import apache_beam
    import pyarrow.parquet

    import pipeline.beam.run
    import pipeline.beam.runner
    import pipeline.kernels.column

    assert apache_beam and pyarrow.parquet and pipeline.beam.runner and pipeline.kernels.column
