"""What can be chosen about the emulator's server side: how stale its reads are, what its frames carry, its rate
limits."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen
from attrs.validators import ge, le, optional

from kalshi_daemon.emulator.bounds import (
    MEMBER_STREAMS_MAX,
    STREAM_COMMANDS_PER_S,
    STREAM_QUEUE_MAX,
    SUBACCOUNTS_MAX,
    SUBSCRIPTION_MARKETS_MAX,
)
from kalshi_daemon.emulator.keyring import READ, WRITE
from kalshi_daemon.units import Milliseconds

TIERS: Final = {  # tokens a second, read and write (api.md 5)
    "basic": (200, 100),
    "advanced": (300, 300),
    "expert": (600, 600),
    "premier": (1_000, 1_000),
    "paragon": (2_000, 2_000),
    "prime": (4_000, 4_000),
    "prestige": (6_000, 8_000),
}


@frozen
class RateLimits:
    """Tokens per second and the most a bucket holds, as `GET /account/limits` shows them. The default is the basic
    tier as it was recorded.

    `balance_rate`: balance has a bucket of its own, in calls per second and without a reserve.
    """

    usage_tier: str = "basic"
    read_rate: int = 200
    read_capacity: int = 200
    write_rate: int = 100
    write_capacity: int = 100
    balance_rate: int = 1

    @classmethod
    def of_tier(cls, usage_tier: str) -> RateLimits:
        """A tier's limits as they are documented: which buckets hold two seconds, and which only one."""
        read, write = TIERS[usage_tier]
        slow = usage_tier in {"basic", "advanced"}
        return cls(
            usage_tier=usage_tier,
            read_rate=read,
            read_capacity=read * 2 if slow else read,
            write_rate=write,
            write_capacity=write if usage_tier == "basic" else write * 2,
            balance_rate=1 if slow else 5,
        )


@frozen
class ServerSettings:
    """`read_lag_ms`: portfolio reads show the account as it was so long ago, as the exchange's do.

    `archive_after_ms`: what ended so long ago is shown by the historical endpoints alone; None: nothing ever is.

    `send_clock`: book frames carry the exchange clock; `send_sending_ts`: every frame carries when it was sent. Both
    are recent, and a client must do without. `frames_max`: frames that may wait for one slow reader.

    `commands_per_s`: of one stream, before error 27; `markets_max`: of one subscription, before error 26.
    `key_scopes`: what the key of a member who joins may do.
    `key_region_ends_s`: when the location attested for the keys ends, in Unix seconds; None: none was attested.
    `yes_prices`: books give the NO side in YES prices to who does not say `use_yes_price`, as the exchange announces.
    `streams_max`: WebSockets of one member, before an upgrade is refused with 429.
    `subaccounts`: how many a member who joins has beside the primary one, numbered from 1.
    `command_delay_ms`: each command waits a random time up to this, so that answers come out of order; 0: none waits.
    """

    read_lag_ms: Milliseconds = field(default=0, validator=ge(0))
    archive_after_ms: Milliseconds | None = field(default=None, validator=optional(ge(0)))
    send_clock: bool = True
    send_sending_ts: bool = True
    limits: RateLimits = RateLimits()
    frames_max: int = field(default=STREAM_QUEUE_MAX, validator=ge(1))
    commands_per_s: int = field(default=STREAM_COMMANDS_PER_S, validator=ge(1))
    markets_max: int = field(default=SUBSCRIPTION_MARKETS_MAX, validator=ge(1))
    key_region_ends_s: int | None = None
    key_scopes: tuple[str, ...] = (READ, WRITE)
    command_delay_ms: Milliseconds = field(default=0, validator=ge(0))
    yes_prices: bool = False
    streams_max: int = field(default=MEMBER_STREAMS_MAX, validator=ge(1))
    subaccounts: int = field(default=0, validator=[ge(0), le(SUBACCOUNTS_MAX)])
