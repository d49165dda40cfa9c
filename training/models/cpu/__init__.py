"""Loops of a training step on a CPU that numba compiles: bf16 as 16-bit integers, sums in fp32, a range of rows a call.

`bf16.py`: numbers; `rows.py`: from tensors to loops, over threads; the other files one operation each, forward and
backward. What autograd sees of them is in `training/models/cpu_kernels.py` and `cpu_attention.py`.
"""
