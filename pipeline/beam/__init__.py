"""The door to Apache Beam: `run` (a list of tasks in, a list of results out) and `shuffle` (regrouping by file)."""
