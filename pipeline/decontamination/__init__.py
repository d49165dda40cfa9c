"""Evaluation items in training text: which n-grams they share, and what is removed."""
