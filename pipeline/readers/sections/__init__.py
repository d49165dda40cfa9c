"""The sections of sources, one file for each family of readers."""
