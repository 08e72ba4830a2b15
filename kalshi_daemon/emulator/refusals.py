"""The exchange's refusals, word for word: one function for each answer that the recordings or the documents know.

Where neither says what the exchange answers (marked "assumed"), the nearest known code is used.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorShape(StrEnum):
    """Which of the exchange's error bodies a refusal is sent in."""

    NESTED = "nested"  # {"error": {"code", "message", "details"?}}
    FLAT = "flat"  # {"code", "message", "details"}
    MSG = "msg"  # {"msg"}


class Refused(Exception):
    """The exchange says no. Everything an error body needs; `details` empty means the key is absent."""

    def __init__(
        self, status: int, code: str, message: str, details: str = "", shape: ErrorShape = ErrorShape.NESTED
    ) -> None:
        super().__init__(f"{status} {code}: {message}" + (f" ({details})" if details else ""))
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.shape = shape


def market_not_found() -> Refused:
    return Refused(404, "market_not_found", "market not found")


def not_found() -> Refused:
    """Cancelled before, executed, another's or never known: one answer for all."""
    return Refused(404, "not_found", "not found")


def order_already_exists() -> Refused:
    return Refused(409, "order_already_exists", "order already exists")


def invalid_parameters(details: str) -> Refused:
    return Refused(400, "invalid_parameters", "invalid parameters", details)


def invalid_order(details: str) -> Refused:
    return Refused(400, "invalid_order", "invalid order", details)


def invalid_order_size() -> Refused:
    return Refused(400, "invalid_order_size", "invalid order size")


def invalid_price() -> Refused:
    return Refused(400, "invalid_price", "invalid price")


def insufficient_balance() -> Refused:
    return Refused(400, "insufficient_balance", "insufficient balance")


def fill_or_kill_insufficient() -> Refused:
    return Refused(409, "fill_or_kill_insufficient_resting_volume", "fill or kill insufficient resting volume")


def trading_is_paused() -> Refused:
    return Refused(409, "trading_is_paused", "trading is paused")


def exchange_is_paused() -> Refused:
    return Refused(409, "exchange_is_paused", "exchange is paused")


def service_unavailable() -> Refused:
    return Refused(503, "service_unavailable", "service unavailable")


def market_inactive() -> Refused:
    """Before the opening and after the close, cancels included; the status is assumed."""
    return Refused(409, "MARKET_INACTIVE", "market inactive")


def forbidden(details: str) -> Refused:
    """A key without the scope, or an account without the right; code and words assumed."""
    return Refused(403, "forbidden", "forbidden", details)


def no_subaccount(number: int) -> Refused:
    """Assumed."""
    return invalid_parameters(f"subaccount: there is no subaccount {number}")


def mismatch(code: str) -> Refused:
    """An amendment that does not fit its order; the codes are the exchange's, the status and words assumed."""
    return Refused(400, code, code.replace("_", " "))
