"""Logging: one shape for all records, three places, and a sink that never gets in the way."""

import asyncio
import gc
import json
import logging as stdlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog

from common import context, logging
from common.settings import ServiceSettings

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
log = structlog.get_logger("test.logging")
Configure = Callable[..., logging.LogSink]


@pytest.fixture
def configure(logging_restored: None) -> Configure:
    """Configures logging for one test."""

    def configured(**values: Any) -> logging.LogSink:
        settings = ServiceSettings(instance="here", log_to_stdout=values.pop("log_to_stdout", False), **values)
        sink = logging.configure(settings, "jobs")
        structlog.configure(cache_logger_on_first_use=False)  # or what logs meanwhile would stay as it is now
        sink.drain(10_000)
        return sink

    return configured


def only(sink: logging.LogSink) -> dict[str, Any]:
    [record] = sink.drain(10)
    return record


def test_a_record_carries_its_keys_the_service_and_the_context(configure: Configure) -> None:
    sink = configure()
    with context.bound(correlation_id="c-1", traceparent=TRACEPARENT, job_id="j-1"):
        log.info("chunk decoded", chunk=3, seconds=1.5)
    record = only(sink)
    assert UUID(record.pop("log_id")).version == 4
    assert record.pop("timestamp").endswith("+00:00")
    assert record == {
        "level": "info",
        "event": "chunk decoded",
        "service": "jobs",
        "instance": "here",
        "logger": "test.logging",
        "correlation_id": "c-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "job_id": "j-1",
        "chunk": 3,
        "seconds": 1.5,
    }


def test_what_is_not_known_is_left_out(configure: Configure) -> None:
    sink = configure()
    log.warning("something")
    assert not {"correlation_id", "trace_id", "job_id", "exception"} & only(sink).keys()


def test_a_key_given_by_hand_wins_over_the_context_but_not_over_what_the_record_says_itself(
    configure: Configure,
) -> None:
    sink = configure()
    with context.bound(job_id="from context"):
        log.info("upstream answered", job_id="by hand", service="auth")
    record = only(sink)
    assert (record["job_id"], record["service"], record["service_"]) == ("by hand", "jobs", "auth")


def test_records_of_the_standard_library_look_the_same(configure: Configure) -> None:
    sink = configure()
    with context.bound(correlation_id="c-2"):
        stdlib.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    record = only(sink)
    assert (record["event"], record["level"], record["logger"]) == (
        "Started server process [7]",
        "info",
        "uvicorn.error",
    )
    assert record["correlation_id"] == "c-2"


@pytest.mark.parametrize("logger", [log, stdlib.getLogger("some.package")])
def test_an_exception_comes_with_its_traceback(configure: Configure, logger: Any) -> None:
    sink = configure()
    try:
        raise LookupError("what was lost")
    except LookupError:
        logger.exception("search failed")
    record = only(sink)
    assert record["level"] == "error"
    assert record["exception"].startswith("Traceback")
    assert record["exception"].endswith("LookupError: what was lost")


def test_an_exception_can_be_handed_over_outside_of_its_handler(configure: Configure) -> None:
    sink = configure()
    log.error("task failed", exc_info=LookupError("what was lost"))
    assert only(sink)["exception"] == "LookupError: what was lost"


def test_an_endless_traceback_keeps_its_end(configure: Configure) -> None:
    sink = configure()
    log.error("task failed", exc_info=LookupError("x" * 100_000 + " the end"))
    text = only(sink)["exception"]
    assert len(text) == logging.EXCEPTION_CAPACITY
    assert text.endswith("the end")


def test_all_values_can_be_written_as_json(configure: Configure) -> None:
    sink = configure()
    log.info("odd values", path=Path("/a"), job=UUID(int=1), raw=b"\xff", nan=float("nan"), many={1: (2, {3})})
    record = json.loads(json.dumps(only(sink), allow_nan=False))
    assert record["path"] == "/a"
    assert record["job"] == "00000000-0000-0000-0000-000000000001"
    assert record["nan"] == "nan"
    assert record["many"] == {"1": [2, [3]]}


def test_stdout_gets_one_line_of_json_per_record(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    sink = configure(log_to_stdout=True)
    log.info("first\nline", text="über")
    log.info("second")
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first) == sink.drain(1)[0]
    assert "über" in first
    assert json.loads(second)["event"] == "second"


def test_the_console_shows_times_of_the_zone_that_is_set(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = configure(log_to_stdout=True, log_format="console", timezone="Asia/Kolkata")
    structlog.get_logger("test").info("lunch")
    assert "+05:30" in capsys.readouterr().out
    assert sink.drain(1)[0]["timestamp"].endswith("+00:00")


def test_the_console_format_is_made_for_people(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_to_stdout=True, log_format="console")
    log.info("chunk decoded", chunk=3)
    try:
        raise LookupError("what was lost")
    except LookupError:
        log.exception("search failed")
    out = capsys.readouterr().out
    assert "chunk decoded" in out
    assert "chunk=3" in out
    assert "log_id" not in out
    assert "\nLookupError: what was lost" in out


def test_levels_below_the_configured_one_go_nowhere(configure: Configure) -> None:
    sink = configure(log_level="WARNING")
    log.info("not this")
    stdlib.getLogger("uvicorn.error").info("nor this")
    log.warning("but this")
    assert [record["event"] for record in sink.drain(10)] == ["but this"]


def test_the_file_is_named_after_the_service_and_turned_over_at_its_limit(configure: Configure, tmp_path: Path) -> None:
    configure(log_dir=tmp_path / "logs", log_max_bytes=2_000, log_backup_count=2)
    for number in range(30):
        log.info("line", number=number)
    files = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert files == ["jobs.log", "jobs.log.1", "jobs.log.2"]
    assert all((tmp_path / "logs" / name).stat().st_size <= 2_000 for name in files)
    last = (tmp_path / "logs" / "jobs.log").read_text(encoding="utf-8").splitlines()[-1]
    assert json.loads(last)["number"] == 29


def test_a_file_that_another_process_turned_over_is_followed(configure: Configure, tmp_path: Path) -> None:
    configure(log_dir=tmp_path)
    log.info("before")
    (tmp_path / "jobs.log").rename(tmp_path / "jobs.log.1")
    log.info("after")
    assert "before" in (tmp_path / "jobs.log.1").read_text(encoding="utf-8")
    assert "after" in (tmp_path / "jobs.log").read_text(encoding="utf-8")


def test_configuring_again_replaces_and_does_not_double(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    first = configure(log_to_stdout=True)
    second = configure(log_to_stdout=True)
    log.info("once")
    assert first is second is logging.sink()
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert len(second.drain(10)) == 1


@pytest.mark.parametrize(
    "name", ["aio_pika", "aio_pika.robust_connection", "aiormq.connection", "common.messaging.logs"]
)
def test_what_publishing_says_does_not_go_to_the_bus(
    configure: Configure, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    sink = configure(log_to_stdout=True, log_level="DEBUG")
    stdlib.getLogger(name).error("connection lost")
    structlog.get_logger(name).error("records dropped")
    assert sink.drain(10) == []
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("name", ["common.messaging.outbox", "aio_pikachu"])
def test_neighbours_of_those_loggers_do_go_to_the_bus(configure: Configure, name: str) -> None:
    sink = configure()
    structlog.get_logger(name).error("something")
    assert only(sink)["logger"] == name


def test_clients_that_print_whole_urls_are_quiet_even_when_debugging(configure: Configure) -> None:
    sink = configure(log_level="DEBUG")
    stdlib.getLogger("httpx").info("HTTP Request: GET http://store/key?X-Amz-Signature=s")
    stdlib.getLogger("aio_pika").debug("frame")
    assert sink.drain(10) == []


def test_a_full_sink_drops_the_oldest_and_counts() -> None:
    sink = logging.LogSink(capacity=3)
    for number in range(5):
        sink.put({"number": number})
    assert sink.dropped == 2
    assert [record["number"] for record in sink.drain(2)] == [2, 3]
    assert [record["number"] for record in sink.drain(2)] == [4]
    assert sink.drain(2) == []


def test_what_is_put_back_comes_first_again_and_loses_to_newer_records_when_there_is_no_room() -> None:
    sink = logging.LogSink(capacity=4)
    for number in range(3):
        sink.put({"number": number})
    taken = sink.drain(2)
    sink.put({"number": 3})
    sink.put_back(taken)
    assert [record["number"] for record in sink.drain(9)] == [0, 1, 2, 3]
    for number in range(4, 7):
        sink.put({"number": number})
    sink.put_back(taken)
    assert [record["number"] for record in sink.drain(9)] == [1, 4, 5, 6]
    assert sink.dropped == 1


async def test_waiting_ends_at_once_when_something_is_there() -> None:
    sink = logging.LogSink()
    sink.put({})
    await asyncio.wait_for(sink.wait(), 1)


async def test_a_record_from_a_thread_wakes_the_waiting_loop() -> None:
    sink = logging.LogSink()
    waiting = asyncio.create_task(sink.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    await asyncio.to_thread(sink.put, {"number": 1})
    await asyncio.wait_for(waiting, 5)
    assert sink.drain(1) == [{"number": 1}]


async def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    sink = logging.LogSink()
    waiting = asyncio.create_task(sink.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    sink.put({})
    await asyncio.wait_for(sink.wait(), 1)


def test_a_closed_loop_that_still_waits_does_no_harm() -> None:
    sink = logging.LogSink()
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(sink.wait())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    sink.put({"number": 1})
    assert sink.drain(1) == [{"number": 1}]
    waiting._log_destroy_pending = False  # type: ignore[attr-defined] # its loop is gone on purpose
    waiting.get_coro().close()


async def test_many_threads_and_one_drainer_lose_nothing() -> None:
    sink = logging.LogSink(capacity=100_000)

    def fill() -> None:
        for number in range(2_000):
            sink.put({"number": number})

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    taken = 0
    async with asyncio.timeout(20):
        while taken < 8_000:
            await sink.wait()
            taken += len(sink.drain(500))
    for thread in threads:
        thread.join()
    assert (taken, sink.dropped) == (8_000, 0)


def test_logging_from_the_garbage_collector_inside_the_sink_does_not_deadlock(configure: Configure) -> None:
    sink = configure()

    class Noisy:
        def __init__(self) -> None:
            self.itself = self  # only the collector can free it

        def __del__(self) -> None:
            log.warning("collected")

    def drain() -> None:
        with sink._lock:
            Noisy()
            gc.collect()

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert only(sink)["event"] == "collected"


def test_the_server_logs_addresses_of_web_sockets_without_their_query(configure: Configure) -> None:
    sink = configure(log_level="DEBUG")
    server = stdlib.getLogger("uvicorn.error")
    server.info('%s - "WebSocket %s" [accepted]', "127.0.0.1:5", "/ws/logs/x?token=secret")
    assert only(sink)["event"] == '127.0.0.1:5 - "WebSocket /ws/logs/x" [accepted]'
    server.debug("< %s: %s", "authorization", "Bearer secret")
    assert sink.drain(10) == []
