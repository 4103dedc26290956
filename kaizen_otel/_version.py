"""The version of kaizen-otel."""

__version__ = "0.1.0"
