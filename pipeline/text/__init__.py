"""Definitions of code points, units, words, sentences and languages. All other packages use these definitions.

Imports no other package of the project but `pipeline.core`.
"""
