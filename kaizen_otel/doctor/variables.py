"""The `OTEL_*` and `KAIZEN_OTEL_*` variables: unknown names, values that cannot be, and what contradicts itself."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from opentelemetry.util.re import parse_env_headers

from kaizen_otel.doctor.findings import Finding, error, info, ok, warning
from kaizen_otel.settings import Settings, SettingsError
from kaizen_otel.settings.sources import CONFIG_VARIABLE, PREFIX, PRESET_VARIABLE, VARIABLES
from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.grpc_endpoint import GrpcEndpoint
from kaizen_processors.spelling import closest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OTLP: Final = "OTEL_EXPORTER_OTLP_"
SIGNALS: Final = ("TRACES", "METRICS", "LOGS")
_GRPC_PORT: Final = 4317
_HTTP_PORT: Final = 4318
GRPC_NAMES: Final = ("unix:", "unix-abstract:", "dns:", "ipv4:", "ipv6:", "vsock:", "xds:")
"""How names begin that gRPC resolves by itself."""

_PROTOCOLS: Final = frozenset({"grpc", "http/protobuf"})
_FREE_PREFIXES: Final = ("OTEL_PYTHON_", "OTEL_INSTRUMENTATION_", "OTEL_EXPORTER_ZIPKIN_", "OTEL_EXPORTER_JAEGER_")
_LONGEST_TIMEOUT_S: Final = 300.0
_LIKE: Final = 0.8
"""How alike two names must be for one to be taken as the other with a slip."""

_OURS: Final = frozenset({*VARIABLES, CONFIG_VARIABLE, PRESET_VARIABLE})


def known_variables() -> frozenset[str]:
    """Names that OpenTelemetry's own packages read, as those that are installed say."""
    from opentelemetry import environment_variables as api  # noqa: PLC0415 - loaded when used
    from opentelemetry.instrumentation import environment_variables as instrumentation  # noqa: PLC0415 - same
    from opentelemetry.sdk import environment_variables as sdk  # noqa: PLC0415 - same

    named = {name for module in (api, sdk, instrumentation) for name in vars(module) if name.startswith("OTEL_")}
    return frozenset(named | {"OTEL_ENTITIES", "OTEL_SEMCONV_STABILITY_OPT_IN"})


def check_variables(env: Mapping[str, str]) -> tuple[list[Finding], dict[str, str]]:
    """The findings, and the environment without the `KAIZEN_OTEL_*` variables that cannot be used."""
    found: list[Finding] = []
    usable = dict(env)
    for name in sorted(env):
        problem = _own(name, env[name]) if name.startswith(PREFIX) else _official(name)
        if problem is not None:
            found.append(problem)
            if name.startswith(PREFIX):
                del usable[name]
    found += _contradictions(env)
    read = sum(1 for name in env if name.startswith(("OTEL_", PREFIX)) and env[name].strip())
    if not found:
        found = [ok("variables", f"{read} understood" if read else "none is set")]
    return found, usable


def otlp_value(env: Mapping[str, str], signal: str, name: str) -> tuple[str, str]:
    """What holds for a signal (the value, stripped), and the variable that says so: its own, or the general one."""
    own = f"{OTLP}{signal}_{name}"
    text = env.get(own, "").strip()
    return (text, own) if text else (env.get(OTLP + name, "").strip(), OTLP + name)


def secrets_in(env: Mapping[str, str]) -> Iterator[str]:
    """Texts in the environment that must not be shown: values of headers, and what stands in URLs for a login."""
    for name, value in env.items():
        if name.startswith(OTLP) and name.endswith("HEADERS"):
            for pair in value.split(","):
                held = pair.partition("=")[2] or pair
                for text in (held.strip(), unquote(held.strip())):
                    yield text
                    yield text.rpartition(" ")[2]  # a token without its scheme
        elif name.upper().endswith(("ENDPOINT", "_PROXY")):
            yield from _secrets_of(value.strip())


def _secrets_of(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        for text in (parts.password, parts.query):
            if text:
                yield text
                yield unquote(text)
        if parts.query:
            yield from (pair.partition("=")[2] for pair in parts.query.split("&"))
    except ValueError:
        return


def _own(name: str, value: str) -> Finding | None:
    if name not in _OURS:
        return _unknown(name, _OURS, fatal=True)
    try:
        Settings.load(env={name: value})
    except SettingsError as refused:
        return error("variables.value", str(refused).removeprefix("environment variable "), "instrument() refuses it.")
    return None


def _unknown(name: str, known: frozenset[str], *, fatal: bool) -> Finding:
    """A name that nobody reads; ours keep `instrument()` from starting."""
    close = closest(name, known, like=_LIKE)
    whose = "kaizen-otel" if fatal else "OpenTelemetry"
    message = f"{name} is no variable of {whose}"
    remedy = f"Did you mean {close}?" if close else "Remove it, or correct its name."
    if fatal:
        return error("variables.unknown", f"{message}: instrument() refuses it", remedy, variable=name)
    return warning("variables.unknown", f"{message}: nothing reads it", remedy, variable=name)


def _official(name: str) -> Finding | None:
    if not name.startswith("OTEL_") or name.startswith(_FREE_PREFIXES):
        return None
    known = known_variables()
    return None if name in known else _unknown(name, known, fatal=False)


def _contradictions(env: Mapping[str, str]) -> Iterator[Finding]:
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield warning(
            "variables.disabled", "OTEL_SDK_DISABLED=true: nothing is recorded", "Unset it to have telemetry again."
        )
    yield from _sampler(env)
    told: set[tuple[str, ...]] = set()
    for signal in SIGNALS:
        for found in (*_endpoint(env, signal), *_exporter(env, signal), *_transport(env, signal)):
            if (key := (found.check, found.message)) not in told:
                told.add(key)
                yield found


def _sampler(env: Mapping[str, str]) -> Iterator[Finding]:
    sampler, part = env.get("OTEL_TRACES_SAMPLER", "").strip(), env.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    if sampler.endswith("always_off"):
        remedy = "Unset it to have spans; tokens and dollars are counted all the same."
        yield warning("variables.sampler", f"OTEL_TRACES_SAMPLER={sampler}: no span is recorded", remedy)
    elif sampler.endswith("traceidratio") and not _is_ratio(part):
        yield warning(
            "variables.sampler",
            f"OTEL_TRACES_SAMPLER_ARG={part!r} is no part of 1"
            if part
            else f"{sampler} without OTEL_TRACES_SAMPLER_ARG",
            "Give a number from 0 to 1, such as 0.1; without one, every trace is sampled.",
        )


def _is_ratio(text: str) -> bool:
    try:
        return 0.0 <= float(text) <= 1.0
    except ValueError:
        return False


def _endpoint(env: Mapping[str, str], signal: str) -> Iterator[Finding]:
    url, variable = otlp_value(env, signal, "ENDPOINT")
    if not url:
        return
    protocol = otlp_value(env, signal, "PROTOCOL")[0].lower() or "http/protobuf"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        yield error("variables.endpoint", f"{variable} is no URL", "Write it like http://collector:4318.")
        return
    path = parts.path.rstrip("/")
    if protocol == "grpc":
        yield from _grpc_endpoint(url, variable, port, path)
        return
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield error(
            "variables.endpoint",
            f"{variable} is no http(s) URL",
            "Write it like http://collector:4318, scheme included.",
        )
        return
    if port == _GRPC_PORT:
        remedy = f"HTTP's port is usually {_HTTP_PORT}; or set {OTLP}PROTOCOL=grpc."
        yield warning("variables.port", f"{variable} names port {_GRPC_PORT}, and the protocol is {protocol}", remedy)
    yield from _path(variable, signal, path)


def _grpc_endpoint(url: str, variable: str, port: int | None, path: str) -> Iterator[Finding]:
    if url.startswith(GRPC_NAMES):
        yield info("variables.endpoint", f"{variable} is a name of gRPC's own; doctor knows hosts and URLs only")
        return
    if port == _HTTP_PORT:
        remedy = f"gRPC's port is usually {_GRPC_PORT}; or set {OTLP}PROTOCOL=http/protobuf."
        yield warning("variables.port", f"{variable} names port {_HTTP_PORT}, and the protocol is grpc", remedy)
    if path and "://" in url:
        remedy = f"Leave {path} away, or set {OTLP}PROTOCOL=http/protobuf."
        yield warning("variables.path", f"{variable} has a path, which gRPC does not use", remedy)


def _path(variable: str, signal: str, path: str) -> Iterator[Finding]:
    if variable == f"{OTLP}ENDPOINT" and path.endswith(("/v1/traces", "/v1/logs", "/v1/metrics")):
        remedy = f"Leave {path[path.rindex('/v1/') :]} away: it is added for each signal."
        yield warning("variables.path", f"{variable} ends in the path of one signal", remedy)
    if variable != f"{OTLP}ENDPOINT" and not path:
        remedy = f"It is used as it is: write it with /v1/{signal.lower()}."
        yield warning("variables.path", f"{variable} has no path", remedy)


def _exporter(env: Mapping[str, str], signal: str) -> Iterator[Finding]:
    name = f"OTEL_{signal}_EXPORTER"
    asked = {word.strip() for word in env.get(name, "").lower().split(",") if word.strip()}
    if not asked:
        return
    url, variable = otlp_value(env, signal, "ENDPOINT")
    known = _exporters(signal)
    for word in sorted(asked - known):
        near = closest(word, known)
        remedy = f"{f'Did you mean {near}? ' if near else ''}Known here: {', '.join(sorted(known))}."
        yield warning("variables.exporter", f"{name}={word}: there is no such exporter", remedy)
    if "otlp" not in asked and url:
        yield info("variables.exporter", f"{name}={env[name].strip()}: {signal.lower()} do not go to {variable}")


def _exporters(signal: str) -> frozenset[str]:
    """Names that the specification knows, and those of what is installed."""
    installed = entry_points(group=f"opentelemetry_{signal.lower()}_exporter")
    return frozenset({"otlp", "console", "none"} | {one.name for one in installed})


def _transport(env: Mapping[str, str], signal: str) -> Iterator[Finding]:
    protocol, variable = otlp_value(env, signal, "PROTOCOL")
    if protocol and protocol.lower() not in _PROTOCOLS:
        remedy = f"Write {' or '.join(sorted(_PROTOCOLS))}."
        yield warning("variables.protocol", f"{variable}={protocol}: taken as http/protobuf", remedy)
    compression, variable = otlp_value(env, signal, "COMPRESSION")
    if compression and compression.lower() not in {"gzip", "none", "deflate", "zstd"}:
        yield warning("variables.compression", f"{variable}={compression} is unknown", "Write gzip or none.")
    timeout, variable = otlp_value(env, signal, "TIMEOUT")
    if timeout:
        yield from _timeout(timeout, variable)
    for name in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"):
        path, variable = otlp_value(env, signal, name)
        if path and not Path(path).is_file():
            yield error("variables.file", f"{variable}: there is no file {path}", "Correct the path.")
        if path and otlp_value(env, signal, "ENDPOINT")[0].startswith("http://"):
            yield warning(
                "variables.plain",
                f"{variable} is set, and the endpoint is http://",
                "Write https:// in the endpoint: as it is, nothing is encrypted and nobody is verified.",
            )
    yield from _headers(env, signal, protocol.lower())


def _headers(env: Mapping[str, str], signal: str, protocol: str) -> Iterator[Finding]:
    headers, variable = otlp_value(env, signal, "HEADERS")
    if headers and not all("=" in pair for pair in headers.split(",") if pair.strip()):
        remedy = "Write them as name=value,name=value; a comma or space in a value as %2C, %20."
        yield error("variables.headers", f"{variable} holds a pair without “=”", remedy)
    elif headers:
        try:
            if protocol == "grpc":
                GrpcEndpoint("doctor", insecure=True, headers=parse_env_headers(headers, liberal=True))
            else:
                OtlpEndpoint("http://doctor", headers=parse_env_headers(headers, liberal=True))
        except ValueError as refused:
            yield error("variables.headers", f"{variable}: {refused}", "Correct it: the application does not start so.")


def _timeout(text: str, variable: str) -> Iterator[Finding]:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        yield error("variables.timeout", f"{variable}={text} is no time", "Write seconds, such as 10.")
    elif seconds > _LONGEST_TIMEOUT_S:
        remedy = "OpenTelemetry's Python takes seconds, not milliseconds: write 10 for ten seconds."
        yield warning("variables.timeout", f"{variable}={text} is {seconds / 60:.0f} minutes", remedy)
