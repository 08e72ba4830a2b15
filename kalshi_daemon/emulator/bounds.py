"""Every bound of the emulator, each with its reason. Seconds end in `_S`, milliseconds in `_MS`."""

from __future__ import annotations

from typing import Final

from kalshi_daemon.units import Milliseconds

# --- its server side
EMULATOR_TICK_S: Final = 0.05  # how late its clock may act: expiry, opening, closing, the crowd
EMULATOR_HANDSHAKE_S: Final = 10.0  # TLS: who needs longer is none of the clients that it is for
EMULATOR_CONNECTIONS_MAX: Final = 400  # the exchange allows 200 streams per member; the rest is for requests
STREAM_PING_S: Final = 10.0  # the exchange's own pace
STREAM_QUEUE_MAX: Final = 10_000  # frames waiting for one slow reader, before its subscriptions end with error 25
STREAM_COMMAND_MAX: Final = 1024 * 1024  # characters of one command: 25,000 tickers
STREAM_NAMES_MAX: Final = 64  # channels or subscription ids in one command
STREAM_COMMANDS_PER_S: Final = 10_000  # the exchange's own cap
STREAM_DELAYED_MAX: Final = 64  # commands of one stream that wait, where the emulator answers out of order
SUBSCRIPTION_MARKETS_MAX: Final = 500_000  # the exchange's own cap, of a session's order books
STREAM_SEND_S: Final = 30.0  # a reader that takes nothing at all for so long is left
READ_QUEUE_MAX: Final = 100_000  # changes that the stale reads have not shown yet; beyond it they are shown early
BATCH_SECONDS: Final = 1  # a batch may spend what the write bucket refills in so long
FAULTS_MAX: Final = 100  # planned at one time: each is looked at on every frame
MAINTENANCE_WINDOWS_MAX: Final = 20  # announced at once at an emulator
FAULT_TEXT_MAX: Final = 200  # characters of one fault, and of one setting
FAULT_TIMES_MAX: Final = 1_000_000  # more than any run meets
FAULT_SECONDS_MAX: Final = 7 * 86_400.0  # of any time in a fault: a week, as long as a demo
FAULT_BYTES_MAX: Final = 1_000_000_000  # of a connection before its fate
HALF_OPEN_MAX_S: Final = 3_600.0  # a silent connection is held so long for a peer that does not let go

# --- the exchange
MEMBER_STREAMS_MAX: Final = 200  # WebSockets of one member; the exchange's default
SUBACCOUNTS_MAX: Final = 63  # beside the primary one; the exchange's number
ORDER_GROUPS_MAX: Final = 100_000  # of one member; the exchange's number
EMULATOR_BARS_MAX: Final = 10_080  # minutes of candlesticks kept of each market: a week
EMULATOR_MARKETS_MAX: Final = 20_000  # listed by hand up to this many in all
EMULATOR_FEE_CHANGES_MAX: Final = 1_000  # changes of fees listed: those made, and as many to come
EMULATOR_TRADES_MAX: Final = 1_000  # public prints kept of each market: one page of the list
CROWD_LAG_MAX_MS: Final[Milliseconds] = 5_000  # a crowd further behind leaves out what it missed
