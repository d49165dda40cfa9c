"""Loops over Arrow buffers that numba compiles: no Python object per document, no GIL, integers only.

`column.py` is the interface (Arrow columns in, numpy arrays out). The other files hold one kernel each.
"""
