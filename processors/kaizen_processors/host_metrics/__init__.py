"""The metrics of all workers on one host as one: read from each, kept as bytes, added up exactly."""

from kaizen_processors.host_metrics.merging import merge, retire
from kaizen_processors.host_metrics.packing import PackedError, pack, unpack
from kaizen_processors.host_metrics.reading import Reading, read, to_metrics_data
from kaizen_processors.host_metrics.worker import WorkerMetrics

__all__ = ["PackedError", "Reading", "WorkerMetrics", "merge", "pack", "read", "retire", "to_metrics_data", "unpack"]
