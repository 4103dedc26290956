"""What the local model server answers: replies, the rules that choose among them, and the request that they look at."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyUsage:
    """The tokens a reply reports, counted as OpenTelemetry counts them; each wire writes them in its provider's way.

    `input_tokens` includes the cached ones (read and written), `output_tokens` includes reasoning.
    """

    input_tokens: int = 100
    output_tokens: int = 20
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ReplyToolCall:
    """A tool that the model asks for."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplyError:
    """The error body of a refused request; the wire puts it into its provider's envelope."""

    message: str
    type: str
    code: str | None = None
    param: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One scripted answer.

    Attributes:
        text: What the model says. A stream sends it word by word.
        tool_calls: Tools the model asks for; the text is then usually empty.
        usage: The reported tokens; None leaves them out of the answer, as some servers do.
        model: The model named in the answer; the requested one when None.
        finish_reason: In the provider's own words; None means the one that fits (`stop`, `tool_calls`, ...).
        status: HTTP status; from 400 on, `error` is the body.
        error: See `ReplyError`.
        headers: Extra response headers.
        delay_s: Time until the first byte, in seconds.
        chunk_delay_s: Time before each further chunk of a stream, in seconds.
        drop_after_chunks: Close the connection after so many chunks (0: before any byte of the answer).
        body: Send exactly these bytes instead of an answer, with the reply's status.
        vectors_of: The vector that each text of an embeddings request gets.
    """

    text: str = "This is the local model server."
    tool_calls: tuple[ReplyToolCall, ...] = ()
    usage: ReplyUsage | None = field(default_factory=ReplyUsage)
    model: str | None = None
    finish_reason: str | None = None
    status: int = 200
    error: ReplyError | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    drop_after_chunks: int | None = None
    body: bytes | None = None
    vectors_of: tuple[float, ...] = (0.1, 0.2, 0.3)

    @property
    def words(self) -> tuple[str, ...]:
        """The text in the pieces in which a stream sends it; joined they are the text."""
        parts = self.text.split(" ")
        return tuple(word + " " for word in parts[:-1]) + tuple(parts[-1:] if parts[-1] else ())

    @classmethod
    def json(cls, value: Mapping[str, Any], **fields: Any) -> Reply:
        """An answer whose text is `value` as JSON, as signatures ask for."""
        return cls(text=json.dumps(value), **fields)

    @classmethod
    def call(cls, tool: str, arguments: Mapping[str, Any] | None = None, **fields: Any) -> Reply:
        """An answer that asks for one tool."""
        return cls(text="", tool_calls=(ReplyToolCall(tool, arguments or {}),), **fields)

    @classmethod
    def rate_limited(cls, *, retry_after_s: float = 1) -> Reply:
        """429 with `retry-after`."""
        message = f"Rate limit reached for requests. Please try again in {retry_after_s:g}s."
        return cls(
            status=429,
            error=ReplyError(message, "requests", "rate_limit_exceeded"),
            headers={"retry-after": f"{retry_after_s:g}"},
        )

    @classmethod
    def unauthorized(cls) -> Reply:
        """401, as for a wrong key."""
        return cls(
            status=401, error=ReplyError("Incorrect API key provided.", "invalid_request_error", "invalid_api_key")
        )

    @classmethod
    def server_error(cls, *, status: int = 500) -> Reply:
        """500 (or another 5xx)."""
        message = "The server had an error while processing your request. Sorry about that!"
        return cls(status=status, error=ReplyError(message, "server_error"))

    @classmethod
    def bad_json(cls) -> Reply:
        """200 with a page instead of JSON, as a broken gateway sends."""
        return cls(body=b"<html><body>Bad Gateway</body></html>", headers={"content-type": "text/html"})

    @classmethod
    def dropped(cls, *, after_chunks: int = 0, **fields: Any) -> Reply:
        """The connection closes: before the answer, or in the middle of a stream."""
        return cls(drop_after_chunks=after_chunks, **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request that the server received, read through its wire.

    Attributes:
        number: 1 for the first request the server got; the ids of its answer carry it.
        provider: `openai`, `anthropic`, `ollama` or `google`.
        operation: `chat` or `embeddings`.
        model: The requested model.
        system: The system prompt, empty when there is none.
        user: The text of the last user message (embeddings: the texts, one per line).
        tools: Names of the tools on offer.
        tool_results: How many tool results follow the last user message.
        stream: Whether the answer is to be streamed.
        path: Path of the URL.
        query: Query of the URL, without the question mark.
        headers: As received, names in lower case.
        body: The JSON body.
    """

    number: int
    provider: str
    operation: str
    model: str
    system: str
    user: str
    tools: tuple[str, ...]
    tool_results: int
    stream: bool
    path: str
    query: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Answers the requests that fit every condition given.

    Attributes:
        replies: Used one after the other, the last one again and again (see `times`).
        model, user, system: Substrings to find in the request, ignoring case.
        has_tools: Whether tools are on offer.
        tool_results: How many tool results must follow the last user message.
        stream: Whether a stream was asked for.
        times: After so many answers the rule is used up; None: never.
    """

    replies: Reply | Sequence[Reply]
    model: str | None = None
    user: str | None = None
    system: str | None = None
    has_tools: bool | None = None
    tool_results: int | None = None
    stream: bool | None = None
    times: int | None = None

    def matches(self, request: ModelRequest) -> bool:
        """Whether every condition given fits the request."""
        texts = ((self.model, request.model), (self.user, request.user), (self.system, request.system))
        facts = (
            (self.has_tools, bool(request.tools)),
            (self.tool_results, request.tool_results),
            (self.stream, request.stream),
        )
        return all(wanted is None or wanted.lower() in actual.lower() for wanted, actual in texts) and all(
            wanted is None or wanted == actual for wanted, actual in facts
        )

    def reply(self, used: int) -> Reply:
        """The reply for the match after `used` earlier ones."""
        if isinstance(self.replies, Reply):
            return self.replies
        return self.replies[min(used, len(self.replies) - 1)]


Responder = Callable[[ModelRequest], Reply | None]
Scripted = Iterable[Rule | Reply] | Responder


class Script:
    """The rules in order; the first that fits and is not used up answers. Safe to use from many threads."""

    def __init__(self, scripted: Scripted) -> None:
        """Take rules, bare replies (each answers one request, whichever comes), or a function of the request."""
        self._responder: Responder | None = scripted if callable(scripted) else None
        entries = () if callable(scripted) else scripted
        self._rules = [entry if isinstance(entry, Rule) else Rule(replies=entry, times=1) for entry in entries]
        self._used = [0] * len(self._rules)
        self._lock = threading.Lock()

    def reply_to(self, request: ModelRequest) -> Reply:
        """The scripted reply, or the default one when nothing fits."""
        if self._responder is not None:
            return self._responder(request) or default_reply(request)
        with self._lock:
            for index, rule in enumerate(self._rules):
                used = self._used[index]
                if (rule.times is None or used < rule.times) and rule.matches(request):
                    self._used[index] += 1
                    return rule.reply(used)
        return default_reply(request)


def default_reply(request: ModelRequest) -> Reply:
    """What a willing model would say: call the tool that is required, fill the schema that is asked for, else talk."""
    reply = Reply()
    if request.tools and not request.tool_results and request.body.get("tool_choice") != "none":
        return replace(reply, text="", tool_calls=(ReplyToolCall(request.tools[0], _sample_arguments(request)),))
    schema = _response_schema(request.body)
    if schema is not None:
        return replace(reply, text=json.dumps(sample_of(schema)))
    if "json" in (request.system + request.user).lower():
        return replace(reply, text=json.dumps({"answer": reply.text, "confidence": 0.9}))
    return reply


def _response_schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    wanted = body.get("response_format")
    schema = wanted.get("json_schema", {}).get("schema") if isinstance(wanted, Mapping) else body.get("format")
    return schema if isinstance(schema, Mapping) else None


def _sample_arguments(request: ModelRequest) -> Mapping[str, Any]:
    tool = request.body["tools"][0]
    function = tool.get("function") or (tool.get("functionDeclarations") or [tool])[0]
    sample = sample_of(function.get("parameters") or function.get("input_schema") or {})
    return sample if isinstance(sample, Mapping) else {}


def sample_of(schema: Mapping[str, Any]) -> Any:
    """A small value that fits a JSON schema (the part of it that tools and signatures use)."""
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: sample_of(value) for name, value in schema.get("properties", {}).items()}
    scalars: dict[str, Any] = {"string": "text", "number": 0.9, "integer": 1, "boolean": True, "array": []}
    return scalars.get(kind)
