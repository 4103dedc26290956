"""`Kaizen`: agents are made here, and the monitoring keys of its configuration, which it drops, are read first."""

from __future__ import annotations

from typing import Any

from kaizen_otel.invocations.create_agent import CreateAgentInvocation
from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of, mapping
from kaizen_otel.patches.llm_client import provider_named
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active


def apply(patcher: Patcher, module: Any) -> None:
    """Patch the framework class."""
    patcher.wrap(module.Kaizen, "__init__", init)
    patcher.wrap(module.Kaizen, "create_agent", create_agent)


SURFACE = Surface("kaizen.core.framework", apply)


def init(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Read the monitoring keys of `Kaizen(config={...})`."""
    telemetry = active()
    if telemetry is not None:
        with telemetry.fence("settings.kaizen_config"):
            config = args[0] if args else kwargs.get("config")
            if type(config) is dict:
                telemetry.settings_desk.apply_kaizen_config(config)
    return wrapped(*args, **kwargs)


def configured_provider(config: dict[Any, Any]) -> str | None:
    """The conventions' name of the provider that an agent's configuration names."""
    name = bounded_text(entry_of(config, "provider"))
    return provider_named(name) if name else None


def create_agent(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Watch an agent being made."""
    telemetry = active()
    if telemetry is None:
        return wrapped(*args, **kwargs)
    name = bounded_text(args[0] if args else kwargs.get("agent_id"))
    config = mapping(args[1] if len(args) > 1 else kwargs.get("config"))
    with telemetry.create_agent(
        lambda: CreateAgentInvocation(
            telemetry,
            current_scope(),
            agent_name=name,
            model=bounded_text(entry_of(config, "model")),
            provider=configured_provider(config),
        )
    ) as making:
        agent = wrapped(*args, **kwargs)
        made = bounded_text(attribute_of(agent, "agent_id"))
        making.observe(lambda making: making.made(made))
        if made is not None:
            with telemetry.fence("settings.agent_config"):
                telemetry.settings_desk.agent_created(made, config)
    return agent
