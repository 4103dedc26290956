"""Rules, prices and the Alertmanager: read as `instrument()` reads them, and asked whether it is there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kaizen_otel.doctor.findings import Finding, error, ok, warning
from kaizen_otel.doctor.reach import CONNECT_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.settings import Settings

_STATUS: Final = "/api/v2/status"
_VARIABLE: Final = "KAIZEN_OTEL_ALERTMANAGER_URL"
_ANSWER_TIMEOUT_S: Final = 5.0
_MAX_ANSWER_BYTES: Final = 256 * 1024
_OK: Final = 200
_NOT_FOUND: Final = 404
_REFUSED: Final = frozenset({401, 403})
_RAISES: Final = "Until then instrument() raises this error."


def check_alerting(settings: Settings) -> Iterator[Finding]:
    """Findings about what alerts and costs are made of."""
    yield from _prices(settings)
    yield from _rules(settings)
    if settings.alertmanager_url is not None and settings.alerting is not False:
        yield _alertmanager(settings.alertmanager_url)


def _prices(settings: Settings) -> Iterator[Finding]:
    if settings.price_file is None:
        return
    from kaizen_processors.pricing import PriceBook  # noqa: PLC0415 - it imports the YAML parser

    try:
        PriceBook.from_file(settings.price_file)
    except (ValueError, OSError) as refused:
        remedy = f"Correct the file, or name another one (KAIZEN_OTEL_PRICE_FILE; docs/pricing.md). {_RAISES}"
        yield error("prices", f"the prices cannot be used: {_flat(refused)}", remedy)
    else:
        yield ok("prices", f"the prices of {settings.price_file} can be used")


def _rules(settings: Settings) -> Iterator[Finding]:
    from kaizen_otel.alert_handlers import rules_wanted  # noqa: PLC0415 - loaded when used
    from kaizen_otel.rules import check_rules  # noqa: PLC0415 - loaded when used

    if not rules_wanted(settings):
        return
    try:
        count, unknown = check_rules(settings)
    except (ValueError, OSError) as refused:
        remedy = f"Correct what it names; `kaizen-otel rules FILE` reads a file of rules alone. {_RAISES}"
        yield error("rules", f"the rules for alerts cannot be used: {_flat(refused)}", remedy)
        return
    yield ok("rules", f"{count} rules and budgets for alerts can be used", count=count)
    if unknown:
        names = ", ".join(unknown)
        yield warning(
            "rules.channels",
            f"rules name channels that no setting describes: {names}",
            "instrument() raises an error unless register_alert_handler() has given handlers those names before.",
        )


def _flat(refused: Exception) -> str:
    """What it says without the picture of the place: the page breaks lines by itself."""
    lines = str(refused).splitlines()
    pointing = {number for number, line in enumerate(lines) if line.strip() and not line.strip(" ^")}
    return " ".join(line.strip() for number, line in enumerate(lines) if not {number, number + 1} & pointing)


def _alertmanager(address: str) -> Finding:
    parts = urlsplit(address)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
    name = "alertmanager"
    answer = _asked(f"{address.rstrip('/')}{_STATUS}")
    if isinstance(answer, Exception):
        remedy = f"Start it, or correct {_VARIABLE}: until then alerts are tried again for a while, and lost."
        return error(name, f"no Alertmanager answers at {shown} ({_reason(answer)})", remedy)
    status, body = answer
    if status in _REFUSED:
        remedy = "Describe it in notification_channels, with its `headers`: this setting knows no login."
        return error(name, f"the Alertmanager at {shown} wants a login (HTTP {status})", remedy, status=status)
    if status == _NOT_FOUND:
        remedy = f"Write the address under which its user interface opens, with its path, into {_VARIABLE}."
        return error(name, f"nothing at {shown} answers to {_STATUS} (HTTP {status})", remedy, status=status)
    if status != _OK:
        remedy = f"Look into its log, or correct {_VARIABLE}."
        return error(name, f"the Alertmanager at {shown} is not ready (HTTP {status})", remedy, status=status)
    version = _version_in(body)
    if version is None:
        remedy = f"Correct {_VARIABLE}: another server has that address."
        return error(name, f"what answers at {shown} is no Alertmanager", remedy, status=status)
    return ok(name, f"the Alertmanager {version} at {shown} answers", status=status, version=version)


def _asked(url: str) -> tuple[int, bytes] | Exception:
    import urllib3  # noqa: PLC0415 - 85 ms of import

    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    try:
        direct = not proxy or proxy_bypass(parts.netloc.rpartition("@")[2])
        pool = urllib3.PoolManager(num_pools=1) if direct else urllib3.ProxyManager(str(proxy))
        try:
            response: Any = pool.request(
                "GET",
                url,
                headers={"user-agent": "kaizen-otel"},
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=_ANSWER_TIMEOUT_S),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            body = response.read(_MAX_ANSWER_BYTES, decode_content=True)
            response.close()
            return response.status, body
        finally:
            pool.clear()
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as failed:
        return failed


def _reason(failed: Exception) -> str:
    """Why, without the address: it may hold a login."""
    cause = failed.__cause__ or failed.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return type(failed).__name__


def _version_in(body: bytes) -> str | None:
    """The version in the answer of an Alertmanager; None when it is of something else."""
    try:
        return str(json.loads(body)["versionInfo"]["version"])
    except (ValueError, KeyError, TypeError):
        return None
