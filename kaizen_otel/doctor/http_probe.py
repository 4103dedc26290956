"""One OTLP/HTTP request, and what its answer means for people."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.doctor.findings import Finding, error, ok, warning
from kaizen_otel.doctor.reach import CONNECT_TIMEOUT_S, Target, speaks_http2, speaks_tls
from kaizen_otel.doctor.samples import RESPONSES, WHAT, Sample, partial_success
from kaizen_processors.export.batch import compress
from kaizen_processors.export.figures import printable
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_processors.export.endpoint import OtlpEndpoint

_MAX_ANSWER_BYTES: Final = 64 * 1024
_SHOWN_CHARACTERS: Final = 120
_ANSWER_TIMEOUT_S: Final = 10.0
_SKEW_S: Final = 10.0
"""Clocks that differ by less are no trouble: `Date` has whole seconds, and the answer took its time."""

_TAG: Final = re.compile(r"<[^>]*>")
_OK: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_SERVER_ERRORS: Final = range(500, 600)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whatever it says."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    began_s: float
    ended_s: float

    @property
    def text(self) -> str:
        """The beginning of what it says, in one line."""
        plain = _TAG.sub(" ", self.body[:4_096].decode("utf-8", "replace"))
        return printable(" ".join(plain.split()), _SHOWN_CHARACTERS)

    @property
    def content_type(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def ask(endpoint: OtlpEndpoint, sample: Sample) -> Answer | Exception:
    """Send a sample as the exporter would; the exception is what kept it from being answered."""
    from urllib3 import Timeout  # noqa: PLC0415 - 85 ms of import
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - same

    from kaizen_processors.export.connections import pool_for  # noqa: PLC0415 - same

    headers = {key.lower(): value for key, value in endpoint.headers.items()}
    headers |= {"user-agent": "kaizen-otel", "content-type": "application/x-protobuf"}
    if endpoint.compression:
        headers["content-encoding"] = endpoint.compression
    pool = pool_for(endpoint)
    began_s = time.time()
    try:
        response: Any = pool.request(
            "POST",
            endpoint.url,
            body=compress(sample.request.SerializeToString(), endpoint.compression),
            headers=headers,
            timeout=Timeout(connect=CONNECT_TIMEOUT_S, read=min(endpoint.timeout_s, _ANSWER_TIMEOUT_S)),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        body = response.read(_MAX_ANSWER_BYTES, decode_content=True)
        response.close()
        given = {key.lower(): value for key, value in response.headers.items()}
        return Answer(response.status, given, body, began_s, time.time())
    except (HTTPError, OSError, ValueError) as failed:
        return failed
    finally:
        pool.clear()


def judge(answer: Answer, sample: Sample, variable: str, url: str) -> Finding:
    """What an answer means. `variable` names the endpoint, `url` is it, without secrets."""
    check, signal = f"otlp.{sample.signal}", sample.signal
    if answer.status in _OK:
        return _taken(answer, sample, variable, url)
    told = f"{signal}: HTTP {answer.status} from {url}" + (f" (“{answer.text}”)" if answer.text else "")
    remedy = _remedy(answer, variable)
    facts = {"status": answer.status}
    if answer.status in {429, 503}:
        return warning(check, f"{told}: there, but too busy now", "It is tried again; ask again in a minute.", **facts)
    return error(check, told, remedy, **facts)


def judge_failure(failed: Exception, sample: Sample, target: Target, variable: str) -> Finding:
    """What it means that no answer came, although the address accepts connections."""
    from urllib3.exceptions import ProxyError, ReadTimeoutError, SSLError  # noqa: PLC0415 - see ask

    check, signal = f"otlp.{sample.signal}", sample.signal
    if isinstance(failed, ProxyError):
        remedy = "Check HTTP_PROXY and HTTPS_PROXY; name hosts that need none in NO_PROXY."
        return error(check, f"{signal}: the proxy does not connect us ({type_name(failed)})", remedy)
    if isinstance(failed, SSLError):
        # Only behind a proxy: without one the handshake has been looked at before.
        remedy = "A proxy may read along with a certificate of its own: name the file of its authority's certificate in"
        why = printable(str(failed.args[0] if failed.args else failed), _SHOWN_CHARACTERS)
        message = f"{signal}: TLS with {target.where} fails behind the proxy ({why})"
        return error(check, message, f"{remedy} OTEL_EXPORTER_OTLP_CERTIFICATE.")
    if isinstance(failed, ReadTimeoutError | TimeoutError):
        remedy = "Is it an OTLP receiver? Look into its log; a Collector that is stuck is restarted."
        return error(check, f"{signal}: {target.where} accepts the request and does not answer", remedy)
    if not target.tls and speaks_tls(target):
        remedy = f"Write https:// instead of http:// in {variable}."
        return error(check, f"{signal}: {target.where} speaks TLS, and the endpoint is http://", remedy)
    if speaks_http2(target):
        remedy = "Set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or take the receiver's port for HTTP (usually 4318)."
        return error(check, f"{signal}: {target.where} speaks gRPC, and the protocol is http/protobuf", remedy)
    remedy = f"Is it an OTLP receiver? Check host and port in {variable}."
    return error(check, f"{signal}: {target.where} does not answer in HTTP ({type_name(failed)})", remedy)


def judge_clock(answer: Answer) -> Finding | None:
    """How far the server's clock is from ours, as its `Date` says; None when it says nothing of use."""
    try:
        theirs = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError, TypeError):
        return None
    theirs = theirs if theirs.tzinfo is not None else theirs.replace(tzinfo=UTC)
    # `Date` is cut to whole seconds: half of one is the best guess.
    ahead_s = theirs.timestamp() + 0.5 - (answer.began_s + answer.ended_s) / 2
    if abs(ahead_s) < _SKEW_S:
        return ok("clock", "clocks agree, within seconds", ahead_s=round(ahead_s, 1))
    message = f"the server's clock is {_span_of(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} ours"
    remedy = "Set the clocks by NTP: spans appear at the wrong time, or are refused as too old or from the future."
    return warning("clock", message, remedy, ahead_s=round(ahead_s, 1))


def _taken(answer: Answer, sample: Sample, variable: str, url: str) -> Finding:
    check, signal, what = f"otlp.{sample.signal}", sample.signal, WHAT[sample.signal]
    if answer.content_type in {"text/html", "application/xhtml+xml"}:
        remedy = f"Name the address of the OTLP receiver in {variable}, not of a user interface or a login page."
        return error(check, f"{signal}: HTTP {answer.status}, but a web page: {url} is no OTLP receiver", remedy)
    ms = round((answer.ended_s - answer.began_s) * 1_000)
    facts = {"status": answer.status, "duration_ms": ms, "trace_id": sample.trace_id}
    found = f", trace {sample.trace_id}" if signal == "traces" else ""
    if answer.body and answer.content_type not in {"application/json", "application/x-protobuf", ""}:
        remedy = "It may be something else that takes any request: see whether the span arrived."
        return warning(
            check, f"{signal}: HTTP {answer.status}, but the answer is not OTLP (“{answer.text}”)", remedy, **facts
        )
    said = _partial(answer, sample.signal)
    if said is not None and said.rejected:
        why = printable(said.message, _SHOWN_CHARACTERS) or "no reason given"
        remedy = "The backend takes requests and refuses what is in them: its message says why."
        return error(check, f"{signal}: {what} was rejected (partial success): “{why}”", remedy, **facts)
    if said is not None and said.message:
        why = printable(said.message, _SHOWN_CHARACTERS)
        return warning(check, f"{signal}: {what} was taken, with a warning: “{why}”", "See what it says.", **facts)
    return ok(check, f"{signal}: {what} was taken ({ms} ms{found})", **facts)


def _partial(answer: Answer, signal: str) -> Any:
    from google.protobuf.json_format import Parse, ParseError  # noqa: PLC0415 - 20 ms
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - same

    try:
        if answer.content_type == "application/json":
            return partial_success(signal, Parse(answer.body, RESPONSES[signal](), ignore_unknown_fields=True))
        return partial_success(signal, RESPONSES[signal].FromString(answer.body))
    except (DecodeError, ParseError):
        return None


def _remedy(answer: Answer, variable: str) -> str:
    status = answer.status
    if "https" in answer.text.lower() and status == 400:  # noqa: PLR2004 - Go's servers say it so
        return f"It speaks TLS: write https:// instead of http:// in {variable}."
    if status in _REDIRECTS:
        return f"No redirect is followed, credentials go nowhere else: put the last address into {variable}."
    if status in _SERVER_ERRORS:
        return "The backend itself fails: look into its log. It is tried again meanwhile."
    return {
        400: "The backend does not understand the request: is it an OTLP receiver of version 1?",
        401: "Set OTEL_EXPORTER_OTLP_HEADERS to what it wants, such as authorization=Bearer%20<token>.",
        403: "The credentials in OTEL_EXPORTER_OTLP_HEADERS are known and not enough: check token and tenant.",
        404: f"Nothing takes OTLP there. Receivers listen at /v1/traces, /v1/metrics, /v1/logs: check {variable}.",
        405: f"Nothing takes OTLP there. Receivers listen at /v1/traces, /v1/metrics, /v1/logs: check {variable}.",
        407: "The proxy wants a login: put it into HTTP_PROXY or HTTPS_PROXY.",
        415: "It does not take binary protobuf: is it the receiver for OTLP/HTTP?",
    }.get(status, f"Check {variable}, and the log of the backend.")


def _span_of(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
