"""Co-occurrence counts of words over a whole corpus, in bounded memory (README)."""
