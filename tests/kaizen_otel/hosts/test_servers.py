"""Web servers: uvicorn (an event loop, threads) and gunicorn (forked workers, threads, greenlets)."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from kaizen_otel.demo.model_server import Reply, Rule
from tests.examples.programs import environment
from tests.kaizen_otel.hosts.trees import AGENT_TREE, trees_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.demo.model_server import ModelServer

APPLICATIONS = "tests.kaizen_otel.hosts.applications"
ROOT = Path(__file__).parents[3]
NAMES = [f"agent-{letter}" for letter in "abcdefgh"]
START_S = 120.0


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def serving(
    arguments: list[str],
    port: int,
    server: ModelServer,
    folder: Path,
    *,
    watched: bool = True,
    settings: dict[str, str] | None = None,
) -> Iterator[None]:
    """A web server as a process of its own, from its first answer to its orderly end."""
    output = {"KAIZEN_OTEL_FILE": str(folder / "runs.jsonl"), **(settings or {})} if watched else {}
    server.script([Rule(replies=Reply(text='{"answer": "seen"}'))])
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", *arguments],
            env=environment(folder, KAIZEN_MODEL_SERVER=server.url, PYTHONPATH=str(ROOT), **output),
            stdout=out,
            stderr=out,
        )
        try:
            listening = time.monotonic() + START_S
            while True:
                assert process.poll() is None, log.read_text()
                with closing(socket.socket()) as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert time.monotonic() < listening, log.read_text()
                time.sleep(0.05)
            yield
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            process.kill()
            process.wait()


def get_all(port: int, paths: list[str]) -> list[list[str]]:
    """The words of each answer; asked for at the same time."""

    def get(path: str) -> list[str]:
        with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as answer:
            return str(answer.read().decode()).split()

    with ThreadPoolExecutor(len(paths)) as pool:
        return list(pool.map(get, paths))


def expected_trees() -> list[str]:
    return [AGENT_TREE.format(name=name) for name in NAMES]


@pytest.mark.parametrize("way", ["", "blocking/", "thread/"], ids=["awaited", "blocking", "thread"])
def test_each_request_to_uvicorn_is_one_tree(way: str, model_server: ModelServer, tmp_path: Path) -> None:
    port = free_port()
    with serving(["uvicorn", f"{APPLICATIONS}:asgi", "--port", str(port)], port, model_server, tmp_path):
        answers = get_all(port, [f"{way}{name}" for name in NAMES])

    assert {answer[0] for answer in answers} <= {"seen", '{"answer":'}
    assert trees_in(tmp_path / "runs.jsonl") == expected_trees()
    assert len(model_server.requests) == len(NAMES)


@pytest.mark.parametrize("way", ["", "blocking/", "thread/"], ids=["awaited", "blocking", "thread"])
def test_each_request_to_uvicorns_workers_is_one_tree(way: str, model_server: ModelServer, tmp_path: Path) -> None:
    # Spawned processes: each loads the application, and calls `instrument()`, for itself.
    port = free_port()
    command = ["uvicorn", f"{APPLICATIONS}:asgi", "--port", str(port), "--workers", "2"]
    paths = [f"{way}{name}" for name in NAMES]
    with serving(command, port, model_server, tmp_path):
        answers = get_all(port, paths)
        for _ in range(20):  # until each worker had one
            if len({answer[-1] for answer in answers}) >= 2:
                break
            answers += get_all(port, paths)

    assert len({answer[-1] for answer in answers}) == 2
    assert trees_in(tmp_path / "runs.jsonl") == sorted(expected_trees() * (len(answers) // len(NAMES)))
    assert len(model_server.requests) == len(answers)


@pytest.mark.parametrize(
    ("options", "processes"),
    [
        (["--workers", "2"], 2),
        (["--workers", "2", "--preload"], 2),
        (["--threads", "4", "--worker-class", "gthread"], 1),
    ],
    ids=["workers", "forked after instrument()", "threads"],
)
def test_each_request_to_gunicorn_is_one_tree(
    options: list[str], processes: int, model_server: ModelServer, tmp_path: Path
) -> None:
    port = free_port()
    command = ["gunicorn", f"{APPLICATIONS}:wsgi", "--bind", f"127.0.0.1:{port}", *options]
    with serving(command, port, model_server, tmp_path):
        answers = get_all(port, NAMES)
        for _ in range(20):  # until each worker had one
            if len({answer[-2] for answer in answers}) >= processes:
                break
            answers += get_all(port, NAMES)

    assert len({answer[-2] for answer in answers}) == processes
    times = len(answers) // len(NAMES)
    assert trees_in(tmp_path / "runs.jsonl") == sorted(expected_trees() * times)
    assert len(model_server.requests) == len(answers)


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "unwatched"])
def test_under_gevent_kaizen_itself_cannot_ask_a_model(
    watched: bool, model_server: ModelServer, tmp_path: Path
) -> None:
    # Its threads are greenlets there, and all of them find the one event loop running already (kaizen 2.46).
    port = free_port()
    command = ["gunicorn", f"{APPLICATIONS}:wsgi", "--bind", f"127.0.0.1:{port}", "--worker-class", "gevent"]
    with serving(command, port, model_server, tmp_path, watched=watched):
        (answer,) = get_all(port, NAMES[:1])

    assert "seen" not in answer
    assert "asyncio.run() cannot be called from a running event loop" in (tmp_path / "server.log").read_text()
    assert model_server.requests == []
    if watched:
        assert trees_in(tmp_path / "runs.jsonl") == [expected_trees()[0].removesuffix("\n      chat gpt-4o")]
