"""Word vectors: trained a row at a time by native loops, without a graph. What the trainer is to other families."""
