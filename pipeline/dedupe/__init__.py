"""Which documents are copies of others, and which copy stays. Pure functions over columns and arrays; no Beam here."""

from pipeline.core.registry import Registry

METHODS = Registry(
    "method",
    {
        "exact": "pipeline.dedupe.exact:Exact",
        "normalized": "pipeline.dedupe.normalized:Normalized",
        "minhash": "pipeline.dedupe.minhash:MinHash",
    },
)
