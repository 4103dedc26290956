"""What the application says about its own work: who it is for (`attributes`), and what a block costs (`measure`)."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from opentelemetry import baggage
from opentelemetry import context as otel_context

from kaizen_otel.invocations.scope import ATTRIBUTES_KEY, MeasureScope, current_scope, with_scope
from kaizen_otel.invocations.values import bounded_text, text_tuple
from kaizen_otel.patches.switch import active
from kaizen_processors.money import to_decimal, to_float
from kaizen_semconv import attributes as k
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Token
    from decimal import Decimal
    from types import TracebackType
    from typing import Self

    from opentelemetry.context import Context

    from kaizen_otel.invocations.base import Attributes

P = ParamSpec("P")
R = TypeVar("R")

MAX_TAGS = 32
_BAGGAGE_KEYS = {"user_id": g.USER_ID, "session_id": g.SESSION_ID, "conversation_id": g.GEN_AI_CONVERSATION_ID}


class InForce:
    """The attributes in force at one place. Immutable; an inner block adds to what the outer one said."""

    __slots__ = ("conversation_id", "session_id", "tags", "user_id")

    def __init__(
        self,
        user_id: str | None = None,
        session_id: str | None = None,
        conversation_id: str | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        """Hold the values, already safe."""
        self.user_id = user_id
        self.session_id = session_id
        self.conversation_id = conversation_id
        self.tags = tags

    def in_session(self, session_id: str) -> InForce:
        """Give the same, in a session; the id is already safe."""
        return InForce(self.user_id, session_id, self.conversation_id, self.tags)

    def add_to(self, attributes: Attributes) -> None:
        """Put the values into a span's attributes; what the operation says of itself is left as it is."""
        if self.user_id is not None:
            attributes.setdefault(g.USER_ID, self.user_id)
        if self.session_id is not None:
            attributes.setdefault(g.SESSION_ID, self.session_id)
        if self.conversation_id is not None:
            attributes.setdefault(g.GEN_AI_CONVERSATION_ID, self.conversation_id)
        if self.tags:
            attributes.setdefault(k.KAIZEN_TAGS, self.tags)


NOTHING = InForce()


def in_force(context: Context | None = None) -> InForce:
    """What `attributes()` blocks around this place have said."""
    found = otel_context.get_value(ATTRIBUTES_KEY, context)
    return found if isinstance(found, InForce) else NOTHING


class attributes:  # noqa: N801 - used as a function, a context manager and a decorator
    """Say who the work inside is for. A context manager and a decorator, for sync and async code.

    Every span below carries the values; nothing else changes. An inner block adds to an outer one. With
    `Settings.baggage` the ids also travel in W3C baggage to other services: do that only where those may see them.

    Args:
        user_id: `user.id` of the spans.
        session_id: `session.id`.
        conversation_id: `gen_ai.conversation.id`.
        tags: free words for search (`kaizen.tags`), at most 32.

    Raises:
        TypeError: a value is not text.

    Example:
        >>> with attributes(user_id="u-17", session_id="s-4", tags=["beta"]):
        ...     pass
    """

    def __init__(
        self,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        conversation_id: str | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        """Check the values now, so that a mistake shows where it was made."""
        self._user_id = _checked("user_id", user_id)
        self._session_id = _checked("session_id", session_id)
        self._conversation_id = _checked("conversation_id", conversation_id)
        given = [tags] if isinstance(tags, str) else list(tags)
        if any(not isinstance(tag, str) for tag in given):
            raise TypeError(f"tags: expected texts, got {[type(tag).__name__ for tag in given][:5]}")
        self._tags = text_tuple(given, MAX_TAGS)
        self._tokens: list[Token[Context]] = []

    def __enter__(self) -> Self:
        outer = in_force()
        inner = InForce(
            self._user_id or outer.user_id,
            self._session_id or outer.session_id,
            self._conversation_id or outer.conversation_id,
            tuple(dict.fromkeys((*outer.tags, *self._tags)))[:MAX_TAGS],
        )
        context = otel_context.set_value(ATTRIBUTES_KEY, inner)
        if baggage_enabled():
            for name, key in _BAGGAGE_KEYS.items():
                value = getattr(inner, name)
                if value is not None:
                    context = baggage.set_baggage(key, value, context)
        self._tokens.append(otel_context.attach(context))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        otel_context.detach(self._tokens.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function or a coroutine function. Raises `TypeError` for an async generator function."""
        if inspect.isasyncgenfunction(function):
            raise TypeError(
                "attributes() cannot decorate an async generator: use it as a context manager around the loop"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def with_attributes(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self._again():
                    return await function(*args, **kwargs)

            return cast("Callable[P, R]", with_attributes)

        @functools.wraps(function)
        def call_with_attributes(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._again():
                return function(*args, **kwargs)

        return call_with_attributes

    def _again(self) -> attributes:
        # A block of its own for each call: concurrent calls of one decorated function must not share tokens.
        return attributes(
            user_id=self._user_id,
            session_id=self._session_id,
            conversation_id=self._conversation_id,
            tags=self._tags,
        )


def _checked(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    text = bounded_text(value)
    if text is None:
        raise TypeError(f"{name}: expected text, got {type(value).__name__}")
    return text


def baggage_enabled() -> bool:
    """Whether ids may leave the process in W3C baggage (`Settings.baggage`)."""
    telemetry = active()
    return telemetry is not None and telemetry.settings.baggage


class Measurement:
    """What a measured block used so far. Live: read it inside the block or after it.

    Tokens are integers, money is exact: `cost` is a `Decimal` of US dollars, `cost_usd` the nearest float.
    `complete` is False when a call's cost is not known, so that the cost is a lower bound.
    """

    def __init__(self, scope: MeasureScope) -> None:
        """Read from this scope."""
        self._scope = scope
        self._total = scope.total

    @property
    def model_calls(self) -> int:
        """Model calls that finished."""
        return self._total.model_calls

    @property
    def tool_calls(self) -> int:
        """Tool calls that finished."""
        return self._total.tool_calls

    @property
    def input_tokens(self) -> int:
        """Tokens sent, cached ones included."""
        return self._total.input_tokens

    @property
    def output_tokens(self) -> int:
        """Tokens received, reasoning included."""
        return self._total.output_tokens

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.input_tokens + self.output_tokens

    @property
    def cost(self) -> Decimal:
        """US dollars, exact."""
        return to_decimal(self._total.cost_units)

    @property
    def cost_usd(self) -> float:
        """US dollars, as the nearest float."""
        return to_float(self._total.cost_units)

    @property
    def complete(self) -> bool:
        """Whether the cost of every call is known."""
        return not self._total.incomplete_calls

    @property
    def execution_ids(self) -> tuple[str, ...]:
        """Ids of the executions that ended inside, in that order: what `record_evaluation` takes later."""
        return tuple(self._scope.execution_ids)

    def __repr__(self) -> str:
        return (
            f"Measurement(model_calls={self.model_calls}, input_tokens={self.input_tokens}, "
            f"output_tokens={self.output_tokens}, cost={self.cost}, complete={self.complete})"
        )


class measure:  # noqa: N801 - used as a function
    """Count the exact tokens and dollars of a block, however deep the calls are made.

    Works while instrumented; otherwise the numbers stay zero. Blocks may nest.

    Example:
        >>> with measure() as m:
        ...     pass
        >>> m.total_tokens
        0
    """

    def __init__(self) -> None:
        """Prepare a block; each `with` counts anew."""
        self._tokens: list[Token[Context]] = []

    def __enter__(self) -> Measurement:
        scope = MeasureScope(current_scope())
        self._tokens.append(otel_context.attach(with_scope(scope)))
        return Measurement(scope)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        otel_context.detach(self._tokens.pop())
