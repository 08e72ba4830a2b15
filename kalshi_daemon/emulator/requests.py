"""What requests say: JSON bodies and query parameters, refused with the exchange's words where they do not read.

Rules: a value of the wrong JSON type is refused flat, in the words of the exchange's decoder, before anything else;
what reads but is not allowed is refused nested; a query that does not validate is refused with `msg`. Prices and
counts are strings and become integers here; whether they suit the market is the exchange's to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.amendments import Amendment, Decrease
from kalshi_daemon.emulator.bounds import SUBACCOUNTS_MAX
from kalshi_daemon.emulator.model import NewOrder, SelfTradePrevention
from kalshi_daemon.emulator.refusals import ErrorShape, Refused
from kalshi_daemon.shell.http_server import Request
from kalshi_daemon.units import CONTRACT, PRICE_ONE, BookSide, Count, Price, TimeInForce

CREATE: Final = {
    "ticker": "string",
    "client_order_id": "string",
    "side": "string",
    "count": "string",
    "price": "string",
    "time_in_force": "string",
    "self_trade_prevention_type": "string",
    "order_group_id": "string",
    "expiration_time": "int64",
    "subaccount": "int",
    "exchange_index": "int",
    "post_only": "bool",
    "reduce_only": "bool",
    "cancel_order_on_pause": "bool",
}
AMEND: Final = {
    "ticker": "string",
    "side": "string",
    "price": "string",
    "count": "string",
    "client_order_id": "string",
    "updated_client_order_id": "string",
    "expiration_time": "int64",
    "exchange_index": "int",
}
DECREASE: Final = {"reduce_by": "string", "reduce_to": "string", "market_ticker": "string", "exchange_index": "int"}
GROUP: Final = {
    "contracts_limit": "int64",
    "contracts_limit_fp": "string",
    "subaccount": "int",
    "exchange_index": "int",
}
CANCEL: Final = {"order_id": "string", "market_ticker": "string", "subaccount": "int", "exchange_index": "int"}
REQUIRED: Final = ("ticker", "side", "count", "price", "time_in_force", "self_trade_prevention_type")
PAGE_MAX: Final = 1_000
PAGE_DEFAULT: Final = 100
PPM: Final = 1_000_000
_DECIMAL: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,6}))?", re.ASCII)
_INTEGER: Final = re.compile(r"-?\d{1,18}", re.ASCII)
Word = TypeVar("Word", bound=StrEnum)


def bad_request(details: str) -> Refused:
    return Refused(400, "bad_request", "bad request", details, ErrorShape.FLAT)


def decode_object(request: Request) -> dict[str, object]:
    """The request's JSON object. Raises Refused, flat."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Refused(400, "invalid_content_type", "invalid content type", "", ErrorShape.FLAT)
    try:
        value = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_request("invalid JSON") from None
    if not isinstance(value, dict):
        raise bad_request(f"json: cannot unmarshal {_json_kind(value)} into Go value of type object")
    return value


def decode_items(body: Mapping[str, object], struct: str, fields: Mapping[str, str]) -> list[dict[str, object]]:
    """The `orders` of a batch, each with its types checked."""
    items = body.get("orders")
    if not isinstance(items, list):
        if items is not None:
            raise bad_request(f"json: cannot unmarshal {_json_kind(items)} into Go struct field orders of type array")
        raise refusals.invalid_parameters("orders is required")
    for item in items:
        if not isinstance(item, dict):
            raise bad_request(f"json: cannot unmarshal {_json_kind(item)} into Go value of type {struct}")
        check_types(item, struct, fields)
    return items


def check_types(body: Mapping[str, object], struct: str, fields: Mapping[str, str]) -> None:
    """Refuse the first field, in the order sent, whose JSON type is not its own. Null counts as absent."""
    for name, value in body.items():
        wanted = fields.get(name)
        if wanted is None or value is None:
            continue
        kind = _json_kind(value)
        fits = isinstance(value, int) if kind == "number" and wanted.startswith("int") else kind == wanted
        if not fits:
            shown = f"number {value}" if kind == "number" and wanted.startswith("int") else kind
            raise bad_request(f"json: cannot unmarshal {shown} into Go struct field {struct}.{name} of type {wanted}")


def _json_kind(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "null"


def new_order(body: Mapping[str, object]) -> NewOrder:
    """A create's body, types already checked. Raises Refused."""
    check_required(body, REQUIRED)
    return NewOrder(
        market=str(body["ticker"]),
        side=_one_of(BookSide, body, "side"),
        price=read_price(str(body["price"])),
        count=read_count(str(body["count"])),
        time_in_force=_one_of(TimeInForce, body, "time_in_force"),
        self_trade_prevention=_one_of(SelfTradePrevention, body, "self_trade_prevention_type"),
        client_order_id=str(body.get("client_order_id") or ""),
        expires_s=whole(body, "expiration_time"),
        post_only=bool(body.get("post_only")),
        reduce_only=bool(body.get("reduce_only")),
        cancel_on_pause=bool(body.get("cancel_order_on_pause")),
        exchange_index=whole(body, "exchange_index"),
        order_group_id=str(body.get("order_group_id") or ""),
    )


def amendment(body: Mapping[str, object]) -> Amendment:
    """An amendment's body, types already checked. Raises Refused."""
    check_required(body, ("ticker", "side", "price", "count"))
    return Amendment(
        market=str(body["ticker"]),
        side=_one_of(BookSide, body, "side"),
        price=read_price(str(body["price"])),
        count=read_count(str(body["count"])),
        client_order_id=str(body.get("client_order_id") or ""),
        updated_client_order_id=str(body.get("updated_client_order_id") or ""),
        expires_s=whole(body, "expiration_time"),
        exchange_index=whole(body, "exchange_index"),
    )


def decrease(body: Mapping[str, object]) -> Decrease:
    """A decrease's body, types already checked. Raises Refused."""
    by, to = body.get("reduce_by"), body.get("reduce_to")
    if (by is None) == (to is None):
        raise refusals.invalid_parameters("exactly one of reduce_by and reduce_to")
    return Decrease(
        by=None if by is None else read_count(str(by)),
        to=None if to is None else read_count(str(to)),
        market=str(body.get("market_ticker") or "") or None,
        exchange_index=whole(body, "exchange_index"),
    )


def group_limit(body: Mapping[str, object]) -> Count:
    """An order group's limit, in one of its two forms, or in both where they agree. Raises Refused."""
    whole_limit, text = whole(body, "contracts_limit"), body.get("contracts_limit_fp")
    limits = set() if whole_limit is None else {whole_limit * CONTRACT}
    if text is not None:
        limits.add(read_count(str(text)))
    if len(limits) != 1 or min(limits) <= 0:
        raise refusals.invalid_parameters("contracts_limit or contracts_limit_fp: one positive count")
    return limits.pop()


def check_required(body: Mapping[str, object], names: tuple[str, ...]) -> None:
    for name in names:
        if not body.get(name):
            raise refusals.invalid_parameters(f"{name} is required")


def whole(body: Mapping[str, object], name: str) -> int | None:
    """An optional integer, its type already checked."""
    value = body.get(name)
    return value if isinstance(value, int) else None


def _one_of(words: type[Word], body: Mapping[str, object], name: str) -> Word:
    try:
        return words(str(body[name]))
    except ValueError:
        raise refusals.invalid_parameters(f"{name}: {' or '.join(word.value for word in words)}") from None


def read_price(text: str) -> Price:
    """A price, in 1/10,000 dollar; finer than that is on no grid."""
    return _read_decimal(text, 4, PRICE_ONE, refusals.invalid_price())


def read_count(text: str) -> Count:
    """A count, in hundredths; finer than that is not traded."""
    return _read_decimal(text, 2, CONTRACT, refusals.invalid_order_size())


def read_multiplier(text: str) -> int:
    """A fee multiplier, in millionths."""
    return _read_decimal(text, 6, PPM, refusals.invalid_parameters("multiplier"))


def _read_decimal(text: str, places: int, one: int, too_fine: Refused) -> int:
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise refusals.invalid_parameters("a price, a count and a multiplier are decimal numbers in strings")
    whole, fraction = match.group(1), (match.group(2) or "").rstrip("0")
    if len(fraction) > places:
        raise too_fine
    return int(whole) * one + int(fraction.ljust(places, "0"))


# -------------------------------------------------------------------------------------------------------- queries


def parameter(request: Request, name: str) -> str:
    """One query parameter, empty if it is not there."""
    values = request.query.get(name)
    return values[0] if values else ""


def csv(request: Request, name: str) -> list[str]:
    """A list, written with commas or by repeating the parameter."""
    return [part for value in request.query.get(name, []) for part in value.split(",") if part]


def seconds(request: Request, name: str, params: str) -> int | None:
    """A time in Unix seconds. `params` is the exchange's name for the query."""
    text = parameter(request, name)
    if not text:
        return None
    if not _INTEGER.fullmatch(text):
        raise _invalid(params, f'strconv.ParseInt: parsing "{name}": invalid syntax')
    return int(text)


def subaccount(request: Request) -> int | None:
    """The `subaccount` of a query. Raises Refused for a number that no subaccount has."""
    text = parameter(request, "subaccount")
    if not text:
        return None
    if not _INTEGER.fullmatch(text) or not 0 <= int(text) <= SUBACCOUNTS_MAX:
        raise refusals.invalid_parameters(f"subaccount: 0 to {SUBACCOUNTS_MAX}")
    return int(text)


def page_size(request: Request, params: str, least: int = 1, most: int = PAGE_MAX) -> int:
    """The `limit` of a list, from `least` to `most`; absent or 0 it is 100, or `most` where that is not 1,000."""
    text = parameter(request, "limit")
    default = PAGE_DEFAULT if most == PAGE_MAX else most
    if not text:
        return default
    if not _INTEGER.fullmatch(text):
        raise _invalid(params, 'strconv.ParseInt: parsing "limit": invalid syntax')
    size = int(text)
    if size > most or size < least:
        tag = "lte" if size > most else "gte"
        key = f"'{params}Params.Limit'"
        raise _invalid(params, f"Key: {key} Error:Field validation for 'Limit' failed on the '{tag}' tag")
    return size or default


def _invalid(params: str, text: str) -> Refused:
    return Refused(400, "", f"Parameter validation failed for {params}: {text}", shape=ErrorShape.MSG)
