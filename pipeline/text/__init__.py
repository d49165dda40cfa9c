"""Pure text knowledge: what a code point, a unit, a sentence and a language are. Imports nothing of ours above it.

Everything else asks here, so that no rule, shingle or metric has a definition of its own.
"""
