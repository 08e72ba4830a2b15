"""Faults as texts, for `--fault` and the control endpoint.

    KIND[:FIGURE...][@FROM-[TO]][%PERCENT][xTIMES]

`error:503:/orders@10-60%25x3`: from 10 s to 60 s, a quarter of the requests with `/orders` in their path, three at
most, are answered with 503. Rules: what is written reads back as the same value; a text that does not read is refused
in one line; a figure that is left out has its default.
"""

from __future__ import annotations

import re
from typing import Final

from kalshi_daemon.emulator.bounds import FAULT_TEXT_MAX, FAULT_TIMES_MAX
from kalshi_daemon.emulator.fault_figures import FaultRefused, seconds
from kalshi_daemon.emulator.faults import KINDS, NEEDED, STATE, Fault, PlannedFault
from kalshi_daemon.units import SECOND_MS


def write_fault(planned: PlannedFault) -> str:
    """As `parse_fault` reads it."""
    text = ":".join([planned.fault.kind.word, *_figures(planned.fault)])
    if planned.from_ms or planned.to_ms is not None:
        to = "" if planned.to_ms is None else f"{planned.to_ms / SECOND_MS:.10g}"
        text += f"@{planned.from_ms / SECOND_MS:.10g}-{to}"
    if planned.percent != 100:
        text += f"%{planned.percent:.10g}"
    return text + ("" if planned.times is None else f"x{planned.times}")


def _figures(fault: Fault) -> list[str]:
    """Its figures as texts, without the defaults at the end."""
    texts: list[str] = []  # from the last on, so that a default is written only before one that is none
    for each, value in zip(reversed(fault.kind.figures), reversed(fault.values), strict=True):
        if value != each.default or texts:
            shown = f"{value:.10g}" if isinstance(value, float) else str(value)
            texts.insert(0, "" if value is None else shown)
    return texts


_TEXT: Final = re.compile(
    r"(?P<kind>[a-z-]+)(?P<figures>(?::[^@%\s:]*?)*)"
    r"(?:@(?P<begins>[\d.]+)-(?P<ends>[\d.]*))?(?:%(?P<percent>[\d.]+))?(?:x(?P<times>\d+))?",
    re.ASCII,
)


def parse_fault(text: str) -> PlannedFault:
    """Raises FaultRefused."""
    if len(text) > FAULT_TEXT_MAX:
        raise FaultRefused(f"a fault has {FAULT_TEXT_MAX} characters at most, and this has {len(text)}")
    match = _TEXT.fullmatch(text)
    if match is None:
        raise FaultRefused(f"{text!r} does not read as KIND[:FIGURE...][@FROM-[TO]][%PERCENT][xTIMES]")
    fault = _read_kind(match["kind"], match["figures"].split(":")[1:])
    begins = seconds(match["begins"] or "0")
    ends = seconds(match["ends"]) if match["ends"] else None
    if ends is not None and ends <= begins:
        raise FaultRefused(f"{text!r} ends before it begins")
    percent, times = _percent(match["percent"] or "100"), int(match["times"]) if match["times"] else None
    if times is not None and not 0 < times <= FAULT_TIMES_MAX:
        raise FaultRefused(f"{times} times: above 0 and up to {FAULT_TIMES_MAX}")
    if fault.kind.place == STATE and (percent < 100 or times is not None):
        raise FaultRefused(f"{fault.kind.word} is in force all its time: no percentage, no number of times")
    to_ms = None if ends is None else round(ends * SECOND_MS)
    return PlannedFault(fault, round(begins * SECOND_MS), to_ms, percent, times)


def _percent(text: str) -> float:
    if text.count(".") > 1 or not text.strip("."):
        raise FaultRefused(f"{text!r} is not a percentage")
    if not 0 < float(text) <= 100:
        raise FaultRefused(f"{text} %: above 0 and up to 100")
    return float(text)


def _read_kind(word: str, texts: list[str]) -> Fault:
    kind = next((kind for kind in KINDS if kind.word == word), None)
    if kind is None:
        raise FaultRefused(f"there is no fault {word!r}: {', '.join(kind.word for kind in KINDS)}")
    if len(texts) > len(kind.figures):
        figures = f"{len(kind.figures)} figure{'s' if len(kind.figures) != 1 else ''}"
        raise FaultRefused(f"{word} has {figures} at most")
    values = []
    for figure, text in zip(kind.figures, texts + [""] * len(kind.figures), strict=False):
        if not text and figure.default is NEEDED:
            raise FaultRefused(f"{word} needs its {figure.name}: {word}:5")
        values.append(figure.read(text) if text else figure.default)
    return kind(*values)
