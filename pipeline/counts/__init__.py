"""Co-occurrence: which words stand near which, counted over a whole corpus in bounded memory (README)."""
