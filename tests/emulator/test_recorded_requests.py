"""The requests that were recorded at the exchange's demo, put to the emulator in their order: same status, same shape,
same code.

Where an answer differs, the exchange has changed since (api.md says when), and the difference is listed here with its
reason; a difference that has gone is an error too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest
import trio
from attrs import Factory, define, evolve, frozen
from emulator_world import SHARED, Answer, World, now_ms, world
from trio.testing import MockClock

from kalshi_daemon.emulator.grid import LINEAR_CENT
from kalshi_daemon.emulator.markets import invented_market
from kalshi_daemon.emulator.model import Series
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.units import BookSide, FeeType

FOLDER = SHARED / "recordings" / "demo-2026-06-11"
TRADED, PRINTED = "KXWTACHALLENGERMATCH-26JUN11JIMLEP-LEP", "KXPGATOUR-USO26-JDAY"
SKEWS_S = {"minus5s": -5, "plus5s": 5, "minus30s": -30, "minus5min": -300, "plus5min": 300}

# By recording: the status now, for requests that are answered otherwise today.
CHANGED: Final = {
    "orders__legacy_create": (410, "the first version's writes were cut off on 06-18 to 06-25"),
    "orders__legacy_cancel": (410, "the first version's writes were cut off on 06-18 to 06-25"),
}
# Keys that were recorded and are no longer sent.
GONE: Final = {
    "service": "left error bodies on 08-06",
    "fractional_trading_enabled": "removed on 07-09",
    "response_price_units": "removed on 07-09",
    "resting_orders_count": "removed from positions on 07-09",
    "liquidity_dollars": "removed on 09-26",
}
# Keys that are sent now and were not recorded.
NEW: Final = {
    "client_order_id": "in the answer to a cancel since the specification of 10-26",
    "exchange_index": "everything names its shard since 08-27",
    "exchange_index_statuses": "the exchange's status is given by shard since 08-27",
    "intra_exchange_transfers_active": "shards, 08-27",
    "settlement_bounds_type": "required of markets since 09-29",
}
# Keys of markets that only some have: terms of that market, not of the protocol.
TERMS: Final = {
    *("custom_strike", "early_close_condition", "occurrence_datetime", "strike_type", "floor_strike", "cap_strike"),
    *("mve_collection_ticker", "mve_selected_legs", "is_provisional", "subtitle", "primary_participant_key"),
    *("settlement_value_dollars", "settlement_ts", "functional_strike"),
}


@frozen
class Recorded:
    name: str
    at_ms: int
    auth: str
    method: str
    path: str
    request: object
    status: int
    body: object


def recordings() -> list[Recorded]:
    """Every recorded request with its answer, in the order in which they were sent."""
    found = []
    for meta_path in FOLDER.glob("*.meta.json"):
        meta = json.loads(meta_path.read_text())
        answer = Path(str(meta_path).replace(".meta.json", ".json"))
        if meta.get("method") and answer.exists():
            words = (meta["auth"], meta["method"], meta["path"], meta.get("request_body"), meta["status"])
            at_ms = meta.get("recorded_at_epoch_ms", 0)
            found.append(Recorded(answer.stem, at_ms, *words, json.loads(answer.read_text())))
    return sorted(found, key=lambda one: (one.at_ms, one.name))


def shape(value: object) -> object:
    """Keys and kinds of a value; a list is the shape of what is in it, `[]` where that is nothing."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def differences(recorded: object, answered: object, at: str = "") -> dict[str, str]:
    """Where two shapes differ, by path; an empty list is like any list, and null like anything."""
    if isinstance(recorded, dict) and isinstance(answered, dict):
        found = {f"{at}/{name}": "gone" for name in recorded.keys() - answered.keys()}
        found |= {f"{at}/{name}": "new" for name in answered.keys() - recorded.keys()}
        for name in recorded.keys() & answered.keys():
            found |= differences(recorded[name], answered[name], f"{at}/{name}")
        return found
    if isinstance(recorded, list) and isinstance(answered, list):
        return differences(recorded[0], answered[0], at + "[]") if recorded and answered else {}
    return {} if recorded == answered or "NoneType" in (recorded, answered) else {at: f"{recorded} is {answered}"}


@define
class Replay:
    """Puts recorded requests to an emulator, with its own ids and cursors in place of the recorded ones."""

    emulator: World
    names: dict[str, str] = Factory(dict)

    async def __call__(self, one: Recorded) -> Answer:
        target = one.path
        for recorded, own in self.names.items():
            target = target.replace(recorded, own)
        answer = await self.emulator.ask(
            one.method, target, one.request, headers=self.headers(one, target), signed=one.auth == "signed"
        )
        if answer.text:
            self.learn(one.body, answer.json)
        return answer

    def learn(self, recorded: object, answered: object) -> None:
        for name in ("order_id", "cursor"):
            if isinstance(recorded, dict) and isinstance(answered, dict) and recorded.get(name) and answered.get(name):
                self.names[str(recorded[name])] = str(answered[name])

    def headers(self, one: Recorded, target: str) -> dict[str, str]:
        """The headers of the recording's kind; those of a signed request are made elsewhere."""
        path = target.partition("?")[0]
        good = self.emulator.headers(one.method, path)
        match one.auth:
            case "bad-signature":
                return self.emulator.headers(one.method, path + "/other")
            case "missing-signature-header":
                return {name: value for name, value in good.items() if not name.endswith("SIGNATURE")}
            case "unknown-key-id":
                return good | {"KALSHI-ACCESS-KEY": "00000000-0000-0000-0000-000000000000"}
            case "signed-skewed":
                skew_s = SKEWS_S[one.name.rpartition("_")[2]]
                return self.emulator.headers(one.method, path, at_ms=now_ms() + skew_s * 1_000)
        return {}


def prepare(emulator: World) -> None:
    """The markets that were recorded, with the recorded book, and enough others for the recorded pages."""
    exchange = emulator.exchange
    for ticker in (TRADED, PRINTED):
        series = ticker.partition("-")[0]
        exchange.add_series(
            Series(series, "Recorded at the demo", "Sports", FeeType.QUADRATIC, 1_000_000, invented=True)
        )
        exchange.add_market(invented_market(ticker, "Recorded at the demo", LINEAR_CENT, now_ms()))
    for number in range(20):
        market = invented_market(f"DEMOTEMP-DAY2-T{number}", "Invented", LINEAR_CENT, now_ms())
        exchange.add_market(evolve(market, settlement_timer_ms=0 if number == 0 else 3_600_000))
    for number in (0, 1):
        exchange.settle(f"DEMOTEMP-DAY2-T{number}", "yes")
    for ticker in (TRADED, PRINTED):
        emulator.trade(ticker, 3, side=BookSide.BID, cents=47)
        emulator.trade(ticker, 3, side=BookSide.ASK, cents=52)
    emulator.trade(PRINTED, 1, side=BookSide.BID, cents=52)


# Balance has had a bucket of its own, one call a second, since after the recordings, which read it more often.
SETTINGS = ServerSettings(limits=RateLimits(balance_rate=100))


@pytest.mark.skipif(not FOLDER.exists(), reason="the exchange's recordings are not beside the repository")
async def test_recorded_requests_are_answered_as_recorded(autojump_clock: MockClock) -> None:
    """All of them in one account's life; every listed difference is met, and no other."""
    met: set[str] = set()
    problems = []
    cases = recordings()
    async with world(SETTINGS, dollars=98) as emulator:
        prepare(emulator)
        replay = Replay(emulator)
        for before, one in zip([cases[0], *cases], cases, strict=False):
            await trio.sleep(min(10, max(0, one.at_ms - before.at_ms) / 1_000))
            answer = await replay(one)
            status, _reason = CHANGED.get(one.name, (one.status, ""))
            if answer.status != status:
                problems.append(f"{one.name}: {answer.status} instead of {status}: {answer.text[:200]}")
            elif one.name in CHANGED:
                met.add(one.name)
            else:
                for at, what in differences(shape(one.body), shape(answer.json)).items():
                    name = at.rpartition("/")[2]
                    listed = GONE if what == "gone" else NEW if what == "new" else {}
                    if name in listed:
                        met.add(name)
                    elif not ("market" in at and name in TERMS):
                        problems.append(f"{one.name}: {at} {what}")
                if code(one.body) != code(answer.json):
                    problems.append(f"{one.name}: {code(answer.json)} instead of {code(one.body)}")
    assert problems == []
    assert met == CHANGED.keys() | GONE.keys() | NEW.keys()
    assert len(cases) == 57


def code(body: object) -> tuple[object, ...]:
    """What an error body says, word for word; empty for any other."""
    if not isinstance(body, dict):
        return ()
    error = body.get("error", body)
    return tuple(error.get(name) for name in ("code", "message", "details", "msg")) if isinstance(error, dict) else ()
