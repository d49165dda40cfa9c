"""Semantic copies: documents whose vectors are alike, found within clusters of vectors."""
