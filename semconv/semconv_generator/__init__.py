"""Reads the registry, checks it, and writes constants, documents and the resolved model."""
