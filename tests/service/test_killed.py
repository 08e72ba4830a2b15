"""kill -9 of the real process, on the emulator as a process, the journal on disk: afterwards every order is there, none
twice, every fill is booked once, the account is the exchange's to the micro-dollar, and it trades again.

`KILLS=200` in the environment is a nightly run (`make nightly`); `KILLS_SEED` begins its seeds.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from doomed import ROTATION
from killed_accounts import AT_A_FILL, AT_THE_STOP, COMMIT, LOOK_S, TRADE_S, Account, Member, members
from processes import Running, until

KILLS: Final = int(os.environ.get("KILLS", "20"))
SEED: Final = int(os.environ.get("KILLS_SEED", "1"))
AT_ONCE: Final = 4  # accounts, of which each is killed in turn
EACH: Final = 5  # kills of one account
SEEDS: Final = range(SEED, SEED + KILLS // (AT_ONCE * EACH))

BEFORE_TRADING: Final = (
    *(f"{where}:{kind}" for kind in ("RunStarted", "AccountOpened") for where in COMMIT),
    *("committed:AccountAgreed", "checkpoint", "checkpointed", "sent:GROUP", "answered:GROUP"),
    *(f"{where}:OrderGroupMade" for where in COMMIT),
)
TRADING: Final = (
    *(f"{where}:{kind}" for kind in ("OrderIntended", "OrderSent") for where in COMMIT),
    *(f"{where}:ORDER" for where in ("sending", "half", "sent", "answered")),
    *(f"{where}:{kind}" for kind in ("OrderAcknowledged", "OrderSeen") for where in ("begin", "committed")),
    *AT_A_FILL,
)
NIGHTLY: Final = KILLS > AT_ONCE * EACH
ALL_AMENDING: Final = (
    *(f"{where}:{kind}" for kind in ("AmendIntended", "AmendSent") for where in COMMIT),
    *(f"{where}:AMEND" for where in ("sending", "half", "sent", "answered")),
    *(f"{where}:AmendAcknowledged" for where in ("begin", "committed")),
)
AMENDING: Final = ALL_AMENDING if NIGHTLY else ("committed:AmendIntended", "sent:AMEND", "answered:AMEND")
SNAPSHOTS: Final = ("snapshotting", "snapshotted", "restored")
ROTATING: Final = ROTATION if NIGHTLY else ("named", "moved")
NTHS: Final = (1, 2, 3) if NIGHTLY else (1,)


def side_by_side(seed: int, folder: Path, lives: list[Callable[[Account], object]], pricing: list[str]) -> int:
    """Each life is that of one account, and then its books are compared. How many orders were filled meanwhile."""
    with members(seed, len(lives) + 1, folder) as (other, *mine), ThreadPoolExecutor(len(lives)) as pool:
        accounts = [
            Account(variables, Member(other), folder / str(number), price)
            for number, (variables, price) in enumerate(zip(mine, pricing, strict=True))
        ]

        def live(account: Account, life: Callable[[Account], object]) -> None:
            try:
                life(account)
                account.conclude()
            except AssertionError as error:
                error.add_note(f"seed {seed}, {account.story()}")
                raise

        for ended in [pool.submit(live, *each) for each in zip(accounts, lives, strict=True)]:
            ended.result()
    return sum(account.filled_meanwhile for account in accounts)


def at_random(seed: int) -> Callable[[Account], None]:
    """Kills in the start, and while it trades."""
    draw = random.Random(seed)

    def wait(daemon: Running) -> None:
        if draw.random() < 0.7:
            daemon.until_in("trading.normal")
        time.sleep(draw.uniform(0.0, 2.0))

    def life(account: Account) -> None:
        account.kill(lambda _daemon: until(account.member.orders, "an order", LOOK_S, TRADE_S))
        for _ in range(EACH - 1):
            account.kill(wait)

    return life


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_moments(seed: int, tmp_path: Path) -> None:
    """Five times each of four accounts, with fills while it is dead: the books agree."""
    lives = [at_random(seed * AT_ONCE + number) for number in range(AT_ONCE)]
    assert side_by_side(seed, tmp_path, lives, ["join", "improve", "mid", "take"]) > 0


@pytest.mark.parametrize("nth", NTHS)
def test_killed_at_each_point_where_something_has_just_happened_or_is_about_to(nth: int, tmp_path: Path) -> None:
    """Each write, commit and request, before and after: the books agree."""
    parts = [
        [(point, 1) for point in BEFORE_TRADING] + [(point, nth) for point in TRADING[16:]],
        [(point, nth) for point in TRADING[:8]],
        [(point, nth) for point in TRADING[8:16]],
        [(point, 1) for point in AT_THE_STOP],
        [(point, nth) for point in AMENDING] + [(point, 1) for point in (*SNAPSHOTS, *ROTATING)],
    ]

    def doomed(points: list[tuple[str, int]]) -> Callable[[Account], None]:
        def life(account: Account) -> None:
            for point, times in points:
                account.doom(point, times)

        return life

    assert side_by_side(SEED + nth, tmp_path, [doomed(each) for each in parts], ["join"] * len(parts)) > 0
