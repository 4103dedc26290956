"""A connection does not cross a fork: the child is another worker, and the parent goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_processors.store import StoreReader
from kaizen_processors.windows import Group
from tests.processors.forking import needs_fork, run_forking

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import os
from pathlib import Path
from tests.processors.store.host import Host
from tests.processors.windows.records import call

host = Host(Path(FOLDER), 1, lease_s=3_600.0)  # the child's clock goes on by itself
(worker,) = host.workers
worker.see(call())
host.settle()
assert worker.store.leads()
worker.see(call())  # in the open slot when it forks
worker.store.put_blob("kind", b"parent")
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        assert not worker.store.leads()
        assert worker.windows.read().sums.model_calls == 0
        worker.see(call())
        host.wait(10.0)
        worker.tick()
        assert worker.windows.read().sums.model_calls >= 2, worker.windows.read()
        assert not worker.store.leads()
        worker.store.put_blob("kind", b"child")
        worker.store.shutdown()
        assert not worker.failures, worker.failures
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
host.settle()
assert worker.windows.read().sums.model_calls == 5, worker.windows.read()
assert worker.store.leads()
worker.store.shutdown()
assert not worker.failures, worker.failures
print("done")
"""


@needs_fork
def test_a_forked_child_is_another_worker(tmp_path: Path) -> None:
    run_forking(PROGRAM.replace("FOLDER", repr(str(tmp_path))))
    with StoreReader(tmp_path / "store.db") as reader:
        assert len(reader.workers()) == 4
        began_ns = reader.began_ns()
        assert began_ns is not None
        (hour,) = reader.history(began_ns, began_ns + 1, 3_600, Group())
        assert hour.sums.model_calls == 5
        assert sorted(data for _, data in reader.blobs("kind")[0]) == [b"child"] * 3 + [b"parent"]


TORN = """
import os, threading
from pathlib import Path
from kaizen_processors.store import store as parts
from tests.processors.store.host import Host
from tests.processors.windows.records import call

parts._FORK_WAIT_S = 0.1
host = Host(Path(FOLDER), 1)
(worker,) = host.workers
worker.see(call())
host.settle()
writing, forked = threading.Event(), threading.Event()

def write():
    with worker.store._lock, worker.store._database.write() as connection:
        connection.execute("UPDATE workers SET seen_ns = seen_ns")
        writing.set()
        assert forked.wait(30.0)

writer = threading.Thread(target=write)
writer.start()
assert writing.wait(30.0)
child = os.fork()
if not child:
    worker.see(call())
    host.settle()
    assert worker.windows.read().sums.model_calls == 1
    assert set(worker.failures) == {"forked"}, worker.failures
    host.pass_time(61)
    assert worker.store.leads()  # of its own work: nobody else sees it
    worker.store.shutdown()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
forked.set()
writer.join()
worker.see(call())
host.settle()
assert worker.windows.read().sums.model_calls == 2
worker.store.shutdown()
assert not worker.failures, worker.failures
"""


@needs_fork
def test_a_child_that_was_forked_in_the_middle_of_a_transaction_leaves_the_file_alone(tmp_path: Path) -> None:
    run_forking(TORN.replace("FOLDER", repr(str(tmp_path))))
    assert not (tmp_path / "store.db.corrupt").exists()
    with StoreReader(tmp_path / "store.db") as reader:
        assert len(reader.workers()) == 1
