"""The commands of a stream beyond the everyday ones: every channel and error code, answers out of order, the limits."""

from __future__ import annotations

import random

import pytest
from emulator_world import BARE, A, B, C, Frame, ask, heard, now_ms, part, say, seqs, world
from trio.testing import MockClock

from kalshi_daemon.emulator.channels import CHANNELS, ERRORS
from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.emulator.grid import DECI_CENT, LINEAR_CENT
from kalshi_daemon.emulator.markets import invented_market
from kalshi_daemon.emulator.model import Series
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.units import BookSide, FeeType


def refused(request_id: int, code: int, **more: object) -> Frame:
    return {"type": "error", "id": request_id, **more, "msg": {"code": code, "msg": ERRORS[code]}}


async def test_every_channel_of_the_exchange_can_be_had(autojump_clock: MockClock) -> None:
    """One subscribe names all thirteen; each gets its sid, in the order asked for, and a second one is `ok` for all."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        params = {"channels": list(CHANNELS), "market_tickers": [A], "index_ids": ["BRTI"]}
        frames = await ask(socket, 1, "subscribe", **params)
        said = [part(frame, "msg") for frame in frames if frame["type"] == "subscribed"]
        assert said == [{"channel": channel, "sid": sid} for sid, channel in enumerate(CHANNELS, 1)]
        again = await ask(socket, 2, "subscribe", **params)
        assert [(frame["type"], frame["sid"]) for frame in again] == [("ok", sid) for sid in range(1, 14)]
        assert [frame["sid"] for frame in again if "seq" in frame] == [
            sid for sid, channel in enumerate(CHANNELS.values(), 1) if channel.sequenced
        ]


async def test_the_ticker_tells_what_changed(autojump_clock: MockClock) -> None:
    """Its frames have no seq; one comes for each change of what it shows, and none for a change deeper in the book."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["ticker"], market_tickers=[A])
        emulator.trade(A, 3, side=BookSide.BID, cents=47)
        emulator.trade(A, 9, side=BookSide.BID, cents=46)
        emulator.trade(B, 9, side=BookSide.BID, cents=46)
        emulator.trade(A, 5, side=BookSide.ASK, cents=47)
        first, second = await heard(socket)
        msg = part(first, "msg")
        shown = ("price_dollars", "yes_bid_dollars", "yes_ask_dollars", "yes_bid_size_fp", "yes_ask_size_fp")
        assert [msg[name] for name in shown] == ["0.0000", "0.4700", "1.0000", "3.00", "0.00"]
        msg = part(second, "msg")
        assert [msg[name] for name in shown] == ["0.4700", "0.4600", "0.4700", "9.00", "2.00"]
        totals = ("last_trade_size_fp", "volume_fp", "open_interest_fp", "dollar_volume", "dollar_open_interest")
        assert [msg[name] for name in totals] == ["3.00", "3.00", "3.00", 1, 3]
        assert "seq" not in first


async def test_the_ticker_shows_at_once_what_is_asked_for(autojump_clock: MockClock) -> None:
    """send_initial_snapshot gives a frame for each market named, by ticker or by id, after the answers."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        market_id = emulator.exchange.market(B).market_id
        frames = await ask(
            socket, 1, "subscribe", channels=["ticker", "fill"], market_tickers=[A], send_initial_snapshot=True
        )
        assert [frame["type"] for frame in frames] == ["subscribed", "subscribed", "ticker"]
        update = {"sid": 1, "action": "add_markets", "market_ids": [market_id], "send_initial_snapshot": True}
        answer, shown = await ask(socket, 2, "update_subscription", **update)
        assert answer["msg"] == {"market_tickers": [A], "market_ids": [market_id]}
        assert part(shown, "msg")["market_ticker"] == B
        emulator.trade(B, 1, side=BookSide.BID)
        emulator.trade(C, 1, side=BookSide.BID)
        assert [part(frame, "msg")["market_ticker"] for frame in await heard(socket)] == [B]
        update = {"sid": 1, "action": "delete_markets", "market_id": market_id}
        assert (await ask(socket, 3, "update_subscription", **update))[0]["msg"] == {"market_tickers": [A]}
        emulator.trade(B, 1, side=BookSide.BID)
        assert await heard(socket) == []


async def test_market_ids_are_for_the_ticker_alone(autojump_clock: MockClock) -> None:
    """Books cannot be had by id, and ids beside tickers are an invalid parameter."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        market_id = emulator.exchange.market(A).market_id
        assert await ask(socket, 1, "subscribe", channels=["orderbook_delta"], market_ids=[market_id]) == [
            refused(1, 14)
        ]
        both = {"market_ids": [market_id], "market_tickers": [A]}
        assert await ask(socket, 2, "subscribe", channels=["ticker"], **both) == [refused(2, 11)]


async def test_a_list_can_be_left_out_of_the_answers(autojump_clock: MockClock) -> None:
    """skip_ticker_ack holds for its subscription as long as it lives: `ok` comes without the markets."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["trade"], market_tickers=[A], skip_ticker_ack=True)
        added = await ask(socket, 2, "update_subscription", sid=1, action="add_markets", market_tickers=[B])
        assert added == [{"type": "ok", "id": 2, "sid": 1, "seq": 1, "msg": {}}]
        wrong = await ask(socket, 3, "subscribe", channels=["trade"], skip_ticker_ack=1)
        assert wrong == [refused(3, 11)]


async def test_outside_values_are_followed_by_name_and_never_come(autojump_clock: MockClock) -> None:
    """Indices and underlyings have actions and codes of their own; `all` stands for everything; the lists are empty."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["cfbenchmarks_value"], index_ids=["BRTI"])
        await ask(socket, 1, "subscribe", channels=["pyth_value"])

        async def update(**params: object) -> Frame:
            (frame,) = await ask(socket, 2, "update_subscription", **params)
            return frame

        assert await update(sid=1, action="subscribe_indices") == refused(2, 24, sid=1, seq=1)
        more = await update(sid=1, action="subscribe_indices", index_ids=["ETHUSD_RTI"])
        assert more["msg"] == {"index_ids": ["BRTI", "ETHUSD_RTI"]}
        everything = await update(sid=1, action="subscribe_indices", index_ids=["all"])
        assert everything["msg"] == {"index_ids": ["all"]}
        nothing = await update(sid=1, action="unsubscribe_indices", index_ids=["all"])
        assert nothing["msg"] == {"index_ids": []}
        assert await update(sid=1, action="add_markets", market_tickers=[A]) == refused(2, 13, sid=1, seq=5)
        shown = await update(sid=1, action="indexlist")
        assert (shown["type"], shown["msg"], shown["id"]) == ("cfbenchmarks_value_indexlist", {"index_ids": []}, 2)
        assert await update(sid=2, action="unsubscribe_underlyings") == refused(2, 28, sid=2, seq=1)
        one = await update(sid=2, action="subscribe_underlyings", underlying_tickers=["Crypto.BTC"])
        assert one["msg"] == {"underlying_tickers": ["Crypto.BTC"]}
        gone = await update(sid=2, action="unsubscribe_underlyings", underlying_tickers=["Crypto.BTC"])
        assert gone["msg"] == {"underlying_tickers": []}
        shown = await update(sid=2, action="underlying_list")
        assert (shown["type"], shown["msg"]) == ("pyth_value_underlying_list", {"underlying_tickers": []})


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"shard_factor": 0}, 19),
        ({"shard_key": 0}, 20),
        ({"shard_factor": 4, "shard_key": 4}, 21),
        ({"shard_factor": 4, "shard_key": -1}, 21),
        ({"shard_factor": 101}, 22),
        ({"shard_factor": "4"}, 11),
        ({"user_filter": "others"}, 11),
        ({"shard_factor": 4, "shard_key": 3, "user_filter": "self"}, None),
    ],
)
async def test_communications_check_their_shards(
    autojump_clock: MockClock, params: dict[str, object], code: int | None
) -> None:
    """Each wrong sharding has its code; a right one is subscribed."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        (frame,) = await ask(socket, 1, "subscribe", channels=["communications"], **params)
        assert part(frame, "msg").get("code") == code


async def test_channels_without_markets_cannot_be_updated(autojump_clock: MockClock) -> None:
    """Lifecycles, order groups and communications follow everything: any action is unsupported."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        channels = ["market_lifecycle_v2", "multivariate_market_lifecycle", "order_group_updates", "communications"]
        await ask(socket, 1, "subscribe", channels=channels)
        for sid in range(1, 5):
            update = {"sid": sid, "market_tickers": [A], "action": "add_markets"}
            assert await ask(socket, 2, "update_subscription", **update) == [refused(2, 13, sid=sid, seq=1)]


async def test_one_subscription_may_be_named_once(autojump_clock: MockClock) -> None:
    """`sid` beside `sids`, or neither, is not exactly one."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["trade"])
        for named in ({"sid": 1, "sids": [1]}, {"action": "add_markets"}, {"sids": "1"}, {"sids": []}):
            assert await ask(socket, 2, "update_subscription", **named) == [refused(2, 12)]


async def test_an_unsubscribe_is_numbered_on_every_channel(autojump_clock: MockClock) -> None:
    """The specification requires a seq of `unsubscribed`, also where data have none."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["fill", "trade"])
        frames = await ask(socket, 2, "unsubscribe", sids=[1, 7, 2])
        gone = {"type": "unsubscribed", "id": 2}
        assert frames == [gone | {"sid": 1, "seq": 1}, refused(2, 7), gone | {"sid": 2, "seq": 1}]


async def test_the_limits_are_settings(autojump_clock: MockClock) -> None:
    """One market too many is code 26 and leaves the subscription as it was; one command too many is code 27."""
    settings = ServerSettings(send_clock=False, send_sending_ts=False, markets_max=2, commands_per_s=3)
    async with world(settings) as emulator, emulator.stream() as socket:
        assert await ask(socket, 1, "subscribe", channels=["trade"], market_tickers=[A, B, C]) == [refused(1, 26)]
        for number, tickers in ((2, [A]), (3, [A, B, C]), (4, [A, B, B])):
            await say(socket, number, "subscribe", channels=["trade"], market_tickers=tickers)
        frames = await heard(socket)
        assert [(frame["id"], frame["type"], part(frame, "msg").get("code")) for frame in frames] == [
            (2, "subscribed", None),
            (3, "error", 26),
            (4, "error", 27),
        ]
        (frame,) = await ask(socket, 5, "list_subscriptions")
        assert frame == refused(5, 27)


@pytest.mark.parametrize("seed", range(4))
async def test_answers_may_come_out_of_order(autojump_clock: MockClock, seed: int) -> None:
    """Under a delay every command is answered once, by its id, in an order of its own; books still add up."""
    settings = ServerSettings(send_sending_ts=False, command_delay_ms=900)
    async with world(settings) as emulator, emulator.stream() as socket:
        emulator.server._rng.seed(seed)
        tickers = [f"UNKNOWN-{number}" for number in range(12)]
        for number, ticker in enumerate(tickers, 1):
            await say(socket, number, "subscribe", channels=["orderbook_delta"], market_tickers=[ticker, A])
        frames: list[Frame] = []
        for _ in range(10):
            emulator.trade(A, 1, side=random.Random(seed).choice((BookSide.BID, BookSide.ASK)))
            for _ in range(12):
                frames += await heard(socket)
        answers = [frame["id"] for frame in frames if "id" in frame]
        assert sorted(answers, key=str) == sorted(range(1, 13), key=str)
        assert answers != sorted(answers, key=lambda number: int(str(number)))
        assert seqs(frames, 1) == list(range(1, len(seqs(frames, 1)) + 1))
        last = [frame for frame in frames if frame["type"] == "ok"][-1]
        assert part(last, "msg")["market_tickers"] == sorted([*tickers, A])


async def test_too_many_delayed_commands_are_obeyed_at_once(autojump_clock: MockClock) -> None:
    """What waits is bounded: the sixty-fifth command does not wait."""
    settings = ServerSettings(send_sending_ts=False, command_delay_ms=60_000)
    async with world(settings) as emulator, emulator.stream() as socket:
        for number in range(1, 66):
            await say(socket, number, "list_subscriptions")
        assert [frame["id"] for frame in await heard(socket)] == [65]


async def test_a_channel_error_ends_a_subscription(autojump_clock: MockClock) -> None:
    """Code 10 is the last frame of its sid, and the channel can be had again under the next."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["trade", "fill"])
        emulator.server.fail_channel("trade")
        emulator.server.fail_channel("orderbook_delta")
        emulator.trade(A, 1, side=BookSide.BID)
        emulator.trade(A, 1, side=BookSide.ASK)
        failed = {"type": "error", "sid": 1, "seq": 1, "msg": {"code": 10, "msg": "Channel error"}}
        assert await heard(socket) == [failed]
        again = await ask(socket, 2, "subscribe", channels=["trade"])
        assert part(again[0], "msg") == {"channel": "trade", "sid": 3}


@pytest.mark.parametrize("code", [9, 18, 23])
async def test_a_refusal_can_be_planned(autojump_clock: MockClock, code: int) -> None:
    """The codes that no command brings about answer the next one, which is not obeyed, and only that."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        emulator.server.faults.add(parse_fault(f"refused:{code}x1"))
        assert await ask(socket, 1, "subscribe", channels=["trade"]) == [refused(1, code)]
        assert await ask(socket, 2, "list_subscriptions") == [{"type": "ok", "id": 2, "msg": []}]


async def test_a_refusal_waits_for_its_command(autojump_clock: MockClock) -> None:
    """On whichever stream it comes, also one that is opened later; other commands pass."""
    async with world(BARE) as emulator:
        emulator.server.faults.add(parse_fault("refused:26:subscribex1"))
        async with emulator.stream() as socket:
            assert await ask(socket, 1, "list_subscriptions") == [{"type": "ok", "id": 1, "msg": []}]
            assert await ask(socket, 2, "subscribe", channels=["trade"]) == [refused(2, 26)]
            assert part((await ask(socket, 3, "subscribe", channels=["trade"]))[0], "msg")["channel"] == "trade"


async def test_order_groups_are_told_to_their_member(autojump_clock: MockClock) -> None:
    """Each step of a group is one sequenced frame, to its member alone; the limit is there where the step has one."""
    path = "/trade-api/v2/portfolio/order_groups"
    async with world(BARE) as emulator, emulator.stream() as socket:
        other = emulator.headers("GET", "/trade-api/ws/v2", key=emulator.server.join(1_000_000))
        async with emulator.stream(other) as stranger:
            for one in (socket, stranger):
                await ask(one, 1, "subscribe", channels=["order_group_updates"])
            created = await emulator.ask("POST", path + "/create", {"contracts_limit": 10})
            group_id, at_ms = created.json["order_group_id"], now_ms()
            await emulator.ask("PUT", f"{path}/{group_id}/trigger")
            groups = await heard(socket)
            assert await heard(stranger) == []
        msg = {"order_group_id": group_id, "ts_ms": at_ms}
        frame = {"type": "order_group_updates", "sid": 1}
        assert groups == [
            frame | {"seq": 1, "msg": msg | {"event_type": "created", "contracts_limit_fp": "10.00"}},
            frame | {"seq": 2, "msg": msg | {"event_type": "triggered"}},
        ]


async def test_a_subaccounts_doings_are_named(autojump_clock: MockClock) -> None:
    """Its number is on the delta of its order, the order, the fill and the position; the primary one's is only on the
    order. The order of a group names it."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        account = emulator.exchange.open_subaccount(emulator.member, 3)
        emulator.exchange.deposit(account, 100_000_000)
        channels = ["orderbook_delta", "user_orders", "fill", "market_positions"]
        await ask(socket, 1, "subscribe", channels=channels, market_tickers=[A])
        shown = []
        for number in (3, 0):
            path = "/trade-api/v2/portfolio/order_groups/create"
            group = (await emulator.ask("POST", path, {"contracts_limit": 10, "subaccount": number})).json
            answer = await emulator.create(subaccount=number, order_group_id=group["order_group_id"])
            assert answer.status == 201
            emulator.trade(A, 1)
            frames = await heard(socket)
            orders = [part(frame, "msg") for frame in frames if frame["type"] == "user_order"]
            assert [(order["subaccount_number"], order["order_group_id"]) for order in orders] == [
                (number, group["order_group_id"])
            ] * 2
            others = [frame for frame in frames if frame["type"] != "user_order"]
            shown.append([(frame["type"], part(frame, "msg").get("subaccount")) for frame in others])
        first = [("orderbook_delta", 3), ("fill", 3), ("market_position", 3), ("orderbook_delta", None)]
        assert shown == [first, [(kind, None) for kind, _ in first]]


async def test_events_and_combos_are_told_of(autojump_clock: MockClock) -> None:
    """The first market of an event announces it; an event's fees and a market's name and grid change aloud; combos have
    a channel of their own, with no words for the last two."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["market_lifecycle_v2", "multivariate_market_lifecycle"])
        exchange = emulator.exchange
        exchange.add_series(Series("KXMVEDEMO", "Invented combos", "Sports", FeeType.QUADRATIC, 1_000_000))
        for ticker in ("DEMORATE-MEET-CUT", "DEMORATE-MEET-HOLD", "KXMVEDEMO-S1-A"):
            exchange.add_market(invented_market(ticker, "Invented", LINEAR_CENT, now_ms()))
            exchange.rename(ticker, "Renamed")
            exchange.change_grid(ticker, DECI_CENT)
        exchange.override_fees("DEMORATE-MEET", FeeType.QUADRATIC_WITH_MAKER_FEES, 500_000)
        exchange.override_fees("DEMORATE-MEET", None, None)
        frames = await heard(socket)
        changes = ("created", "metadata_updated", "price_level_structure_updated")
        assert [(frame["sid"], frame["type"], part(frame, "msg").get("event_type")) for frame in frames] == [
            (1, "event_lifecycle", None),
            *((1, "market_lifecycle_v2", change) for change in changes * 2),
            (2, "event_lifecycle", None),
            (2, "multivariate_market_lifecycle", "created"),
            (1, "event_fee_update", None),
            (1, "event_fee_update", None),
        ]
        assert seqs(frames, 1) == list(range(1, 10))
        assert frames[0]["msg"] == {
            "event_ticker": "DEMORATE-MEET",
            "exchange_index": 0,
            "title": "Invented rates",
            "subtitle": "DEMORATE-MEET",
            "collateral_return_type": "",
            "series_ticker": "DEMORATE",
        }
        assert part(frames[2], "msg")["yes_sub_title"] == "Renamed"
        assert part(frames[3], "msg")["price_ranges"] == [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
        assert "price_ranges" in part(frames[1], "msg")
        assert "price_ranges" not in part(frames[8], "msg")
        terms = [
            (part(frame, "msg")["fee_type_override"], part(frame, "msg")["fee_multiplier_override"])
            for frame in frames[-2:]
        ]
        assert terms == [("quadratic_with_maker_fees", 0.5), (None, None)]
        exchange.override_fees("DEMORATE-MEET", FeeType.QUADRATIC_WITH_MAKER_FEES, 500_000)
        event = part(await emulator.get("/events/DEMORATE-MEET"), "event")
        assert (event["fee_type_override"], event["fee_multiplier_override"]) == ("quadratic_with_maker_fees", 0.5)
