"""The log: one line per event on standard error, as key=value for people (a traceback below it) or as JSON.

Rules: values that look like secrets never reach a line, by name or by content. A value has a longest length. A log that
cannot be written (a closed pipe, a full disk) loses lines and never stops the daemon. Time comes in.
Libraries that use the standard library's logging appear in the same log, from warnings up.
"""

from __future__ import annotations

import logging as standard
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from kalshi_daemon.limits import LOG_VALUE_MAX
from kalshi_daemon.units import SECOND_MS, Milliseconds

log = structlog.get_logger()  # looks its configuration up at each line, so that it may be made before it
NOT_SHOWN: Final = "[not shown]"
_SECRET_NAME = re.compile(
    r"secret|password|passphrase|private_?key|signature|authorization|api_?key|access[-_]key|credential", re.IGNORECASE
)
_SECRET_VALUE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY")
_PRIORITY: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}  # syslog(3); journald reads it


class LogStream:
    """A text stream that never raises: there is nobody to tell that the log cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: the stream was closed
            return 0

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure_logging(
    log_format: str, level: str, stream: TextIO, now_ms: Callable[[], Milliseconds], *, journal: bool
) -> LogStream:
    """Set up structlog and the standard library's logging; `log_format` and `level` as in `config.py`."""
    guarded = LogStream(stream)
    machine = log_format == "json" or (log_format == "auto" and journal)

    def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["time"] = iso_time(now_ms())
        return event

    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        stamp,
        structlog.processors.format_exc_info,
        hide_secrets,
        structlog.processors.JSONRenderer(sort_keys=True) if machine else _render_text,
    ]
    if journal:
        processors.append(_prefix_priority)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(standard, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=guarded),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    standard.basicConfig(handlers=[_Forward()], level=standard.WARNING, force=True)
    return guarded


def is_journal(stream: TextIO, variables: Mapping[str, str]) -> bool:
    """Whether the stream is connected to the journal: `$JOURNAL_STREAM` is its device and inode (systemd.exec(5)).

    The variable alone says nothing: a shell inherits it.
    """
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return variables.get("JOURNAL_STREAM", "") == f"{found.st_dev}:{found.st_ino}"


def iso_time(at_ms: Milliseconds) -> str:
    moment = datetime.fromtimestamp(at_ms // SECOND_MS, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % SECOND_MS:03d}Z"


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor that keeps keys out: by the name of a field at any depth, and by what a text contains."""
    return {name: _hidden(name, value) for name, value in event.items()}


def _hidden(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name) and value:
        return NOT_SHOWN
    if isinstance(value, Mapping):
        return {str(key): _hidden(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden("", inner) for inner in value]
    if isinstance(value, bool | int | float) or value is None:
        return value
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if _SECRET_VALUE.search(text):
        return NOT_SHOWN
    return text if len(text) <= LOG_VALUE_MAX else f"{text[:LOG_VALUE_MAX]}… ({len(text)} characters)"


def _render_text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    head = f"{event.pop('time')} {event.pop('level'):<7} {_one_line(event.pop('event'))}"
    trace = event.pop("exception", "")
    pairs = "".join(f" {name}={_quoted(value)}" for name, value in event.items())
    return head + pairs + (f"\n{trace}" if trace else "")


def _one_line(value: object) -> str:
    return str(value).replace("\r", "\\r").replace("\n", "\\n")


def _quoted(value: object) -> str:
    text = _one_line(value)
    return text if re.fullmatch(r"[^\s\"=]+", text) else '"' + text.replace('"', '\\"') + '"'


def _prefix_priority(_logger: WrappedLogger, method: str, line: Any) -> str:
    """The line as journald wants it, so that `journalctl --priority` works. It comes after the renderer."""
    return f"<{_PRIORITY.get(method, 6)}>{line}"


class _Forward(standard.Handler):
    """What libraries log through the standard library."""

    def emit(self, record: standard.LogRecord) -> None:
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
