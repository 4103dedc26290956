"""A span or log record that is larger than a request may be: made smaller, so that it is not lost.

Long texts are cut first, all of them to the same length, and say so at their end: the beginning of a prompt is worth
more than a hundred small attributes, and they are worth more than its middle. What is then still too large loses its
largest attributes, then whole events and links, each counted where it was (`dropped_attributes_count` …). Ids, times
and the order of what stays are kept.

It works on the encoded request, since the same is wanted when an item is packed and when a backend has refused it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kaizen_processors.export.otlp.messages import item_lists, parsed
from kaizen_processors.redaction.copying import cut_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kaizen_processors.export.batch import Signal

_MIN_TEXT_BYTES: Final = 256
"""Texts are not cut below this: what is still too large then is large for another reason."""
_MARK_BYTES: Final = 48
"""What the note of a cut may take, at most."""
_FRAME_BYTES: Final = 2
"""Tag and length of a part, at least."""


def trimmed(payload: bytes, signal: Signal, max_bytes: int) -> bytes:
    """Make a request of one span or log record measure at most `max_bytes`, or as little as it can.

    Raises:
        google.protobuf.message.DecodeError: The payload is no request of that signal.
    """
    if len(payload) <= max_bytes:
        return payload
    request = parsed(payload, signal)
    items = [item for items in item_lists(request, signal) for item in items]
    texts = [text for item in items for text in _texts(item, signal)]
    _cut_texts(texts, len(payload) - max_bytes)
    for parts in (_attributes, _body, _events_and_links):
        while (excess := request.ByteSize() - max_bytes) > 0:
            found = [part for item in items for part in parts(item, signal)]
            if not found:
                break
            _drop_largest(found, excess)
    made: bytes = request.SerializeToString()
    return made


class _Text(NamedTuple):
    """A text or bytes, and where it stands."""

    owner: Any
    field: str
    size_bytes: int

    def shorten(self, kept_bytes: int) -> None:
        """Keep so many bytes of it, its note included."""
        whole = getattr(self.owner, self.field)
        if isinstance(whole, bytes):
            setattr(self.owner, self.field, whole[:kept_bytes])
            return
        start = whole.encode()[: kept_bytes - _MARK_BYTES].decode(errors="ignore")
        setattr(self.owner, self.field, cut_again(whole, len(start)))


def _cut_texts(texts: list[_Text], excess: int) -> None:
    """Cut the longest texts, all to one length, until `excess` bytes are saved; never below the least length."""
    texts.sort(key=lambda text: text.size_bytes, reverse=True)
    taken, level = 0, _MIN_TEXT_BYTES
    for count, text in enumerate(texts, 1):
        taken += text.size_bytes
        # The length of the first `count` texts that saves enough, when the next is not longer than that.
        level = (taken - excess) // count
        if level >= (texts[count].size_bytes if count < len(texts) else 0):
            break
    level = max(level, _MIN_TEXT_BYTES)
    for text in texts:
        if text.size_bytes > level:
            text.shorten(level)


def _texts(item: Any, signal: Signal) -> Iterator[_Text]:
    if signal == "traces":
        yield _field(item, "name")
        yield _field(item.status, "message")
        for part in (*item.events, *item.links):
            yield from _values(part.attributes)
        for event in item.events:
            yield _field(event, "name")
    else:
        yield _field(item, "severity_text")
        yield _field(item, "event_name")
        yield from _deep(item.body)
    yield from _values(item.attributes)


def _field(owner: Any, field: str) -> _Text:
    whole = getattr(owner, field)
    return _Text(owner, field, len(whole if isinstance(whole, bytes) else whole.encode()))


def _values(attributes: Iterable[Any]) -> Iterator[_Text]:
    for attribute in attributes:
        yield from _deep(attribute.value)


def _deep(value: Any) -> Iterator[_Text]:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        for one in value.array_value.values:
            yield from _deep(one)
    elif kind == "kvlist_value":
        yield from _values(value.kvlist_value.values)
    elif kind in {"string_value", "bytes_value"}:
        yield _field(value, kind)


class _Part(NamedTuple):
    """Something that may be left out."""

    size_bytes: int
    place: int
    """Where it stands in its owner."""
    drop: Callable[[], None]


def _drop_largest(parts: list[_Part], excess: int) -> None:
    chosen: list[_Part] = []
    for part in sorted(parts, key=lambda each: each.size_bytes, reverse=True):
        if excess <= 0:
            break
        chosen.append(part)
        excess -= part.size_bytes
    # From the last place to the first: so the places of those that are still to go stay what they are.
    for part in sorted(chosen, key=lambda each: each.place, reverse=True):
        part.drop()


def _attributes(item: Any, signal: Signal) -> Iterator[_Part]:
    owners = (item, *item.events, *item.links) if signal == "traces" else (item,)
    for owner in owners:
        yield from _parts(owner, owner.attributes, "dropped_attributes_count")


def _events_and_links(item: Any, signal: Signal) -> Iterator[_Part]:
    if signal == "traces":
        yield from _parts(item, item.events, "dropped_events_count")
        yield from _parts(item, item.links, "dropped_links_count")


def _parts(owner: Any, parts: Any, count: str) -> Iterator[_Part]:
    for place, part in enumerate(parts):

        def drop(place: int = place) -> None:
            del parts[place]
            setattr(owner, count, getattr(owner, count) + 1)

        yield _Part(part.ByteSize() + _FRAME_BYTES, place, drop)


def _body(item: Any, signal: Signal) -> Iterator[_Part]:
    """A log record's body that is still too large is no text: no count would say that it is missing, so it is named."""
    if signal == "logs" and (kind := item.body.WhichOneof("value")) in {"array_value", "kvlist_value"}:
        name = "[object array]" if kind == "array_value" else "[object map]"

        def replace() -> None:
            item.body.string_value = name

        yield _Part(item.body.ByteSize() - len(name), 0, replace)
