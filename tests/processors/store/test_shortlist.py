"""The worst executions of several processes are those that one process would have named."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.alerts.ranking import Finished, namable, rank
from kaizen_processors.alerts.shortlist import KIND, Shortlist
from kaizen_processors.alerts.values import EVERYTHING, Group
from kaizen_processors.alerts.window_values import WindowValues
from kaizen_processors.fence import Fence
from kaizen_processors.ledger import TallySnapshot
from kaizen_processors.recent import RecentExecutions
from kaizen_processors.snapshots import Snapshots
from tests.processors.forking import needs_fork, run_forking
from tests.processors.store.host import NS, Host, Worker
from tests.processors.windows.records import CENT, execution

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_processors.execution import ExecutionRecord

CONDITIONS = ("p95_latency", "error_rate", "cost_per_hour", "tokens_per_second", "quality_average")
GROUPS = (EVERYTHING, *(Group("agent", name) for name in ("ann", "bob")), *(Group("model", name) for name in "mn"))
WINDOWS_S = (15.0, 60.0, 300.0, 3_600.0)


FORKING = """
import json, os, random
from pathlib import Path
from tests.processors.store.host import Host
from tests.processors.store.test_shortlist import KIND, Part, some

host = Host(Path(FOLDER), 1, lease_s=3_600.0)
part = Part(host, host.workers[0])
part.see(some(host, 1, random.Random(0)))
host.settle()
child = os.fork()
if not child:
    part.see(some(host, 2, random.Random(0)))
    part.worker.store.shutdown()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
host.settle()
left = [[one[0] for one in json.loads(data)] for _, data in part.worker.store.blobs(KIND)[0]]
assert left == [["e0001"], ["e0002"]], left
print("done")
"""


class Part:
    """What one worker keeps of its executions, and what it would name."""

    def __init__(self, host: Host, worker: Worker, keep: int = 1_000, **options: Any) -> None:
        self.worker = worker
        self.fence = Fence()
        self.recent = RecentExecutions(host.clock, keep)
        self.shortlist = Shortlist(self.recent, worker.store, host.clock, self.fence, **options)
        snapshots = Snapshots(worker.windows, host.clock)
        self.values = WindowValues(snapshots, self.recent, host.clock, self.shortlist.of_all)

    def see(self, record: ExecutionRecord) -> None:
        self.worker.see(record)
        self.recent.on_execution(record)

    def worst(self, condition: str = "p95_latency", group: Group = EVERYTHING, window_s: float = 3_600.0) -> list[str]:
        return [one.execution_id for one in self.values.worst(condition, group, window_s, 3)]


def some(host: Host, number: int, chance: random.Random, **given: Any) -> ExecutionRecord:
    """An execution that ends now, of few different figures: many are equally bad."""
    duration_ms = given.pop("duration_ms", chance.choice((100, 200, 300, 4_000)))
    own = TallySnapshot(1, chance.randrange(5) * 100, 0, chance.randrange(5) * CENT)
    fields = {
        "agent": chance.choice(("ann", "ann", "bob")),
        "model": chance.choice("mn"),
        "execution_id": f"e{number:04}",
        "status": chance.choice(("success", "success", "error", "cancelled")),
        "quality_score": chance.choice((None, 0.25, 0.5, 1.0)),
        "trace_id": number + 1,
        "own": own,
        "total": own,
        **given,
    }
    return execution(start_time_ns=host.clock.time_ns() - duration_ms * 10**6, duration_ms=duration_ms, **fields)


@pytest.mark.parametrize("seed", range(4))
def test_several_processes_name_what_one_would(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    host = Host(tmp_path, 5)
    parts = [Part(host, worker) for worker in host.workers]
    judge, workers = parts[0], parts[1:]
    alone = RecentExecutions(host.clock)
    one_process = WindowValues(judge.values._snapshots, alone, host.clock)
    for number in range(400):
        record = some(host, number, chance)
        chance.choice(workers).see(record)
        alone.on_execution(record)
        host.pass_time(chance.choice((0, 1, 2)))
    host.settle()
    for condition in CONDITIONS:
        for group in GROUPS:
            for window_s in WINDOWS_S:
                named = judge.values.worst(condition, group, window_s, 3)
                assert named == one_process.worst(condition, group, window_s, 3), (condition, group, window_s)
    assert judge.worst() != []
    left = [json.loads(data) for _, data in judge.worker.store.blobs(KIND)[0]]
    assert 0 < sum(map(len, left)) < 300
    assert not any(part.fence.counts() for part in parts)


@pytest.mark.parametrize("seed", range(4))
def test_no_window_of_any_group_misses_what_was_not_chosen(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    offered: list[Finished] = []
    chosen: list[Finished] = []
    for number in range(300):
        agent, model = chance.choice(("ann", "bob")), chance.choice("mn")
        took_ns, ended_ns = chance.randrange(1, 60) * NS, 10**18 + number // 2 * NS  # two end at a time
        one = Finished(f"e{number}", "", agent, model, "success", ended_ns - took_ns, took_ns, 0, 0, None)
        offered.append(one)
        chosen = namable([*chosen, one], ended_ns)
    assert len(chosen) < 150

    def worst(of: list[Finished], group: Group, since_ns: int) -> list[Finished]:
        of = [
            one
            for one in of
            if one.ended_ns >= since_ns and group.key in {"", one.agent_name if group.by == "agent" else one.model}
        ]
        return sorted(of, key=lambda one: rank("p95_latency", one) or (), reverse=True)[:3]

    for group in GROUPS:
        for since_ns in {one.ended_ns for one in offered}:
            assert worst(chosen, group, since_ns) == worst(offered, group, since_ns)


def test_they_are_known_when_the_sums_are(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    judge, worker = (Part(host, one) for one in host.workers)
    host.pass_time(1)
    worker.see(some(host, 1, random.Random(0)))  # noqa: S311 - not for secrets
    for _ in range(15):
        host.pass_time(1)
        known = judge.worker.windows.read().sums.executions
        assert not known or judge.worst() == ["e0001"]
    assert known


def test_what_a_process_leaves_at_its_end_goes_on_to_be_named_until_it_is_out_of_the_window(tmp_path: Path) -> None:
    chance = random.Random(0)  # noqa: S311 - not for secrets
    host = Host(tmp_path, 3)
    judge, *gone = (Part(host, one) for one in host.workers)
    host.pass_time(1)
    for number, part in enumerate(gone):
        part.see(some(host, number, chance, duration_ms=1_000 - number))
        part.worker.store.shutdown()  # in the middle of a slot
    del host.workers[1:]
    assert judge.worst() == ["e0000", "e0001"]
    host.pass_time(62)
    found, folded = judge.worker.store.blobs(KIND)
    assert [json.loads(data) for _, data in found] in ([], [[]])
    assert folded is not None
    assert judge.worst() == ["e0000", "e0001"]
    assert judge.worst(window_s=60.0) == []
    host.wait(86_400.0)
    assert json.loads(judge.shortlist.fold(folded, b"[]")) == []


def test_what_left_the_buffer_is_still_named(tmp_path: Path) -> None:
    chance = random.Random(0)  # noqa: S311 - not for secrets
    host = Host(tmp_path, 1)
    part = Part(host, host.workers[0], keep=5)
    for number in range(50):
        part.see(some(host, number, chance, agent="ann", duration_ms=1_000 - number))
        host.pass_time(3)
    assert part.worst() == ["e0000", "e0001", "e0002"]


@pytest.mark.parametrize("agents", [1, 400])
def test_a_shortlist_is_bounded_and_keeps_the_worst_of_all(agents: int) -> None:
    now_ns = 10**18
    # The worst case: each is better than the one before, so that any of them is the worst of some window.
    offered = [
        Finished(f"e{n}", "", f"a{n % agents}", "m", "error", now_ns - (4_000 - n) * 20 * NS, 4_000 - n, 0, 0, 0.5)
        for n in range(4_000)
    ]
    kept = namable(offered, now_ns)
    assert 0 < len(kept) <= 500

    def worst(of: list[Finished], window_s: int) -> list[str]:
        placed = [(rank("p95_latency", one), one) for one in of if one.ended_ns >= now_ns - window_s * NS]
        return [one.execution_id for _, one in sorted(placed, reverse=True)[:3]]

    assert worst(kept, 86_400) == worst(offered, 86_400)
    # The far end is cut by powers of two of ten seconds: what is named lies in the window, if not at its very end.
    assert all(len(worst(kept, window_s)) == 3 for window_s in (60, 300, 3_600))


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    part, other = Part(host, host.workers[0]), host.workers[1]
    part.see(some(host, 1, random.Random(0)))  # noqa: S311 - not for secrets
    host.settle()
    for data in (b"\xff", b"{}", b"[[1]]", b'[["e","","a","m","error","now",1,1,1,null]]', b"[" * 100_000):
        other.store.put_blob(KIND, data)
        host.pass_time(1)
        assert part.worst() == ["e0001"]
    part.worker.store.shutdown()
    assert part.worst() == ["e0001"]
    with pytest.raises(Exception, match="not open"):
        part.worker.store.blobs(KIND)


def test_nothing_of_a_user_is_left(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    part = Part(host, host.workers[0])
    secret = {name: f"secret-{name}" for name in ("user_id", "session_id", "conversation_id", "error_message")}
    part.see(some(host, 1, random.Random(0), **secret, tags=("secret",), metadata={"x": "secret"}))  # noqa: S311
    host.settle()
    ((_, data),) = part.worker.store.blobs(KIND)[0]
    assert b"e0001" in data
    assert b"secret" not in data


@needs_fork
def test_a_forked_child_leaves_only_what_it_ran_itself(tmp_path: Path) -> None:
    run_forking(FORKING.replace("FOLDER", repr(str(tmp_path))))
