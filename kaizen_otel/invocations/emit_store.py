"""Names on the wire for memories and retrieval, the same in every pinned version of the conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_semconv import attributes as k
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from kaizen_otel.invocations.base import Attributes
    from kaizen_otel.invocations.store import StoreInvocation


class StoreEmitter:
    """The part of an emitter that is about stores."""

    def store_name(self, access: StoreInvocation) -> str:
        """The span's name: by what is done, not by where."""
        operation = access.memory_operation
        return g.GenAiOperationName.RETRIEVAL.value if operation is None else f"memory {operation.value}"

    def store_start(self, access: StoreInvocation) -> Attributes:
        """Which store, for which session."""
        attributes: Attributes = {k.KAIZEN_STORE_TYPE: access.store_type}
        if access.memory_operation is None:
            attributes[g.GEN_AI_OPERATION_NAME] = g.GenAiOperationName.RETRIEVAL.value
        else:
            attributes[k.KAIZEN_MEMORY_OPERATION] = access.memory_operation.value
        if access.session_id is not None:
            attributes[g.SESSION_ID] = access.session_id
        return attributes

    def store_end(self, access: StoreInvocation) -> Attributes:
        """How much was found."""
        return {} if access.results is None else {k.KAIZEN_STORE_RESULTS: access.results}
