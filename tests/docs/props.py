"""What the snippets of docs/ may take for granted: a name that they use and do not bind is made here, by that name."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = "gpt-4o-mini"


def agent() -> Any:
    """An agent, as `Kaizen().create_agent` makes it."""
    from kaizen import Kaizen

    return Kaizen().create_agent("Guide", {"provider": "openai", "model": MODEL})


def client() -> Any:
    """Kaizen's own client of a model."""
    from kaizen.llm import LlmClient, resolve_deployment_for

    return LlmClient.from_deployment_sync(resolve_deployment_for("openai", MODEL))


def provider() -> Any:
    """The application's tracer provider."""
    from opentelemetry.sdk.trace import TracerProvider

    return TracerProvider()


def runtime() -> Any:
    """A runtime of Kailash."""
    from kailash.runtime.local import LocalRuntime

    return LocalRuntime(enable_monitoring=False)


def handler() -> Any:
    """A handler of the application's logs."""
    import logging
    import sys

    made = logging.StreamHandler(sys.stdout)
    logging.getLogger("shop").addHandler(made)
    return made


PROPS: dict[str, Callable[[], Any]] = {made.__name__: made for made in (agent, client, handler, provider, runtime)}


def props_for(source: str) -> dict[str, Any]:
    """Make what a snippet needs, and nothing else."""
    used = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    bound = {node.id for node in used if isinstance(node.ctx, ast.Store)}
    return {name: PROPS[name]() for name in {node.id for node in used} - bound if name in PROPS}
