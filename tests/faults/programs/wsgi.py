"""A WSGI application that makes a span for each request, for `gunicorn tests.faults.programs.wsgi:application`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import TracerProvider

from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import QueueSpanProcessor, otlp_span_queue
from kaizen_processors.export.settings import DeliverySettings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

endpoint = OtlpEndpoint(f"{os.environ['BACKEND']}/v1/traces")
provider = TracerProvider()
provider.add_span_processor(QueueSpanProcessor(otlp_span_queue(endpoint, DeliverySettings(shutdown_s=30.0))))
tracer = provider.get_tracer("wsgi")
with tracer.start_as_current_span("loaded"):
    """Made by the master when it preloads, and by each worker when it does not."""


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Make a span that has the name of the path."""
    with tracer.start_as_current_span(environ["PATH_INFO"].removeprefix("/")):
        start_response("200 OK", [("content-length", "0")])
        return [b""]
