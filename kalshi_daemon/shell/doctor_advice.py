"""What to do about what the doctor found: one sentence for each kind of failure, the most particular first."""

from __future__ import annotations

import ssl
from typing import Final

from kalshi_daemon.errors import (
    AccessRefused,
    ClockRefused,
    ConfigurationError,
    ExchangeError,
    KeyRefused,
    NotSpoken,
    OperatingError,
    RateLimited,
    Unreachable,
    WireError,
)
from kalshi_daemon.limits import REGION_WARNING_DAYS
from kalshi_daemon.units import SECOND_MS, Milliseconds
from kalshi_daemon.wire.stream_codes import StreamRemedy, remedy_of

SERVER_ERRORS: Final = 500  # from this status on the host itself is at fault
TOO_MANY_REQUESTS: Final = 429
DAY_MS: Final[Milliseconds] = 86_400 * SECOND_MS
PAUSED: Final = "wait: trading is paused on Thursdays from 03:00 to 05:00 US Eastern, and at times otherwise"
REGION: Final = "attest your location again on the exchange's API keys page: without it the key cannot trade everything"
REGION_UNREAD: Final = "see by hand until when your location is attested, on the exchange's API keys page"
CLOCK: Final = "set this machine's clock (timedatectl set-ntp true): signatures are refused from about 15 s"
SCOPES_UNREAD: Final = "see by hand that the key has the scope write::trade, on the exchange's API keys page"
KEY: Final = "see that KALSHI_PRIVATE_KEY_FILE is the file that was stored when the key was made"
WRONG_PAIR: Final = "KALSHI_PRIVATE_KEY_FILE does not belong to KALSHI_API_KEY_ID: take both from the same key"
UNKNOWN_KEY: Final = "KALSHI_API_KEY_ID is not known here: a key belongs to one environment (KALSHI_ENVIRONMENT)"
ACCESS: Final = "see the key's scopes, its subaccount and its region on the exchange's API keys page"
TOO_MANY: Final = "wait a minute; if it stays, see which other program uses this account"
NETWORK: Final = {
    "dns": "see that this machine resolves names (/etc/resolv.conf), and the host in KALSHI_REST_URLS, KALSHI_WS_URLS",
    "tcp": "see the firewall and the route to this host; if other hosts are well, wait for this one",
    "tls": "see what stands between (a proxy that opens TLS), the CA certificates, and this machine's clock",
}
PROXY: Final = "something between answers for the exchange (a proxy, a login page): see the route to this host"
WRONG_PLACE: Final = (
    "this is not where the exchange's API is: see host, port and path in KALSHI_REST_URLS and KALSHI_WS_URLS, and what "
    "stands between"
)
MARKETS: Final = "name in KALSHI_MARKETS what the exchange of this environment lists"
DOWN: Final = "the exchange is down or in maintenance: wait, the daemon tries without end"
STREAM_DOWN: Final = "wait: the daemon tries without end on every host, and reads the books by REST meanwhile"
STREAM_REFUSED: Final = (
    "see whether there is a newer version of the daemon: the exchange does not take its command, and books are read by "
    "REST meanwhile"
)
STREAM_BROKEN: Final = (
    "something between changes the stream (a proxy), or the exchange is at fault: the daemon asks for the books again, "
    "and dials again"
)
SLOW: Final = "see this machine's load and the route to this host; orders are decided on what is this late"
BEHIND: Final = "wait: the exchange shows the account as it was; until that is over no audit of the account agrees"


def for_failure(step: str, error: OperatingError) -> str:
    known = {
        ClockRefused: CLOCK,
        ConfigurationError: MARKETS,
        KeyRefused: ACCESS,
        NotSpoken: WRONG_PLACE,
        RateLimited: TOO_MANY,
        WireError: STREAM_BROKEN,
    }
    if type(error) in known:
        return known[type(error)]
    if isinstance(error, AccessRefused):
        return _for_access(error)
    if _is_of_tls(error):
        return NETWORK["tls"]
    return NETWORK.get(step) or _for_answer(step, error)


def _for_answer(step: str, error: OperatingError) -> str:
    """By the status of what was answered, or that nothing was."""
    if isinstance(error.__cause__, WireError) or "<html" in str(error).lower():
        return PROXY
    status = error.status if isinstance(error, ExchangeError | Unreachable) else 0
    if step == "subscription" and isinstance(error, ExchangeError):  # its status is the code of a command's refusal
        wrong = remedy_of(status, subscribed=False) is StreamRemedy.SELDOM
        return STREAM_REFUSED if wrong else STREAM_DOWN
    if step != "subscription" and status and status < SERVER_ERRORS and status != TOO_MANY_REQUESTS:
        return WRONG_PLACE
    return STREAM_DOWN if step in {"upgrade", "subscription"} else DOWN


def _is_of_tls(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__
    return error is not None


def _for_access(error: AccessRefused) -> str:
    if "INCORRECT_API_KEY_SIGNATURE" in error.details:
        return WRONG_PAIR
    return UNKNOWN_KEY if "NOT_FOUND" in error.details else ACCESS


def region_warning(left_ms: Milliseconds) -> str:
    """What is said of the location attested for a key that holds for so long; empty where it holds long enough."""
    if left_ms >= REGION_WARNING_DAYS * DAY_MS:
        return ""
    return f"the location attested for the key {f'ends in {left_ms // DAY_MS} days' if left_ms > 0 else 'has ended'}"
