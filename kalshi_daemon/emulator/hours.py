"""When the exchange is open: its week in New York's time, and what stops it besides (api.md 6).

Rules: reasons are kept apart, so that the end of one does not end another. A pause of trading lets cancels pass; while
the whole exchange is paused nothing changes state; during maintenance it does not even answer.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from attrs import define, field

from kalshi_daemon.units import SECOND_MS, Milliseconds

EASTERN: Final = ZoneInfo("America/New_York")
PAUSE_DAY: Final = 3  # Thursday, counted from Monday; clocks change on Sundays, so its pause is always as long
PAUSE_FROM, PAUSE_TO = time(3), time(5)
By: TypeAlias = Literal["word", "fault", "notice"]  # who stopped it, and alone lets it go on


@define
class Hours:
    """What stops the exchange now. `paused` holds by whom, and the shard whose trading it is, None for all of them;
    `maintained` holds by whom, and until when where that is known; `stopped_until_ms` is what is said of the end of a
    stop. `announced` has the windows of maintenance that the schedule tells of: from, to."""

    weekly: bool = False
    paused: set[tuple[By, int | None]] = field(factory=set)
    stopped: bool = False
    stopped_until_ms: Milliseconds | None = None
    maintained: dict[By, Milliseconds | None] = field(factory=dict)
    announced: tuple[tuple[Milliseconds, Milliseconds], ...] = ()

    @property
    def resume_ms(self) -> Milliseconds | None:
        """When the exchange says that it will be back, if it does."""
        ends = (self.stopped_until_ms, *self.maintained.values())
        return max((end for end in ends if end is not None), default=None)

    @property
    def maintenance(self) -> bool:
        return bool(self.maintained)

    @property
    def active(self) -> bool:
        """Whether the exchange changes state at all."""
        return not (self.stopped or self.maintenance)

    def trades(self, exchange_index: int) -> bool:
        """Whether orders are taken on a shard."""
        return self.active and not self.weekly and not any(shard in {None, exchange_index} for _, shard in self.paused)


def weekly_pause(now_ms: Milliseconds) -> tuple[Milliseconds, Milliseconds]:
    """Thursday's pause that is on, or else the next one: from, to."""
    day = datetime.fromtimestamp(now_ms / SECOND_MS, EASTERN).date()
    day += timedelta(days=(PAUSE_DAY - day.weekday()) % 7)
    while True:
        begins, ends = (_at_ms(datetime.combine(day, at, EASTERN)) for at in (PAUSE_FROM, PAUSE_TO))
        if now_ms < ends:
            return begins, ends
        day += timedelta(days=7)


def _at_ms(moment: datetime) -> Milliseconds:
    return round(moment.timestamp()) * SECOND_MS
