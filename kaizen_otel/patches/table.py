"""The table of patched surfaces. A new surface is a new file and a line here."""

from __future__ import annotations

from kaizen_otel.patches import (
    agents,
    agents_context_fix,
    autonomous,
    builtin_tracing,
    context_fix,
    delegate,
    delegate_mcp,
    durable,
    framework,
    groups,
    judges,
    llm_client,
    mcp_clients,
    mcp_session,
    media_providers,
    mock_provider,
    nodes,
    own_runs,
    provider_classes,
    runtimes,
    stores,
    stream_adapters,
    streaming_agent,
    structured_clients,
    task_queues,
    tools,
    transparency,
    wire_protocols,
)
from kaizen_otel.patches.patcher import Patcher

SURFACES = (
    *context_fix.SURFACES,
    llm_client.SURFACE,
    *wire_protocols.SURFACES,
    mock_provider.SURFACE,
    *provider_classes.SURFACES,
    *runtimes.SURFACES,
    task_queues.SURFACE,
    *durable.SURFACES,
    nodes.SURFACE,
    *agents.SURFACES,
    framework.SURFACE,
    *tools.SURFACES,
    *mcp_clients.SURFACES,
    *mcp_session.SURFACES,
    *transparency.SURFACES,
    *stream_adapters.SURFACES,
    *delegate.SURFACES,
    delegate_mcp.SURFACE,
    *structured_clients.SURFACES,
    streaming_agent.SURFACE,
    autonomous.SURFACE,
    *groups.SURFACES,
    *stores.SURFACES,
    *judges.SURFACES,
    *media_providers.SURFACES,
    *own_runs.SURFACES,
    *agents_context_fix.SURFACES,
    builtin_tracing.SURFACE,
)

PATCHER = Patcher(SURFACES)
"""The patches of this process."""
