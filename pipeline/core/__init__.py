"""The base that every other package imports. It imports neither torch, nor Beam, nor Ray."""
