"""A stream's outlet that loses, doubles and swaps frames, and is full when a fault says so.

Rules: every frame is an occasion, also an answer to a command; a frame keeps its number whatever becomes of it. One
that is late comes after the next, whenever that is.
"""

from __future__ import annotations

from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.faults import FRAME_DOUBLED, FRAME_LATE, FRAME_LOST, OVERFLOW, Fault
from kalshi_daemon.emulator.subscriptions import Outlet


class FaultyOutlet:
    """Implements `Outlet`. Asking whether it is full is an occasion too: a session asks once for each frame of data."""

    def __init__(self, outlet: Outlet, faults: FaultSchedule) -> None:
        self._outlet = outlet
        self._faults = faults
        self._late = ""

    @property
    def full(self) -> bool:
        return self._outlet.full or self._faults.bite(OVERFLOW) is not None

    def put(self, frame: str) -> None:
        def fits(fault: Fault) -> bool:
            return not fault.type or frame.startswith(f'{{"type":"{fault.type}"')

        if self._faults.bite(FRAME_LOST, fits):
            return
        if not self._late and self._faults.bite(FRAME_LATE, fits):
            self._late = frame
            return
        self._outlet.put(frame)
        if self._faults.bite(FRAME_DOUBLED, fits):
            self._outlet.put(frame)
        if self._late:
            self._outlet.put(self._late)
            self._late = ""
