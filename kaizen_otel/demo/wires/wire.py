"""What a wire is: the translation between HTTP and the server's own words, for one provider."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from kaizen_otel.demo.script import ModelRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from urllib.parse import SplitResult

    from kaizen_otel.demo.script import Reply, ReplyError

JsonObject = dict[str, Any]


class Wire(ABC):
    """One provider's protocol. Holds no state: all of it is in the request and the reply."""

    provider: str
    stream_content_type = "text/event-stream"

    @abstractmethod
    def operation(self, path: str) -> str | None:
        """`chat` or `embeddings` when this wire serves POSTs to `path`, None when it does not."""

    @abstractmethod
    def authorized(self, headers: Mapping[str, str]) -> bool:
        """Whether the request carries a key where the provider expects one."""

    @abstractmethod
    def answer(self, request: ModelRequest, reply: Reply) -> JsonObject:
        """The body of an answer that is not streamed."""

    @abstractmethod
    def stream(self, request: ModelRequest, reply: Reply) -> Iterator[str]:
        """The frames of a streamed answer."""

    @abstractmethod
    def error(self, error: ReplyError, status: int) -> JsonObject:
        """The body of a refused request."""

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        """Headers that the provider puts on every answer."""
        del request
        return {}

    def read(self, number: int, url: SplitResult, headers: Mapping[str, str], body: JsonObject) -> ModelRequest:
        """Read a request for whose path `operation(path)` said what it is."""
        path = url.path
        operation = self.operation(path) or ""
        messages = self.messages(body) if operation == "chat" else []
        last_user = max((index for index, (role, _) in enumerate(messages) if role == "user"), default=-1)
        return ModelRequest(
            number=number,
            provider=self.provider,
            operation=operation,
            model=self.model(path, body),
            system="\n".join(text for role, text in messages if role == "system"),
            user=messages[last_user][1] if last_user >= 0 else "\n".join(self.texts(body)),
            tools=tuple(self.tools(body)),
            tool_results=sum(role == "tool" for role, _ in messages[last_user + 1 :]),
            stream=self.wants_stream(path, body),
            path=path,
            query=url.query,
            headers=headers,
            body=body,
        )

    def model(self, path: str, body: JsonObject) -> str:
        """The requested model."""
        del path
        return str(body.get("model", ""))

    def wants_stream(self, path: str, body: JsonObject) -> bool:
        """Whether the answer is to be streamed."""
        del path
        return bool(body.get("stream"))

    def messages(self, body: JsonObject) -> list[tuple[str, str]]:
        """The conversation as (role, text); roles are `system`, `user`, `assistant` and `tool`."""
        return [(str(message.get("role")), text_of(message.get("content"))) for message in body.get("messages", [])]

    def texts(self, body: JsonObject) -> list[str]:
        """The texts of an embeddings request."""
        given = body.get("input", [])
        return [str(text) for text in given] if isinstance(given, list) else [str(given)]

    def tools(self, body: JsonObject) -> Iterable[str]:
        """The names of the tools on offer."""
        return [str(tool.get("function", {}).get("name")) for tool in body.get("tools", [])]


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or a list of parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def sse(data: JsonObject, event: str | None = None) -> str:
    """One server-sent event."""
    prefix = f"event: {event}\n" if event else ""
    return f"{prefix}data: {json.dumps(data)}\n\n"
