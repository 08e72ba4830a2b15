"""shell/logging.py: lines for people and for machines, without secrets, and never a reason to stop."""

from __future__ import annotations

import io
import json
import logging as standard
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from kalshi_daemon.limits import LOG_VALUE_MAX
from kalshi_daemon.shell.logging import NOT_SHOWN, configure_logging, is_journal, iso_time

AT_MS = 1_795_500_000_123  # 2026-11-24T06:00:00.123Z


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logging is the process's: put back what pytest had."""
    root = standard.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def configured(log_format: str = "text", level: str = "info", *, journal: bool = False) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(log_format, level, stream, lambda: AT_MS, journal=journal)
    return stream


def test_text_is_one_line_of_key_values() -> None:
    """Time, level, event, then pairs; what has spaces is quoted and a newline cannot forge a second line."""
    stream = configured()
    structlog.get_logger().warning("frame refused", kind="unknown", text='a "b"\nc', count=3, none=None)
    assert stream.getvalue() == (
        '2026-11-24T06:00:00.123Z warning frame refused kind=unknown text="a \\"b\\"\\nc" count=3 none=None\n'
    )


def test_json_is_one_object_a_line() -> None:
    """Machines get the same fields; the journal gets a priority before them, so that it can filter by it."""
    stream = configured("json")
    structlog.get_logger().info("filled", market="KXA-26", count=5)
    assert json.loads(stream.getvalue()) == {
        "count": 5,
        "event": "filled",
        "level": "info",
        "market": "KXA-26",
        "time": "2026-11-24T06:00:00.123Z",
    }
    journal = configured("auto", journal=True)
    structlog.get_logger().error("alarm")
    assert journal.getvalue().startswith('<3>{"event": "alarm"')


def test_levels_below_the_configured_one_are_not_written() -> None:
    """At warning, info is silent."""
    stream = configured(level="warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"private_key": "hunter2"},
        {"KALSHI-ACCESS-SIGNATURE": "hunter2"},
        {"api_key_id": "hunter2"},
        {"headers": {"KALSHI-ACCESS-KEY": "hunter2", "Authorization": ["hunter2"]}},
        {"text": "-----BEGIN PRIVATE KEY-----\nhunter2"},
        {"requests": [{"password": "hunter2"}]},
        {"body": b"-----BEGIN RSA PRIVATE KEY-----hunter2"},
    ],
)
def test_secrets_do_not_reach_the_log(fields: dict[str, object]) -> None:
    """Hidden by name at any depth, and by content; the rest of the line is still there."""
    for log_format in ("text", "json"):
        stream = configured(log_format)
        structlog.get_logger().info("sent", status=401, **fields)
        assert "hunter2" not in stream.getvalue()
        assert NOT_SHOWN in stream.getvalue()
        assert "401" in stream.getvalue()


def test_a_long_value_is_cut() -> None:
    """A frame of megabytes is not repeated in the log."""
    stream = configured()
    structlog.get_logger().info("frame", text="x" * 100_000)
    assert len(stream.getvalue()) < LOG_VALUE_MAX + 200
    assert "(100000 characters)" in stream.getvalue()


def test_a_traceback_stands_below_its_line() -> None:
    """The text form keeps the traceback readable."""
    stream = configured()
    try:
        int("no such thing")
    except ValueError:
        structlog.get_logger().exception("crashed", task="poller")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "2026-11-24T06:00:00.123Z error   crashed task=poller"
    assert lines[-1] == "ValueError: invalid literal for int() with base 10: 'no such thing'"


def test_libraries_appear_in_the_same_log() -> None:
    """The standard library's logging goes through the same lines from warnings up."""
    stream = configured()
    standard.getLogger("httpx").info("GET https://demo-api.kalshi.co")
    standard.getLogger("httpx").warning("slow %s", "host")
    assert stream.getvalue() == "2026-11-24T06:00:00.123Z warning slow host logger=httpx\n"


def test_a_closed_stream_loses_lines_and_nothing_else() -> None:
    """A log that cannot be written raises nothing, and the daemon goes on."""
    stream = io.StringIO()
    configure_logging("text", "info", stream, lambda: AT_MS, journal=False)
    stream.close()
    structlog.get_logger().info("lost")


def test_the_journal_is_known_by_its_inode(tmp_path: Path) -> None:
    """An inherited $JOURNAL_STREAM that is not this stream says nothing."""
    with (tmp_path / "log").open("w") as stream:
        found = os.fstat(stream.fileno())
        assert is_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        assert not is_journal(stream, {"JOURNAL_STREAM": "8:1"})
        assert not is_journal(stream, {})
    assert not is_journal(io.StringIO(), {"JOURNAL_STREAM": "8:1"})


def test_times_are_utc_with_milliseconds() -> None:
    """A time is exact to the millisecond, without a float between."""
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"
    assert iso_time(AT_MS) == "2026-11-24T06:00:00.123Z"
