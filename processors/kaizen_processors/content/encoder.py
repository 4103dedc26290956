"""Messages as attribute values: each encoded once, each bounded, all of them together bounded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from kaizen_processors.content.cache import FragmentCache, fingerprint
from kaizen_processors.content.parts import SYSTEM_ROLES, Json, PartReader, omitted
from kaizen_processors.content.policy import OVERHEAD_BYTES, ContentMode
from kaizen_processors.redaction.copying import CUT_MARK_CHARS, Copier, CopyLimits, JsonValue, cut_again
from kaizen_processors.values import entries_of, entry_of, is_sequence, size_of, text_of
from kaizen_semconv import gen_ai

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kaizen_processors.content.policy import ContentPolicy
    from kaizen_processors.redaction.copying import TextPolicy

ContentValue: TypeAlias = "str | list[JsonValue]"
"""JSON text in mode `span`, structured values in mode `event`. Treat the latter as read-only: they are cached."""

_MAX_DEPTH = 12
_MAX_ITEMS = 256
_MAX_TOOLS = 128
_KNOWN_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_SHRINK: Final = 0.9
_SHORTEST_CUT_CHARS = 16


@dataclass(frozen=True, slots=True)
class Fragment:
    """One encoded message, part or tool."""

    payload: JsonValue
    size_bytes: int


class ContentEncoder:
    """Encodes the content of calls as a policy says, remembering the messages it has seen.

    A chat's history is sent again with every call; encoding it costs only what is new. Safe to share between threads.

    Example:
        >>> from kaizen_processors.content import ContentPolicy
        >>> encoder = ContentEncoder(ContentPolicy(mode="span"))
        >>> encoder.request([{"role": "user", "content": "I am ann@example.com"}])["gen_ai.input.messages"]
        '[{"role":"user","parts":[{"type":"text","content":"I am [redacted:email]"}]}]'
    """

    def __init__(self, policy: ContentPolicy) -> None:
        """Encode under this policy."""
        self.policy = policy
        self._cache = FragmentCache[Fragment]()

    def request(self, messages: object, *, system: object = None, tools: object = None) -> dict[str, ContentValue]:
        """Give the attributes of what a call sends; none when content is off.

        Args:
            messages: OpenAI-style messages (`{"role": …, "content": …}`), system messages among them.
            system: System instructions, where they are given apart from the messages: a text or a list of parts.
            tools: OpenAI-style (or Anthropic-style) tool definitions.
        """
        if not self.policy.captures:
            return {}
        return _present(
            {
                gen_ai.GEN_AI_SYSTEM_INSTRUCTIONS: self._system(system),
                gen_ai.GEN_AI_INPUT_MESSAGES: encode_messages(messages, self.policy, self._cache),
                gen_ai.GEN_AI_TOOL_DEFINITIONS: self._tools(tools),
            }
        )

    def response(
        self, *, text: object = None, tool_calls: object = None, finish_reason: object = None
    ) -> dict[str, ContentValue]:
        """Give the attributes of what a call returned; none when content is off, or when nothing was returned.

        Args:
            text: What the model said: a text, or a list of parts.
            tool_calls: OpenAI-style tool calls (`{"id": …, "function": {"name": …, "arguments": …}}`).
            finish_reason: Why the model stopped, in the provider's word.
        """
        if not self.policy.captures or (text is None and tool_calls is None):
            return {}
        message = {"role": "assistant", "content": text, "tool_calls": tool_calls}
        fragment = _encoded(self.policy, lambda reader: reader.output(message, finish_reason), _unreadable_message)
        return {gen_ai.GEN_AI_OUTPUT_MESSAGES: _assembled(self.policy, [fragment])}

    def structured(self, value: object) -> str | None:
        """Give one value (a tool's arguments, its result) as JSON text; None when content is off.

        At most `max_message_bytes`, and valid JSON however much was cut. JSON inside a text is opened.
        """
        if not self.policy.captures:
            return None
        return _fitted(self.policy, lambda reader: reader.structured(value), _unreadable_part, None)[1]

    def _system(self, system: object) -> ContentValue | None:
        if system is None or text_of(system) == "":
            return None
        entries = entries_of(system, _MAX_TOOLS) if is_sequence(system) else [system]
        fragments = [self._remembered("part", entry, PartReader.part, _unreadable_part) for entry in entries]
        return _assembled(self.policy, _within(self.policy, fragments, "parts")) if fragments else None

    def _tools(self, tools: object) -> ContentValue | None:
        entries = entries_of(tools, _MAX_TOOLS)
        if not entries:
            return None
        fragments = [self._remembered("tool", entry, PartReader.tool_definition, _unreadable_tool) for entry in entries]
        left = (size_of(tools) or 0) - len(entries)
        return _assembled(self.policy, _within(self.policy, fragments, "tools", left))

    def _remembered(
        self,
        kind: str,
        value: object,
        read: Callable[[PartReader, object], Json],
        unreadable: Callable[[JsonValue, int], Json],
    ) -> Fragment:
        # A tool's parameters are a schema: a property named `password` is no password.
        texts: TextPolicy = _TextOnly(self.policy.redactor) if kind == "tool" else self.policy.redactor
        return self._cache.get_or_make(
            fingerprint(kind, value, self.policy.max_message_bytes),
            lambda: _encoded(self.policy, lambda reader: read(reader, value), unreadable, texts),
        )


def encode_messages(
    messages: object, policy: ContentPolicy, cache: FragmentCache[Fragment] | None = None
) -> ContentValue | None:
    """Encode OpenAI-style messages as `gen_ai.input.messages`, within `policy.max_bytes`.

    When they are too many, the oldest go first; a leading system message and the last message always stay, and a note
    says how many are missing. None when there is nothing to encode, or content is off.
    """
    if not policy.captures or not is_sequence(messages):
        return None
    history = entries_of(messages, size_of(messages) or 0)
    if not history:
        return None
    seen: FragmentCache[Fragment] = FragmentCache() if cache is None else cache
    encode = _message_encoder(policy, seen)
    head = [encode(history[0])] if len(history) > 1 and _is_system(history[0]) else []
    tail = [encode(history[-1])]
    room = policy.max_bytes - OVERHEAD_BYTES - sum(fragment.size_bytes for fragment in head + tail)
    position = len(history) - 2
    while position >= len(head):
        fragment = encode(history[position])
        room -= fragment.size_bytes + 1
        if room < 0:
            break
        tail.append(fragment)
        position -= 1
    dropped = position + 1 - len(head)
    note = [_note({"role": "omitted", "parts": [omitted(messages=dropped)]}, policy)] if dropped else []
    return _assembled(policy, [*head, *note, *reversed(tail)])


def _message_encoder(policy: ContentPolicy, cache: FragmentCache[Fragment]) -> Callable[[object], Fragment]:
    def encode(message: object) -> Fragment:
        return cache.get_or_make(
            fingerprint("message", message, policy.max_message_bytes),
            lambda: _encoded(policy, lambda reader: reader.message(message), _unreadable_message),
        )

    return encode


def _is_system(message: object) -> bool:
    return text_of(entry_of(message, "role")) in SYSTEM_ROLES


def _within(policy: ContentPolicy, fragments: Sequence[Fragment], what: str, left: int = 0) -> list[Fragment]:
    """Give as many of the first fragments as there is room for, and a note of the others."""
    room = policy.max_bytes - OVERHEAD_BYTES
    kept: list[Fragment] = []
    for fragment in fragments:
        room -= fragment.size_bytes + 1
        if room < 0:
            break
        kept.append(fragment)
    left += len(fragments) - len(kept)
    if left:
        kept.append(_note({**omitted(**{what: left}), "name": "omitted"}, policy))
    return kept


def _encoded(
    policy: ContentPolicy,
    read: Callable[[PartReader], Json],
    unreadable: Callable[[JsonValue, int], Json],
    texts: TextPolicy | None = None,
) -> Fragment:
    value, encoded = _fitted(policy, read, unreadable, texts)
    return Fragment(encoded if policy.mode is ContentMode.SPAN else value, _size(encoded))


def _fitted(
    policy: ContentPolicy,
    read: Callable[[PartReader], JsonValue],
    unreadable: Callable[[JsonValue, int], Json],
    texts: TextPolicy | None,
) -> tuple[JsonValue, str]:
    """Read a value and cut its longest texts until its JSON fits `max_message_bytes`; give both."""
    limits = CopyLimits(max_depth=_MAX_DEPTH, max_items=_MAX_ITEMS, max_chars=policy.max_message_bytes)
    value = read(PartReader(Copier(limits, texts or policy.redactor)))
    encoded = _dumped(value)
    while (size := _size(encoded)) > policy.max_message_bytes:
        max_chars = int(_longest(value) * policy.max_message_bytes / size * _SHRINK) - CUT_MARK_CHARS
        value = unreadable(value, size) if max_chars < _SHORTEST_CUT_CHARS else _shortened(value, max_chars)
        encoded = _dumped(value)
    return value, encoded


def _unreadable_message(value: JsonValue, size_bytes: int) -> Json:
    role = value.get("role") if isinstance(value, dict) else None
    known = isinstance(role, str) and role in _KNOWN_ROLES
    kept: Json = {"role": role if known else "unknown", "parts": [omitted(bytes=size_bytes)]}
    return {**kept, "finish_reason": "unknown"} if isinstance(value, dict) and "finish_reason" in value else kept


def _unreadable_part(_value: JsonValue, size_bytes: int) -> Json:
    return omitted(bytes=size_bytes)


def _unreadable_tool(_value: JsonValue, size_bytes: int) -> Json:
    return {**omitted(bytes=size_bytes), "name": "omitted"}


def _longest(value: JsonValue) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return max(map(_longest, value.values()), default=0)
    return max(map(_longest, value), default=0) if isinstance(value, list) else 0


def _shortened(value: JsonValue, max_chars: int) -> JsonValue:
    if isinstance(value, str):
        return cut_again(value, max_chars) if len(value) > max_chars + CUT_MARK_CHARS else value
    if isinstance(value, dict):
        return {key: _shortened(entry, max_chars) for key, entry in value.items()}
    return [_shortened(entry, max_chars) for entry in value] if isinstance(value, list) else value


def _assembled(policy: ContentPolicy, fragments: Sequence[Fragment]) -> ContentValue:
    if policy.mode is ContentMode.SPAN:
        return f"[{','.join(str(fragment.payload) for fragment in fragments)}]"
    return [fragment.payload for fragment in fragments]


def _note(value: Json, policy: ContentPolicy) -> Fragment:
    encoded = _dumped(value)
    return Fragment(encoded if policy.mode is ContentMode.SPAN else value, len(encoded))


def _dumped(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _size(encoded: str) -> int:
    return len(encoded) if encoded.isascii() else len(encoded.encode())


def _present(attributes: dict[str, ContentValue | None]) -> dict[str, ContentValue]:
    return {key: value for key, value in attributes.items() if value is not None}


class _TextOnly:
    """Redacts texts, and no key."""

    __slots__ = ("_redactor",)
    secret = ""

    def __init__(self, redactor: TextPolicy) -> None:
        self._redactor = redactor

    def text(self, text: str, max_chars: int | None = None) -> str:
        return self._redactor.text(text, max_chars)

    def is_secret(self, key: str) -> bool:  # noqa: ARG002 - the protocol's signature
        return False
