"""Slots of the clients of MCP servers, and of the SDK's session below them. A tool call's are in `tool_slots`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()
CLIENT = "kailash_mcp.client:MCPClient"
CONNECTION = "kailash.middleware.mcp.client_integration:MCPServerConnection"
DELEGATES = "kaizen_agents.delegate.mcp:McpClient"
SESSION = "mcp.shared.session:BaseSession"
NOBODY = "http://127.0.0.1:9/sse"


def _lent(stage: Stage, method: str, ask: Callable[[], Any], *args: Any) -> Any:
    """A method of the client with a session whose own method does what `ask` says."""
    from kailash_mcp.client import MCPClient

    async def asked(**_: Any) -> Any:
        return ask()

    return stage.run(getattr(MCPClient(), method)(SimpleNamespace(**{method: asked}), *args))


# -- the client of kailash ----------------------------------------------------------------------------------------


@SLOTS.add(f"{CLIENT}.discover_tools")
def discovery_server(stage: Stage) -> Any:
    from tests.hostile import fakes

    return stage.run(fakes.McpThatAnswers(lambda: None).discover_tools({"transport": stage.value, "url": stage.value}))


@SLOTS.add(f"{CLIENT}.discover_tools")
def discovery_url(stage: Stage) -> Any:
    from tests.hostile import fakes

    return stage.run(fakes.McpThatAnswers(lambda: None).discover_tools({"transport": "nothing", "url": stage.value}))


class _Unreadable:
    """A configuration that raises, whatever is read of it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        return self._stage.throw()

    def __getitem__(self, name: str) -> Any:
        return self._stage.throw()


def _discovered(stage: Stage, transport: str) -> Any:
    """What connects by one transport, in the scope of a client."""
    from kailash_mcp.client import MCPClient

    discover = getattr(MCPClient(), f"_discover_tools_{transport}")
    return stage.run(_inside(lambda: discover(_Unreadable(stage), None)))


@SLOTS.add(f"{CLIENT}._discover_tools_stdio", takes="error")
def discovery_stdio(stage: Stage) -> Any:
    return _discovered(stage, "stdio")


@SLOTS.add(f"{CLIENT}._discover_tools_sse", takes="error")
def discovery_sse(stage: Stage) -> Any:
    return _discovered(stage, "sse")


@SLOTS.add(f"{CLIENT}._discover_tools_http", takes="error")
def discovery_http(stage: Stage) -> Any:
    return _discovered(stage, "http")


@SLOTS.add(f"{CLIENT}._discover_tools_websocket", takes="error")
def discovery_websocket(stage: Stage) -> Any:
    return _discovered(stage, "websocket")


@SLOTS.add(f"{CLIENT}.read_resource_simple")
def own_resource_uri(stage: Stage) -> Any:
    from kailash_mcp.client import MCPClient

    return stage.run(MCPClient(config={"command": "not-a-server"}).read_resource_simple(stage.value))


@SLOTS.add(f"{CLIENT}.list_resources")
def listed_resources(stage: Stage) -> Any:
    return _lent(stage, "list_resources", stage.give)


@SLOTS.add(f"{CLIENT}.read_resource")
def read_resource(stage: Stage) -> Any:
    return _lent(stage, "read_resource", stage.give, "notes://today")


@SLOTS.add(f"{CLIENT}.read_resource", takes="error")
def read_resource_raises(stage: Stage) -> Any:
    return _lent(stage, "read_resource", stage.throw, "notes://today")


@SLOTS.add(f"{CLIENT}.list_prompts")
def listed_prompts(stage: Stage) -> Any:
    return _lent(stage, "list_prompts", stage.give)


@SLOTS.add(f"{CLIENT}.get_prompt")
def prompt_answer(stage: Stage) -> Any:
    return _lent(stage, "get_prompt", stage.give, "greet", {})


@SLOTS.add(f"{CLIENT}.get_prompt")
def prompt_name(stage: Stage) -> Any:
    return _lent(stage, "get_prompt", lambda: SimpleNamespace(messages=[]), stage.value, stage.value)


@SLOTS.add("kaizen.core.mcp_mixin:MCPMixin._with_mcp_session")
def session_server(stage: Stage) -> Any:
    from kaizen.core.mcp_mixin import MCPMixin

    async def method(_: Any) -> Any:
        return None

    return stage.run(MCPMixin()._with_mcp_session({"transport": stage.value, "url": stage.value}, method))


# -- the middleware, and the node ---------------------------------------------------------------------------------


def _connection(ask: Callable[[], Any], **config: Any) -> Any:
    from kailash.middleware.mcp.client_integration import MCPServerConnection

    async def asked(*_: Any) -> Any:
        return ask()

    connection = MCPServerConnection("echo", config, SimpleNamespace(event_stream=None))
    connection.connected = True
    connection.available_tools = {"echo": {}}
    connection._session = SimpleNamespace(call_tool=asked, read_resource=asked, send_ping=asked)
    return connection


@SLOTS.add(f"{CONNECTION}.call_tool")
def connected_answer(stage: Stage) -> Any:
    return stage.run(_connection(lambda: SimpleNamespace(content=[], isError=stage.give())).call_tool("echo", {}))


@SLOTS.add(f"{CONNECTION}.call_tool")
def connected_call(stage: Stage) -> Any:
    return stage.run(_connection(stage.give, transport=stage.value, url=stage.value).call_tool("echo", stage.value))


@SLOTS.add(f"{CONNECTION}.call_tool", takes="error")
def connected_call_raises(stage: Stage) -> Any:
    return stage.run(_connection(stage.throw).call_tool("echo", {}))


@SLOTS.add(f"{CONNECTION}.get_resource")
def connected_resource(stage: Stage) -> Any:
    return stage.run(_connection(stage.give).get_resource(stage.value))


@SLOTS.add(f"{CONNECTION}.ping")
def connected_ping(stage: Stage) -> Any:
    return stage.run(_connection(stage.give).ping())


@SLOTS.add(f"{CONNECTION}.connect")
def connection_config(stage: Stage) -> Any:
    def given() -> Any:
        return stage.value

    connection = _connection(given)
    connection.connection_config = SimpleNamespace(get=lambda *_: stage.give())
    return stage.run(connection.connect())


def _entering(stage: Stage, enter: Callable[[], Any]) -> Any:
    class Opened:
        async def __aenter__(self) -> Any:
            return enter()

    return stage.run(_inside(lambda: _connection(lambda: None)._enter_cm(Opened())))


@SLOTS.add(f"{CONNECTION}._enter_cm")
def connection_opened(stage: Stage) -> Any:
    return _entering(stage, stage.give)


@SLOTS.add(f"{CONNECTION}._enter_cm", takes="error")
def connection_that_does_not_open(stage: Stage) -> Any:
    return _entering(stage, stage.throw)


@SLOTS.add("kailash.nodes.enterprise.mcp_executor:_execute_mcp_tool")
def executed_params(stage: Stage) -> Any:
    from kailash.nodes.enterprise import mcp_executor

    return stage.run(mcp_executor._execute_mcp_tool(NOBODY, stage.value, stage.value))


# -- the SDK's session --------------------------------------------------------------------------------------------


async def _inside(ask: Callable[[], Awaitable[Any]]) -> Any:
    """What `ask` makes, awaited where a client of Kailash's makes its requests."""
    from kaizen_otel.invocations.mcp import McpServer
    from kaizen_otel.patches.mcp_session import within

    return await within(_asked(ask), McpServer("pipe"))


async def _asked(ask: Callable[[], Awaitable[Any]]) -> Any:
    return await ask()


def _session(answer: Callable[[], Any]) -> Any:
    """A session whose server answers at once: `answer` makes the result that the SDK would have read."""
    from mcp import ClientSession, types

    async def send(_: Any) -> None:
        response = types.JSONRPCResponse(jsonrpc="2.0", id=0, result={})
        await session._response_streams[0].send(response)

    read: Any = SimpleNamespace()
    write: Any = SimpleNamespace(send=send)
    session = ClientSession(read, write)
    return session, SimpleNamespace(model_validate=lambda _: answer())


def _initialize() -> Any:
    from mcp import types

    info = types.Implementation(name="x", version="1")
    params = types.InitializeRequestParams(
        protocolVersion="1", capabilities=types.ClientCapabilities(), clientInfo=info
    )
    return types.ClientRequest(types.InitializeRequest(params=params))


def _request(stage: Stage, root: Any) -> Any:
    """A request that says in its JSON what it should, and is odd else."""

    def dump(**_: Any) -> Any:
        stage.give()
        return {"method": "ping"}

    return SimpleNamespace(root=root, model_dump=dump)


@SLOTS.add(f"{SESSION}.send_request")
def session_request(stage: Stage) -> Any:
    session, result = _session(lambda: None)
    return stage.run(_inside(lambda: session.send_request(_request(stage, stage.value), result)))


@SLOTS.add(f"{SESSION}.send_request")
def session_request_fields(stage: Stage) -> Any:
    session, result = _session(lambda: None)
    params = SimpleNamespace(name=stage.value, uri=stage.value, meta=stage.value)
    root = SimpleNamespace(method=stage.value, params=params)
    return stage.run(_inside(lambda: session.send_request(_request(stage, root), result)))


@SLOTS.add(f"{SESSION}.send_request")
def session_answer(stage: Stage) -> Any:
    session, result = _session(stage.give)
    return stage.run(_inside(lambda: session.send_request(_initialize(), result)))


@SLOTS.add(f"{SESSION}.send_request")
def session_answer_fields(stage: Stage) -> Any:
    session, result = _session(lambda: SimpleNamespace(protocolVersion=stage.give(), isError=stage.value))
    return stage.run(_inside(lambda: session.send_request(_initialize(), result)))


@SLOTS.add(f"{SESSION}.send_request", takes="error")
def session_raises(stage: Stage) -> Any:
    session, result = _session(stage.throw)
    return stage.run(_inside(lambda: session.send_request(_initialize(), result)))


@SLOTS.add(f"{SESSION}.send_notification")
def session_notification(stage: Stage) -> Any:
    session, _ = _session(lambda: None)
    return stage.run(_inside(lambda: session.send_notification(stage.value)))


@SLOTS.add("mcp.client.streamable_http:streamable_http_client")
def http_url(stage: Stage) -> Any:
    from mcp.client import streamable_http

    async def opened() -> Any:
        streamable_http.streamable_http_client(stage.value)

    return stage.run(_inside(opened))


# -- the client of kaizen_agents ----------------------------------------------------------------------------------


def _delegates(answer: Callable[[], Any]) -> Any:
    from kaizen_agents.delegate.mcp import McpClient, McpServerConfig

    client = McpClient(McpServerConfig("echo", "python"))

    async def drain() -> None:
        for waiting in client._pending.values():
            waiting.set_result(answer())

    stdin = SimpleNamespace(write=lambda _: None, drain=drain)
    client._process = SimpleNamespace(stdin=stdin, returncode=None)
    client._initialized = True
    return client


@SLOTS.add(f"{DELEGATES}.call_tool")
def delegates_answer(stage: Stage) -> Any:
    return stage.run(_delegates(lambda: {"result": stage.give()}).call_tool("echo", {}))


@SLOTS.add(f"{DELEGATES}.call_tool")
def delegates_answer_fields(stage: Stage) -> Any:
    result = {"content": [], "isError": stage.value}
    return stage.run(_delegates(lambda: {"result": result}).call_tool("echo", stage.value))


@SLOTS.add(f"{DELEGATES}.call_tool", takes="error")
def delegates_call_raises(stage: Stage) -> Any:
    return stage.run(_delegates(stage.throw).call_tool("echo", {}))


@SLOTS.add(f"{DELEGATES}._send_request")
def delegates_request(stage: Stage) -> Any:
    return stage.run(_delegates(lambda: {"error": {"code": stage.value}})._send_request(stage.value, stage.value))


@SLOTS.add(f"{DELEGATES}._send_request")
def delegates_initialized(stage: Stage) -> Any:
    answer = {"result": {"protocolVersion": stage.value}}
    return stage.run(_delegates(lambda: answer)._send_request("initialize", {"_meta": stage.value, "x": stage.value}))


@SLOTS.add(f"{DELEGATES}._send_notification")
def delegates_notification(stage: Stage) -> Any:
    return stage.run(_delegates(lambda: None)._send_notification(stage.value, {"_meta": stage.value, "x": stage.value}))


@SLOTS.add(f"{DELEGATES}.start", takes="error")
def delegates_start_raises(stage: Stage) -> Any:
    from kaizen_agents.delegate.mcp import McpClient

    return stage.run(McpClient(_Unreadable(stage)).start())
