"""Imports what every data stage needs, for a process that is about to be forked.

Beam, Arrow and numba load what else is installed and no stage of ours uses. It is left out, which halves the CPU time.
Code of users may need it, so stages with plug-ins have processes of their own (`cluster/step.py`).
What is imported is never garbage: it is left out of every later collection. Compiling kernels allocates so much that a
fork would pass over the 170,000 objects of Beam hundreds of times, and copy their pages.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.beam.lean_import import lean_import
from pipeline.core.absent_modules import absent
from pipeline.core.files import JsonObject
from pipeline.core.tables import leave_out_pandas


def preload() -> None:
    """Beam, Arrow and numba with the code that uses them; not polars, which starts threads when it is imported."""
    leave_out_pandas()
    with _kept(), lean_import():
        import apache_beam.runners.portability.fn_api_runner.fn_runner
        import pyarrow.parquet

        import pipeline.beam.run
        import pipeline.beam.transform
        import pipeline.kernels.column
        from pipeline.kernels.compiler import load_target

        assert apache_beam and pyarrow.parquet and pipeline.beam.transform and pipeline.kernels.column
        with absent("scipy.linalg"):  # numba looks for BLAS, which no kernel of ours uses
            load_target()


def preload_of(identity: JsonObject) -> None:
    """What this stage and a later one import: the encoder of a tokenizer that is trained here and then used."""
    if identity["stage"] == "tokenizer" and identity["params"].get("kind") == "bpe":
        with _kept():
            import pipeline.tokenizers.gigatoken_encoder

            assert pipeline.tokenizers.gigatoken_encoder


@contextmanager
def _kept() -> Iterator[None]:
    """What is imported within stays out of every later collection."""
    gc.disable()
    try:
        yield
        gc.collect()
        gc.freeze()
    finally:
        gc.enable()
