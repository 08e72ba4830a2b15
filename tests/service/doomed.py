"""`kalshi-daemon` with a policy that trades often, and an end inside: it kills itself with SIGKILL at the nth time that
it comes to a named point. At the point `never` it does not.

    python doomed.py POINT NTH run

| point | where it is |
|---|---|
| `begin:FACT`, `written:FACT`, `committed:FACT` | a transaction with such a fact: before it, its COMMIT, after |
| `checkpoint`, `checkpointed` | before and after the log is folded into the journal at the start |
| `closing`, `closed` | before and after the journal is closed |
| `sending:WRITE`, `half:WRITE` | before the first byte of a write to the exchange, between its head and its body |
| `sent:WRITE`, `answered:WRITE` | when all of it has left; when its answer is here, and nobody was told |
| `heard:fill` | when a frame with a fill is here, and nobody was told |
| `snapshotting`, `snapshotted` | before and after a snapshot of the account is written beside the journal |
| `proven`, `made`, `folded` | a journal is put aside: it is proven, the next is written, and is the same account |
| `replacing`, `named`, `moved`, `replaced` | before the snapshots go, after the second name, the rename, and all |
| `restored` | when the account has been restored from one, and the rest of the journal was not read |

Rules: the points are in what the daemon is handed, a journal and a network; nothing of the daemon knows of them. The
policy is called `rules` in the configuration, and draws: else a minute would pass between two orders. A request that
has left is on this machine's loopback: it arrives within `LIFE_MS`, or never, and nobody waits a minute for it. A
snapshot is taken every `SNAPSHOT_EVENTS`, so that most starts begin from one; a journal of `JOURNAL_MB` bytes is put
aside by a start that finds nothing open, and any by one that is to die of it. How long a decision takes is not looked
at, since a slow machine would open the policy's breaker.
"""

from __future__ import annotations

import os
import signal
import sys
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import trio
from attrs import define, evolve, frozen

from kalshi_daemon import cli, limits, parts, run
from kalshi_daemon.config import Config
from kalshi_daemon.core import order_amends, order_tracker
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.ledger_carried import ToldAgain
from kalshi_daemon.policy.action_selector import Actions, Mask, Observation
from kalshi_daemon.seams import Seams, View
from kalshi_daemon.shell.journal import Journal
from kalshi_daemon.shell.journal_rotation import JournalRotation
from kalshi_daemon.shell.network import Network
from kalshi_daemon.shell.snapshots import Beginning, Snapshots

WRITES: Final = {  # by the first bytes of the request
    b"POST /trade-api/v2/portfolio/events/orders ": "ORDER",
    b"POST /trade-api/v2/portfolio/events/orders/": "AMEND",
    b"POST /trade-api/v2/portfolio/order_groups/": "GROUP",
    b"DELETE /trade-api/v2/portfolio/events/orders": "CANCEL",
}
BODY: Final = b"\r\ncontent-length: "
LIFE_MS: Final = 3_000  # in the place of REQUEST_LIFE_MS
SNAPSHOT_EVENTS: Final = 40
JOURNAL_MB: Final = 24_000  # bytes
ROTATION: Final = ("proven", "made", "folded", "replacing", "named", "moved", "replaced")
EAGERNESS: Final = 0.3  # the share of decisions that are not to hold
FILL: Final = b'"type":"fill"'


@define
class Doom:
    """`nth` comings to `point` are left, and the last of them is the end."""

    point: str
    nth: int

    def come(self, point: str) -> None:
        if point == self.point:
            self.nth -= 1
            if not self.nth:
                os.kill(os.getpid(), signal.SIGKILL)


def doomed_journal(doom: Doom) -> type[Journal]:
    class DoomedJournal(Journal):
        _kinds: tuple[str, ...] = ()  # of the facts in the transaction that is open

        def _connect(self) -> None:
            super()._connect()
            self._connection.set_trace_callback(self._executed)

        def _executed(self, statement: str) -> None:
            """SQLite is about to do it."""
            if statement == "COMMIT":
                self._all_come("written")
            elif statement.startswith("PRAGMA wal_checkpoint"):
                doom.come("checkpoint")

        def _commit(self, rows: list[tuple[int, int, str, bytes, int, int]]) -> None:
            self._kinds = tuple(dict.fromkeys(row[2] for row in rows))
            self._all_come("begin")
            super()._commit(rows)
            self._all_come("committed")

        def _all_come(self, where: str) -> None:
            for kind in self._kinds:
                doom.come(f"{where}:{kind}")

        def _take_over(self) -> None:
            super()._take_over()
            doom.come("checkpointed")

        def _keep_as(self, aside: Path) -> None:
            super()._keep_as(aside)
            doom.come("named")

        def _move_in(self, new: Path) -> None:
            super()._move_in(new)
            doom.come("moved")

        def close(self) -> None:
            doom.come("closing")
            super().close()
            doom.come("closed")

    return DoomedJournal


def doomed_snapshots(doom: Doom) -> type[Snapshots]:
    class DoomedSnapshots(Snapshots):
        def restore(self, journal: Journal) -> Beginning:
            beginning = super().restore(journal)
            if beginning.seq:
                doom.come("restored")
            return beginning

        async def _write(self) -> None:
            taken = self._taken is not None
            if taken:
                doom.come("snapshotting")
            await super()._write()
            if taken:
                doom.come("snapshotted")

    return DoomedSnapshots


def doomed_rotation(doom: Doom) -> type[JournalRotation]:
    class DoomedRotation(JournalRotation):
        async def _prove(self, path: Path) -> tuple[Ledger, ToldAgain, int]:
            proven = await super()._prove(path)
            doom.come("proven")
            return proven

        def _fold(self, new: Path) -> Ledger:
            doom.come("made")
            folded = super()._fold(new)
            doom.come("folded")
            return folded

        def _commit(self, path: Path, journal: Journal, new: Path, aside: Path, next_ledger: Ledger) -> None:
            doom.come("replacing")
            super()._commit(path, journal, new, aside, next_ledger)
            doom.come("replaced")

    return DoomedRotation


class DoomedStream(trio.abc.Stream):
    """One connection. What is written begins with a request, or continues one."""

    def __init__(self, stream: trio.abc.Stream, doom: Doom) -> None:
        self._stream = stream
        self._doom = doom
        self._write = ""  # that is under way

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        begun = next((write for head, write in WRITES.items() if bytes(data).startswith(head)), "")
        if begun:
            self._write = begun
            self._doom.come(f"sending:{begun}")
        elif self._write:
            self._doom.come(f"half:{self._write}")
        await self._stream.send_all(data)
        if self._write and not (begun and BODY in bytes(data).lower()):
            self._doom.come(f"sent:{self._write}")

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        if self._write:
            self._doom.come(f"answered:{self._write}")
            self._write = ""
        if FILL in data:
            self._doom.come("heard:fill")
        return data

    @property
    def readable(self) -> bool:
        """What the pool of connections asks of an idle one."""
        assert isinstance(self._stream, trio.SocketStream)
        return self._stream.socket.is_readable()

    async def aclose(self) -> None:
        await self._stream.aclose()


@frozen
class DoomedNetwork:
    network: Network
    doom: Doom

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        return DoomedStream(await self.network.connect(host, port, tls=tls), self.doom)


class EagerSelector:
    """Now and then anything that is allowed."""

    name = model = "eager"
    senseless = 0

    def __init__(self) -> None:
        self._draw = np.random.default_rng()

    def select(self, observation: Observation, mask: Mask) -> Actions:
        wanted = np.argmax(self._draw.random(mask.shape) * mask, axis=1)
        return np.where(self._draw.random(len(mask)) < EAGERNESS, wanted, 0)


def lower_limits(point: str) -> None:
    limits.REQUEST_LIFE_MS = order_tracker.REQUEST_LIFE_MS = order_amends.REQUEST_LIFE_MS = LIFE_MS  # type: ignore[misc]
    limits.SNAPSHOT_EVENTS = SNAPSHOT_EVENTS  # type: ignore[misc]
    limits.JOURNAL_MB = 1 if point in ROTATION else JOURNAL_MB  # type: ignore[misc]
    limits.JOURNAL_SHARE_MAX = Fraction(1, 10**6)  # type: ignore[misc, assignment]


def main(point: str, nth: str, *arguments: str) -> int:
    lower_limits(point)
    doom = Doom(point, int(nth))
    system_seams = run.system_seams

    def doomed_seams(config: Config, view: View | None) -> Seams:
        seams = system_seams(config, view)
        return evolve(seams, network=DoomedNetwork(seams.network, doom), stopwatch=lambda: 0.0)

    run.system_seams = doomed_seams
    parts.Journal = doomed_journal(doom)  # type: ignore[misc]
    parts.JournalRotation = doomed_rotation(doom)  # type: ignore[misc]
    parts.Snapshots = doomed_snapshots(doom)  # type: ignore[misc]
    parts.choose_selector = lambda _name: EagerSelector()  # type: ignore[assignment]
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
