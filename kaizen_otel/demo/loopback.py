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
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_REDIRECTED = ("openai_preset", "anthropic_preset", "google_preset")  # Ollama reads its URL from the environment

_KEYS: Mapping[str, str] = {
    "OPENAI_API_KEY": "sk-local-model-server",
    "ANTHROPIC_API_KEY": "sk-ant-local-model-server",
    "GOOGLE_API_KEY": "local-model-server",
}
_PATHS: Mapping[str, str] = {
    "OPENAI_BASE_URL": "/v1",
    "ANTHROPIC_BASE_URL": "",
    "OLLAMA_BASE_URL": "",
    "GOOGLE_GEMINI_BASE_URL": "",  # google-genai's own name, for kaizen_agents
}


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
    with ExitStack() as undo:
        if find_spec("kaizen.llm.presets") is not None:  # before 2.10 the vendors' SDKs read the environment
            _redirect(undo, base_url)
        for name, value in {**_KEYS, **{name: base_url + path for name, path in _PATHS.items()}}.items():
            _set_environment(undo, name, value)
        yield


def _redirect(undo: ExitStack, base_url: str) -> None:
    from kaizen.llm import http_client, presets  # noqa: PLC0415 - importing us never imports Kaizen

    resolver = http_client.SafeDnsResolver
    undo.callback(setattr, resolver, "check_host", resolver.__dict__["check_host"])
    resolver.check_host = _allow_loopback(resolver.check_host)
    for name in _REDIRECTED:
        # The default of the presets, and not a function that calls them: applications import those by name.
        preset = getattr(presets, name)
        undo.callback(setattr, preset, "__kwdefaults__", preset.__kwdefaults__)
        preset.__kwdefaults__ = {**preset.__kwdefaults__, "base_url": base_url}


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


def _set_environment(undo: ExitStack, name: str, value: str) -> None:
    original = os.environ.get(name)
    if original is None:
        undo.callback(os.environ.pop, name, None)
    else:
        undo.callback(os.environ.__setitem__, name, original)
    os.environ[name] = value
