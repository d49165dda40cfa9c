"""Imports what every data stage needs, for a process that is about to be forked.

What is imported is never garbage: it is left out of every later collection. Compiling kernels allocates so much that a
fork would pass over the 170,000 objects of Beam hundreds of times, and copy their pages.
"""

from __future__ import annotations

import gc


def preload() -> None:
    """Beam, Arrow and numba with the code that uses them; not polars, which starts threads when it is imported."""
    import apache_beam
    import pyarrow.parquet

    import pipeline.beam.run
    import pipeline.beam.runner
    import pipeline.kernels.column
    from pipeline.kernels.compiler import load_target

    assert apache_beam and pyarrow.parquet and pipeline.beam.runner and pipeline.kernels.column
    load_target()
    gc.collect()
    gc.freeze()
