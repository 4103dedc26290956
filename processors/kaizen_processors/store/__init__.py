"""One file that all processes of a host share: their history, who of them judges, and what stands.

    store = Store(Path("kaizen-otel.db"), Windows(aligned=True))
    ticker.add("store.beat", store.beat, every_s=BEAT_S)

`StoreReader` reads it from any other process, `store_of_pid` finds it.
"""

from kaizen_processors.store.database import StoreError
from kaizen_processors.store.history import Period
from kaizen_processors.store.lease import LeaseState
from kaizen_processors.store.notes import store_of_pid, stores_of_running
from kaizen_processors.store.options import StoreOptions
from kaizen_processors.store.processes import Worker
from kaizen_processors.store.reader import BudgetStanding, Spending, StoreReader
from kaizen_processors.store.sections import StoredState
from kaizen_processors.store.store import Store

__all__ = [
    "BudgetStanding",
    "LeaseState",
    "Period",
    "Spending",
    "Store",
    "StoreError",
    "StoreOptions",
    "StoreReader",
    "StoredState",
    "Worker",
    "store_of_pid",
    "stores_of_running",
]
