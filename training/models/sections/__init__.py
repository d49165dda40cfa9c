"""The options of the model families, a file a family (pydantic only: `check` and `plan` read these without torch)."""
