"""Native loops over Arrow's own buffers: no Python object per document, no GIL, integers only.

`column.py` is the door (Arrow columns in, numpy arrays out); the other files hold one kernel each.
"""
