"""`kalshi-daemon recording`: which recordings there are, whether they are whole, and what they hold, as tables.

Rules: a recording is only read, also beside the daemon that writes. `verify` says its verdict on standard output, and
the exit code is the verdict's. `export` needs the extra `record`, and writes over nothing.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from kalshi_daemon.errors import ConfigurationError, RecordingAbsent
from kalshi_daemon.standard_streams import say, say_lines

Action: TypeAlias = Callable[[argparse.Namespace], int]


def add_recording(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    recording = commands.add_parser("recording", help="list, verify or export what `run` recorded")
    actions = recording.add_subparsers(required=True, metavar="ACTION")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "path", type=Path, nargs="?", metavar="PATH", help="a directory or a segment (default: KALSHI_RECORDING_DIR)"
    )
    where.add_argument("--json", action="store_true", help="as one JSON object")

    def add(name: str, run: Action, meaning: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, parents=[where], help=meaning)
        action.set_defaults(run=run)
        return action

    add("list", _list, "the runs that were recorded, one a line")
    add("verify", _verify, "prove every block and every book; the exit code is the verdict's")
    export = add("export", _export, "write it as Parquet tables")
    export.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where the tables go; it is made")
    export.add_argument("--journal", type=Path, metavar="FILE", help="for the tables of observations and fills")


def _path(chosen: argparse.Namespace) -> Path:
    path: Path | None = chosen.path
    named = os.environ.get("KALSHI_RECORDING_DIR", "")
    if path is None and not named:
        raise RecordingAbsent("no recording is named: give a directory, or set KALSHI_RECORDING_DIR")
    return path or Path(named)


def _list(chosen: argparse.Namespace) -> int:
    from kalshi_daemon.replay.inspection import runs
    from kalshi_daemon.shell.recording_file import segments_of

    return _report({"runs": list(runs(segments_of(_path(chosen))))}, as_json=chosen.json)


def _verify(chosen: argparse.Namespace) -> int:
    from kalshi_daemon.replay.inspection import verify
    from kalshi_daemon.shell.recording_file import segments_of

    verified = verify(segments_of(_path(chosen)))
    _report(verified.as_dict(), as_json=chosen.json)
    return verified.exit_code


def _export(chosen: argparse.Namespace) -> int:
    try:
        from kalshi_daemon.replay.export_files import export
    except ModuleNotFoundError as missing:
        if missing.name != "pyarrow":
            raise
        raise ConfigurationError(
            "pyarrow is not installed: install the extra `record` (kalshi-daemon[record])"
        ) from None
    from kalshi_daemon.shell.recording_file import segments_of

    return _report(export(segments_of(_path(chosen)), chosen.to, chosen.journal), as_json=chosen.json)


def _report(values: Mapping[str, object], *, as_json: bool) -> int:
    import msgspec

    from kalshi_daemon.shell.journal_text import outline

    return say(msgspec.json.encode(values).decode()) if as_json else say_lines(outline(values))
