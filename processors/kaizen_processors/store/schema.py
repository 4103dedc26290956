"""The tables of a store, as the steps that lead from an empty file to the version of today.

A file says in `user_version` how many of the steps it has behind it. An older one is brought up to date, a newer one is
left alone. A step that was released is never changed: what is to be different is another step.

Columns without a type hold what they are given: an integer where it fits into 64 bits, its decimal digits otherwise
(`rows.py`). Money is in 1e-24 USD, and passes that at ten thousandths of a cent.
"""

from __future__ import annotations

from typing import Final

from kaizen_processors.store.spent import COUNT_BYTES

STEPS: Final[tuple[tuple[str, ...], ...]] = (
    # 1: who works, and what was done when.
    (
        """
        CREATE TABLE workers (
          id INTEGER PRIMARY KEY AUTOINCREMENT,
          pid INTEGER NOT NULL,
          place TEXT NOT NULL,          -- where the pid means something: boot and pid namespace
          birth TEXT NOT NULL,          -- when the process began, as its system tells it: pids are used again
          started_ns INTEGER NOT NULL,  -- Unix nanoseconds; so are the others
          seen_ns INTEGER NOT NULL,
          ended_ns INTEGER,
          read_row INTEGER NOT NULL DEFAULT 0
        ) STRICT
        """,
        """
        CREATE TABLE names (
          id INTEGER PRIMARY KEY,
          agent TEXT NOT NULL,
          model TEXT NOT NULL,
          UNIQUE (agent, model)
        ) STRICT
        """,
        """
        CREATE TABLE slots (
          id INTEGER PRIMARY KEY AUTOINCREMENT,
          step INTEGER NOT NULL,        -- slots of ten seconds that it spans: 1, 6, 30 or 360
          number INTEGER NOT NULL,      -- of its first one, counted from the Unix epoch
          worker INTEGER NOT NULL,      -- 0 where those of all are added up
          name INTEGER NOT NULL,
          success, error, cancelled, model_calls, unpriced_calls, quality_count,
          input_tokens, output_tokens, cost_units, quality_units,
          latency BLOB NOT NULL         -- LogSketch.to_bytes, of nanoseconds; empty without executions
        )
        """,
        "CREATE INDEX slots_by_time ON slots (step, number)",
        "CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
        # `file`: another number in each file; `rolled`: the highest row of single slots that was rolled up or deleted;
        # `names`: one more each time that names were deleted.
        "INSERT INTO marks VALUES ('file', random()), ('rolled', 0), ('names', 0)",
    ),
    # 2: who judges, what stands, what was spent, and what workers keep for others to read.
    (
        """
        CREATE TABLE leases (
          name TEXT PRIMARY KEY,        -- what of: judge, upkeep
          worker INTEGER NOT NULL,      -- 0: nobody
          token INTEGER NOT NULL,       -- one more with every holder
          since_ns INTEGER NOT NULL,    -- Unix nanoseconds
          renewed_ns INTEGER NOT NULL   -- by the monotonic clock, which all processes of a host share
        ) STRICT
        """,
        "INSERT INTO leases VALUES ('judge', 0, 0, 0, 0), ('upkeep', 0, 0, 0, 0)",
        "CREATE TABLE sections (name TEXT PRIMARY KEY, json TEXT NOT NULL, saved_ns INTEGER NOT NULL) STRICT",
        """
        CREATE TABLE spent (
          budget TEXT NOT NULL,
          whose TEXT NOT NULL,          -- the agent, user or session; empty for all
          began_ns INTEGER NOT NULL,    -- of the period
          units TEXT NOT NULL,
          change INTEGER NOT NULL,      -- one more with every change of the table
          PRIMARY KEY (budget, whose, began_ns)
        ) STRICT
        """,
        "CREATE INDEX spent_by_change ON spent (change)",
        """
        CREATE TABLE blobs (
          worker INTEGER NOT NULL,      -- 0: of those that are gone, folded
          kind TEXT NOT NULL,
          data BLOB NOT NULL,
          saved_ns INTEGER NOT NULL,
          PRIMARY KEY (kind, worker)
        ) STRICT
        """,
    ),
    # 3: how far each worker has told; what alerts there were; what could not be read.
    (
        # The `serial` of the last slot, and the number of the last sums of budgets, that are in the file: `outbox.py`.
        "ALTER TABLE workers ADD COLUMN told_serial INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE workers ADD COLUMN told_spending INTEGER NOT NULL DEFAULT 0",
        f"INSERT INTO marks VALUES ('spent_bytes', ({COUNT_BYTES}))",  # noqa: S608 - our own
        """
        CREATE TABLE alerts (
          id TEXT PRIMARY KEY,          -- of this raising
          began_ns INTEGER NOT NULL,
          ended_ns INTEGER,             -- NULL while nobody said that it is over
          json TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX alerts_by_time ON alerts (began_ns)",
        """
        CREATE TABLE unreadable (
          id INTEGER PRIMARY KEY AUTOINCREMENT,
          source TEXT NOT NULL,         -- the table, and the kind of blob
          worker INTEGER NOT NULL,
          why TEXT NOT NULL,
          data BLOB NOT NULL,
          found_ns INTEGER NOT NULL
        ) STRICT
        """,
    ),
)

TABLES: Final = (
    ("workers", "names", "slots", "marks"),
    ("leases", "sections", "spent", "blobs"),
    ("alerts", "unreadable"),
)
"""What each step adds."""

VERSION: Final = len(STEPS)
"""What `user_version` says today."""
