from __future__ import annotations

import io
import logging
import queue
from logging.handlers import QueueHandler
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from kaizen_otel import log_correlation
from kaizen_otel.log_correlation import LogCorrelationFilter, install, uninstall
from kaizen_processors.fence import Fence

if TYPE_CHECKING:
    from collections.abc import Iterator

EXECUTION = "0af7651916cd43dd8448eb211c80319c"


def running() -> tuple[str, str]:
    return "researcher", EXECUTION


def idle() -> None:
    return None


@pytest.fixture(autouse=True)
def _factory_untouched() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    yield
    uninstall()
    log_correlation._installed = None
    logging.setLogRecordFactory(before)


@pytest.fixture
def logger() -> Iterator[tuple[logging.Logger, list[logging.LogRecord]]]:
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    named = logging.getLogger("test.log_correlation")
    handler = Keep()
    named.addHandler(handler)
    named.propagate = False
    named.setLevel(logging.DEBUG)
    yield named, records
    named.removeHandler(handler)
    named.propagate = True
    named.setLevel(logging.NOTSET)


Logger = tuple[logging.Logger, list[logging.LogRecord]]


def _attributes(record: logging.LogRecord, *names: str) -> list[Any]:
    return [record.__dict__[name] for name in names]


def test_every_record_carries_trace_agent_and_execution(logger: Logger) -> None:
    install(running)
    with TracerProvider().get_tracer("t").start_as_current_span("s") as span:
        logger[0].info("hello")
    context = span.get_span_context()
    assert _attributes(logger[1][0], "otelTraceID", "otelSpanID", "otelTraceSampled") == [
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        True,
    ]
    assert _attributes(logger[1][0], "kaizenAgentName", "kaizenExecutionID") == ["researcher", EXECUTION]


def test_outside_of_everything_the_names_are_there_without_ids(logger: Logger) -> None:
    install(idle)
    logger[0].info("hello")
    names = ("otelTraceID", "otelSpanID", "otelTraceSampled", "kaizenAgentName", "kaizenExecutionID")
    assert _attributes(logger[1][0], *names) == ["0", "0", False, "", ""]


def test_without_arguments_it_asks_for_the_running_execution(logger: Logger) -> None:
    install()
    logger[0].info("no execution runs here")
    assert _attributes(logger[1][0], "kaizenAgentName", "kaizenExecutionID") == ["", ""]


def test_an_applications_own_extra_of_the_plain_names_still_works(logger: Logger) -> None:
    install(running)
    logger[0].info("hello", extra={"agent_name": "mine", "trace_id": "mine", "execution_id": 7, "span_id": None})
    assert _attributes(logger[1][0], "agent_name", "trace_id", "execution_id", "span_id") == ["mine", "mine", 7, None]


def test_what_another_instrumentation_has_stamped_stays(logger: Logger) -> None:
    plain = logging.getLogRecordFactory()

    def official(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = plain(*args, **kwargs)
        record.__dict__.update(otelTraceID="theirs", otelSpanID="theirs", otelTraceSampled=True)
        return record

    logging.setLogRecordFactory(official)
    install(running)
    logger[0].info("hello")
    assert _attributes(logger[1][0], "otelTraceID", "otelSpanID", "kaizenAgentName") == [
        "theirs",
        "theirs",
        "researcher",
    ]


def test_a_hundred_cycles_restore_the_factory_by_identity() -> None:
    before = logging.getLogRecordFactory()
    for _ in range(100):
        install(running)
        install(running)
        assert logging.getLogRecordFactory() is not before
        uninstall()
        uninstall()
        assert logging.getLogRecordFactory() is before


def test_installing_twice_wraps_once() -> None:
    before = logging.getLogRecordFactory()
    install(running)
    ours = logging.getLogRecordFactory()
    install(running)
    assert logging.getLogRecordFactory() is ours
    assert isinstance(ours, log_correlation._RecordFactory)
    assert ours.previous is before


def test_the_last_installed_source_of_executions_counts(logger: Logger) -> None:
    install(idle)
    install(running)
    logger[0].info("hello")
    assert _attributes(logger[1][0], "kaizenAgentName") == ["researcher"]


def test_wrapped_by_another_factory_it_is_disarmed_and_armed_again_in_place(logger: Logger) -> None:
    install(running)
    ours = logging.getLogRecordFactory()

    def outer(*args: Any, **kwargs: Any) -> logging.LogRecord:
        return ours(*args, **kwargs)

    logging.setLogRecordFactory(outer)
    uninstall()
    assert logging.getLogRecordFactory() is outer
    logger[0].info("off")
    assert "kaizenAgentName" not in logger[1][0].__dict__
    install(running)
    assert logging.getLogRecordFactory() is outer
    logger[0].info("on again")
    assert _attributes(logger[1][1], "kaizenAgentName") == ["researcher"]


def test_thrown_out_by_another_factory_it_installs_anew(logger: Logger) -> None:
    plain = logging.getLogRecordFactory()
    install(running)
    logging.setLogRecordFactory(plain)
    install(running)
    logger[0].info("hello")
    assert _attributes(logger[1][0], "kaizenAgentName") == ["researcher"]


def test_a_failing_source_never_reaches_the_logging_call(logger: Logger) -> None:
    def broken() -> tuple[str, str]:
        raise RuntimeError("ours")

    fence = Fence()
    install(broken, fence)
    logger[0].info("hello")
    assert logger[1][0].getMessage() == "hello"
    assert _attributes(logger[1][0], "kaizenAgentName", "kaizenExecutionID") == ["", ""]
    assert fence.counts()["log_correlation.stamp:RuntimeError"] >= 1


@pytest.mark.parametrize("installed", [False, True])
def test_the_filter_gives_plain_names_to_a_format(installed: bool) -> None:
    if installed:
        install(running)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(LogCorrelationFilter(running))
    handler.setFormatter(logging.Formatter("%(trace_id)s %(span_id)s %(agent_name)s %(execution_id)s %(message)s"))
    record = logging.getLogger("test.filter").makeRecord("n", logging.INFO, "f", 1, "in no span", (), None)
    handler.handle(record)
    assert stream.getvalue() == f"  researcher {EXECUTION} in no span\n"


def test_the_filter_leaves_what_the_application_passed() -> None:
    record = logging.getLogger("test.filter").makeRecord(
        "n", logging.INFO, "f", 1, "m", (), None, extra={"agent_name": "mine"}
    )
    assert LogCorrelationFilter(running).filter(record)
    assert _attributes(record, "agent_name", "kaizenAgentName") == ["mine", "researcher"]


def test_a_record_stamped_before_a_queue_keeps_its_agent_behind_it(logger: Logger) -> None:
    install(running)
    waiting: queue.Queue[logging.LogRecord] = queue.Queue()
    handler = QueueHandler(waiting)
    logger[0].addHandler(handler)
    logger[0].info("hello")
    logger[0].removeHandler(handler)
    record = waiting.get_nowait()
    assert LogCorrelationFilter(idle).filter(record)
    assert _attributes(record, "agent_name", "execution_id") == ["researcher", EXECUTION]


def test_a_failing_filter_lets_the_record_pass() -> None:
    def broken() -> tuple[str, str]:
        raise RuntimeError("ours")

    fence = Fence()
    record = logging.makeLogRecord({"msg": "m"})
    assert LogCorrelationFilter(broken, fence).filter(record)
    assert _attributes(record, "trace_id", "agent_name", "execution_id") == ["", "", ""]
    assert fence.counts() == {"log_correlation.filter:RuntimeError": 1}
