"""Where OTLP goes, as the variables say, and whether it arrives: each server once, each signal by itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from opentelemetry.util.re import parse_env_headers

from kaizen_otel.doctor import grpc_probe, http_probe
from kaizen_otel.doctor.findings import Finding, Level, Section, info
from kaizen_otel.doctor.reach import Target, check_way
from kaizen_otel.doctor.samples import sample_of
from kaizen_otel.doctor.variables import GRPC_NAMES, otlp_value
from kaizen_otel.outputs import otlp_wanted
from kaizen_processors.export.endpoint import OtlpEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kaizen_otel.settings import Settings

SIGNALS: Final = ("traces", "metrics", "logs")
_UNKNOWN_SIGNAL: Final = frozenset({404, "UNIMPLEMENTED"})
_GRPC_DEFAULT: Final = "http://localhost:4317"
_PORTS: Final = {"http": 80, "https": 443}
_GRPC_PORT: Final = 4317


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one signal goes.

    Attributes:
        endpoint: Its URL may hold secrets: `shown` is for people.
        variable: The variable that names it.
    """

    signal: str
    protocol: str
    endpoint: OtlpEndpoint
    target: Target
    variable: str

    @property
    def shown(self) -> str:
        """The URL without a login and without a query."""
        parts = urlsplit(self.endpoint.url)
        return f"{parts.scheme}://{self.target.where}{parts.path}"

    @property
    def server(self) -> tuple[str, Target]:
        """What destinations at one server have in common."""
        return self.protocol, self.target


def destinations(settings: Settings, env: Mapping[str, str]) -> list[Destination]:
    """Where each signal goes that leaves by OTLP; what names no usable endpoint is left out."""
    wanted = [signal for signal in SIGNALS if otlp_wanted(settings, signal.upper(), env)]
    if not settings.metrics:
        wanted = [signal for signal in wanted if signal != "metrics"]
    found = (_destination(signal, env) for signal in wanted)
    return [one for one in found if one is not None]


def check_destinations(found: Iterable[Destination], settings: Settings) -> list[Section]:
    """A section for each server: the way to it, then each signal."""
    servers: dict[tuple[str, Target], list[Destination]] = {}
    for one in found:
        servers.setdefault(one.server, []).append(one)
    return [_check(group, settings) for group in servers.values()]


def _destination(signal: str, env: Mapping[str, str]) -> Destination | None:
    upper = signal.upper()
    protocol = "grpc" if otlp_value(env, upper, "PROTOCOL")[0].lower() == "grpc" else "http/protobuf"
    url, variable = otlp_value(env, upper, "ENDPOINT")
    try:
        if protocol == "grpc":
            endpoint = _grpc_endpoint(upper, url or _GRPC_DEFAULT, env)
        else:
            endpoint = OtlpEndpoint.from_environment(signal, env)
        parts = urlsplit(endpoint.url)
        port = parts.port or (_GRPC_PORT if protocol == "grpc" else _PORTS[parts.scheme])
    except ValueError:
        return None  # said among the variables
    target = Target(
        parts.hostname or "",
        port,
        parts.scheme == "https",
        endpoint.certificate,
        endpoint.client_certificate,
        endpoint.client_key,
    )
    return Destination(signal, protocol, endpoint, target, variable)


def _grpc_endpoint(upper: str, url: str, env: Mapping[str, str]) -> OtlpEndpoint:
    """For gRPC an endpoint may come without a scheme; `…_INSECURE` decides then."""
    if url.startswith(GRPC_NAMES):
        raise ValueError(url)
    if "://" not in url:
        plain = otlp_value(env, upper, "INSECURE")[0].lower() == "true"
        url = f"{'http' if plain else 'https'}://{url}"
    endpoint = OtlpEndpoint(
        url=url,
        headers=parse_env_headers(otlp_value(env, upper, "HEADERS")[0], liberal=True),
        certificate=otlp_value(env, upper, "CERTIFICATE")[0] or None,
        client_certificate=otlp_value(env, upper, "CLIENT_CERTIFICATE")[0] or None,
        client_key=otlp_value(env, upper, "CLIENT_KEY")[0] or None,
    )
    try:
        return replace(endpoint, timeout_s=float(otlp_value(env, upper, "TIMEOUT")[0]))
    except ValueError:
        return endpoint


def _check(group: list[Destination], settings: Settings) -> Section:
    first = group[0]
    title = f"OTLP ({first.protocol}) to {'https' if first.target.tls else 'http'}://{first.target.where}"
    found: list[Finding] = []
    proxy = None if first.protocol == "grpc" else _proxy(first.endpoint.url)
    if proxy is not None:
        found.append(info("proxy", f"requests go through the proxy {proxy}", "NO_PROXY names hosts that need none."))
        parts = urlsplit(proxy)
        way, goes_on = check_way(Target(parts.hostname or "", parts.port or _PORTS["http"], tls=False), "the proxy")
        found += way
    else:
        way, goes_on = check_way(first.target, first.variable)
        found += way
    if goes_on:
        # All at once: a server that does not answer is waited for once.
        with ThreadPoolExecutor(len(group)) as pool:
            found += chain.from_iterable(pool.map(lambda one: list(_send(one, settings)), group))
    return Section(title, _not_taken(_once(found)))


def _send(destination: Destination, settings: Settings) -> Iterable[Finding]:
    sample = sample_of(destination.signal, settings.service_name)
    endpoint, target, variable = destination.endpoint, destination.target, destination.variable
    if destination.protocol == "grpc":
        yield grpc_probe.probe(target, sample, endpoint.headers, endpoint.timeout_s, variable)
        return
    answer = http_probe.ask(endpoint, sample)
    if isinstance(answer, Exception):
        yield http_probe.judge_failure(answer, sample, target, variable)
        return
    yield http_probe.judge(answer, sample, variable, destination.shown)
    if (clock := http_probe.judge_clock(answer)) is not None:
        yield clock


def _once(found: list[Finding]) -> list[Finding]:
    """The clock of one server is told once, after the signals."""
    clocks = [one for one in found if one.check == "clock"]
    return [one for one in found if one.check != "clock"] + clocks[:1]


def _not_taken(found: list[Finding]) -> list[Finding]:
    """A server that takes one signal and knows nothing of another is no mistake in its address."""
    if not any(one.level is Level.OK and one.check.startswith("otlp.") for one in found):
        return found
    return [_without(one) if _UNKNOWN_SIGNAL & set(one.facts.values()) else one for one in found]


def _without(found: Finding) -> Finding:
    signal = found.check.removeprefix("otlp.")
    remedy = f"It takes no {signal}: set OTEL_{signal.upper()}_EXPORTER=none, or name an endpoint for them alone."
    return replace(found, remedy=remedy)


def _proxy(url: str) -> str | None:
    """The proxy that requests to a URL go through, without its login."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    shown = urlsplit(proxy)
    return f"{shown.scheme or 'http'}://{shown.netloc.rpartition('@')[2]}"
