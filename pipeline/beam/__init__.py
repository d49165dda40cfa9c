"""The only package that runs Apache Beam: `run` (tasks in, results out) and `shuffle` (regrouping through files)."""
