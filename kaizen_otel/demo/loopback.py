"""Lets Kaizen talk to the local model server, in this process and for the length of a `with` block.

Kaizen refuses to connect to loopback addresses (its guard against server-side request forgery) and knows no setting for
the base URL of most providers. Only the demo and the tests may lift that, and only for themselves: nothing in
`kaizen_otel` outside `kaizen_otel.demo` imports this module.
"""

from __future__ import annotations

import ipaddress
import os
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_REDIRECTED = frozenset({"openai", "anthropic", "google", "gemini", "ollama"})

_KEYS: Mapping[str, str] = {
    "OPENAI_API_KEY": "sk-local-model-server",
    "ANTHROPIC_API_KEY": "sk-ant-local-model-server",
    "GOOGLE_API_KEY": "local-model-server",
}
_PATHS: Mapping[str, str] = {"OPENAI_BASE_URL": "/v1", "ANTHROPIC_BASE_URL": "", "OLLAMA_BASE_URL": ""}


@contextmanager
def lift_loopback_guard(base_url: str) -> Iterator[None]:
    """Let Kaizen connect to `base_url` (a loopback URL) and use it for OpenAI, Anthropic, Google and Ollama.

    A base URL that the application gives explicitly is kept. Keys and base URLs in the environment are replaced by
    harmless ones, so that no real key can leave the machine. On exit everything is put back: the very same objects,
    the very same environment.

    Raises:
        ValueError: `base_url` is no loopback URL: this is no way around Kaizen's guard.
    """
    if not _is_loopback(urlsplit(base_url).hostname or ""):
        raise ValueError(f"not a loopback URL: {base_url!r}")
    import kaizen.llm  # noqa: PLC0415 - importing us never imports Kaizen
    from kaizen.llm import deployment_resolver, http_client  # noqa: PLC0415

    redirected = _redirect(deployment_resolver.resolve_deployment_for, base_url)
    resolver = http_client.SafeDnsResolver
    with ExitStack() as undo:
        _replace(undo, resolver, "check_host", _allow_loopback(resolver.check_host))
        # Kaizen's own modules import the function when they call it, so the two names below are all there is.
        _replace(undo, deployment_resolver, "resolve_deployment_for", redirected)
        _replace(undo, kaizen.llm, "resolve_deployment_for", redirected)
        for name, value in {**_KEYS, **{name: base_url + path for name, path in _PATHS.items()}}.items():
            _set_environment(undo, name, value)
        yield


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _allow_loopback(check_host: Callable[[Any, str], None]) -> Callable[[Any, str], None]:
    @wraps(check_host)
    def check(resolver: Any, host: str) -> None:
        if not _is_loopback(host):
            check_host(resolver, host)

    return check


def _redirect(resolve: Callable[..., Any], to_url: str) -> Callable[..., Any]:
    @wraps(resolve)
    def resolve_deployment_for(provider: str, model: str, *, base_url: str | None = None, **options: Any) -> Any:
        if base_url is None and str(provider or "").strip().lower() in _REDIRECTED:
            base_url = to_url
        return resolve(provider, model, base_url=base_url, **options)

    return resolve_deployment_for


def _replace(undo: ExitStack, owner: Any, name: str, value: Any) -> None:
    original = owner.__dict__[name]
    undo.callback(setattr, owner, name, original)
    setattr(owner, name, value)


def _set_environment(undo: ExitStack, name: str, value: str) -> None:
    original = os.environ.get(name)
    if original is None:
        undo.callback(os.environ.pop, name, None)
    else:
        undo.callback(os.environ.__setitem__, name, original)
    os.environ[name] = value
