"""OpenAI-style messages, and Anthropic's blocks among them, as messages and parts of the GenAI conventions.

The shapes are those of `gen-ai-input-messages.json`, `gen-ai-output-messages.json`, `gen-ai-system-instructions.json`
and `gen-ai-tool-definitions.json` in the conventions' repository. Everything that comes from the application passes the
`Copier`, which redacts and bounds it. Binary content never enters: its place holds its kind and its size.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias

from kaizen_processors.values import entries_of, entry_of, is_mapping, is_sequence, size_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_processors.redaction.copying import Copier, JsonValue

Json: TypeAlias = "dict[str, JsonValue]"

SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_TOOL_ROLES = frozenset({"tool", "function"})
_UNKNOWN = "unknown"

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos_token": "stop",
    "complete": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
    "function_call": "tool_call",
    "refusal": "content_filter",
    "safety": "content_filter",
}
"""The providers' words for the conventions' `FinishReason`; others are written as they are, in lower case."""

_CONVENTIONAL = frozenset(
    {"tool_call", "tool_call_response", "server_tool_call", "server_tool_call_response", "blob", "uri", "reasoning"}
)
"""Types whose shape the conventions fix: an application's block that calls itself so may have another."""

_MAX_PARTS = 128
_MAX_PARSED_CHARS = 65_536
"""A longer JSON text (tool arguments, tool results) is redacted as text, not by its keys."""
_NAME_CHARS = 256
_DATA_HEADER_CHARS = 128


class PartReader:
    """Reads one message; all of its texts share one copier, and so one budget."""

    __slots__ = ("_copier", "_left_out")

    def __init__(self, copier: Copier) -> None:
        """Read through `copier`."""
        self._copier = copier

    def message(self, message: object) -> Json:
        """Give an input message (`ChatMessage`)."""
        role = self._name(entry_of(message, "role")) or _UNKNOWN
        if not is_mapping(message):
            return {"role": role, "parts": [_text_part(self._copier.copy(message))]}
        if role in _TOOL_ROLES:
            parts: list[JsonValue] = [self._tool_response(message)]
        else:
            parts = self._spoken(message)
        read: Json = {"role": role, "parts": parts}
        name = self._name(entry_of(message, "name"))
        if name is not None:
            read["name"] = name
        return read

    def output(self, message: object, finish_reason: object) -> Json:
        """Give an output message (`OutputMessage`)."""
        read = self.message(message)
        reason = (self._name(finish_reason) or _UNKNOWN).lower()
        read["finish_reason"] = _FINISH_REASONS.get(reason, reason)
        return read

    def part(self, part: object) -> Json:
        """Give one part of a content list, or of system instructions."""
        text = text_of(part)
        if text is not None:
            return _text_part(self._copier.text(text))
        kind = text_of(entry_of(part, "type"))
        if kind is None:
            return _text_part(self._copier.copy(part))
        reader = _PART_READERS.get(kind)
        return reader(self, part) if reader is not None else self._generic(kind, part)

    def tool_definition(self, tool: object) -> Json:
        """Give a tool as it was offered to the model (`FunctionToolDefinition`, or a generic one)."""
        function = entry_of(tool, "function")
        source = function if is_mapping(function) else tool
        kind = self._name(entry_of(tool, "type"))  # a tool of the provider's own has no other name
        read: Json = {"type": kind or "function", "name": self._name(entry_of(source, "name")) or kind or _UNKNOWN}
        description = text_of(entry_of(source, "description"))
        if description is not None:
            read["description"] = self._copier.text(description)
        parameters = entry_of(source, "parameters")
        if parameters is None:
            parameters = entry_of(source, "input_schema")
        if parameters is not None:
            read["parameters"] = self._copier.copy(parameters)
        return read

    def _spoken(self, message: object) -> list[JsonValue]:
        """What a system, a user or a model said: reasoning, content, tool calls."""
        parts: list[JsonValue] = []
        reasoning = text_of(entry_of(message, "reasoning_content"))
        if reasoning:
            parts.append({"type": "reasoning", "content": self._copier.text(reasoning)})
        parts += self._content(entry_of(message, "content"))
        parts += self._all(entry_of(message, "tool_calls"), self._tool_call)
        legacy_call = entry_of(message, "function_call")
        if legacy_call is not None:
            parts.append(self._tool_call({"function": legacy_call}))
        return parts

    def _content(self, content: object) -> list[JsonValue]:
        if content is None or (text_of(content) == ""):
            return []
        return self._all(content, self.part) if is_sequence(content) else [self.part(content)]

    def _all(self, entries: object, read: Callable[[object], Json]) -> list[JsonValue]:
        parts: list[JsonValue] = [read(entry) for entry in entries_of(entries, _MAX_PARTS)]
        left = (size_of(entries) or 0) - len(parts)
        if left > 0 and is_sequence(entries):
            parts.append(omitted(parts=left))
        return parts

    def _tool_call(self, call: object) -> Json:
        function = entry_of(call, "function")
        source = function if is_mapping(function) else call
        return self._call(entry_of(call, "id"), entry_of(source, "name"), entry_of(source, "arguments"))

    def tool_use(self, block: object) -> Json:
        """Read Anthropic's tool call."""
        return self._call(entry_of(block, "id"), entry_of(block, "name"), entry_of(block, "input"))

    def _call(self, call_id: object, name: object, arguments: object) -> Json:
        read: Json = {"type": "tool_call", "name": self._name(name) or _UNKNOWN}
        if call_id is not None:
            read["id"] = self._name(call_id)
        if arguments is not None:
            read["arguments"] = self.structured(arguments)
        return read

    def _tool_response(self, message: object) -> Json:
        call_id = entry_of(message, "tool_call_id")
        return self._response(call_id, entry_of(message, "content"))

    def tool_result(self, block: object) -> Json:
        """Read Anthropic's tool result."""
        return self._response(entry_of(block, "tool_use_id"), entry_of(block, "content"))

    def _response(self, call_id: object, response: object) -> Json:
        read: Json = {"type": "tool_call_response", "response": self.structured(response)}
        if call_id is not None:
            read["id"] = self._name(call_id)
        return read

    def structured(self, value: object) -> JsonValue:
        """Copy arguments or results; JSON inside a text is opened, so that its secret keys are known."""
        text = text_of(value)
        return self._copier.copy(value if text is None else _parsed(text))

    def plain(self, part: object) -> Json:
        """Read a text part."""
        return _text_part(self._copier.copy(entry_of(part, "text")))

    def refusal(self, part: object) -> Json:
        """Read OpenAI's part that says why there is no answer."""
        return _text_part(self._copier.copy(entry_of(part, "refusal")))

    def thinking(self, part: object) -> Json:
        """Read Anthropic's thinking."""
        return {"type": "reasoning", "content": _as_text(self._copier.copy(entry_of(part, "thinking")))}

    def image_url(self, part: object) -> Json:
        """Read an image, at an address or inline."""
        image = entry_of(part, "image_url")
        return self._resource(text_of(entry_of(image, "url") if is_mapping(image) else image), "image")

    def source(self, part: object) -> Json:
        """Read Anthropic's `image` and `document` blocks."""
        source = entry_of(part, "source")
        url = text_of(entry_of(source, "url"))
        if url is not None:
            return self._resource(url, "image")
        mime_type = self._name(entry_of(source, "media_type"))
        return _blob(mime_type, _modality(mime_type, "image"), entry_of(source, "data"))

    def audio(self, part: object) -> Json:
        """Read inline audio."""
        audio = entry_of(part, "input_audio")
        audio_format = self._name(entry_of(audio, "format"))
        return _blob(f"audio/{audio_format}" if audio_format else None, "audio", entry_of(audio, "data"))

    def file(self, part: object) -> Json:
        """Read a file, by its id or inline."""
        file = entry_of(part, "file")
        file_id = self._name(entry_of(file, "file_id"))
        if file_id is not None:
            return {"type": "file", "modality": "document", "file_id": file_id}
        data = text_of(entry_of(file, "file_data"))
        return self._resource(data, "document") if data is not None else _blob(None, "document", None)

    def _resource(self, url: str | None, modality: str) -> Json:
        if url is None:
            return _blob(None, modality, None)
        if url[:5].lower() == "data:":
            mime_type = self._name(url[5:_DATA_HEADER_CHARS].partition(",")[0].partition(";")[0])
            return _blob(mime_type, _modality(mime_type, modality), url)
        # Queries of pre-signed addresses are credentials.
        address, query, _ = url.partition("?")
        uri = self._copier.text(address) + ("?[redacted:query]" if query else "")
        return {"type": "uri", "modality": modality, "uri": uri}

    def _generic(self, kind: str, part: object) -> Json:
        copied = self._copier.copy(part)
        if not isinstance(copied, dict):
            return _text_part(copied)
        return {**copied, "type": self._copier.text(f"other_{kind}" if kind in _CONVENTIONAL else kind)}

    def _name(self, value: object) -> str | None:
        text = text_of(value)
        return self._copier.text(text[:_NAME_CHARS]) if text else None


_PART_READERS: dict[str, Callable[[PartReader, object], Json]] = {
    "text": PartReader.plain,
    "input_text": PartReader.plain,
    "output_text": PartReader.plain,
    "refusal": PartReader.refusal,
    "thinking": PartReader.thinking,
    "image_url": PartReader.image_url,
    "input_image": PartReader.image_url,
    "image": PartReader.source,
    "document": PartReader.source,
    "input_audio": PartReader.audio,
    "file": PartReader.file,
    "tool_use": PartReader.tool_use,
    "tool_result": PartReader.tool_result,
}


def omitted(**counts: int) -> Json:
    """Give the part that stands for what was left out (a `GenericPart` of the conventions)."""
    return {"type": "omitted", **counts}


def _text_part(content: JsonValue) -> Json:
    return {"type": "text", "content": _as_text(content)}


def _as_text(content: JsonValue) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _blob(mime_type: str | None, modality: str, data: object) -> Json:
    """Give a `BlobPart` with nothing in it but the size of what was sent, in bytes of its encoded form."""
    read: Json = {"type": "blob", "modality": modality, "content": ""}
    if mime_type is not None:
        read["mime_type"] = mime_type
    text = text_of(data)
    read["omitted_bytes"] = len(text) if text is not None else size_of(data) or 0
    return read


def _modality(mime_type: str | None, default: str) -> str:
    kind = (mime_type or "").partition("/")[0].lower()
    if kind in {"image", "audio", "video"}:
        return kind
    return "document" if kind in {"application", "text"} else default


def _parsed(text: str) -> object:
    if len(text) > _MAX_PARSED_CHARS or text.lstrip()[:1] not in {"{", "["}:
        return text
    try:
        parsed: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return parsed
