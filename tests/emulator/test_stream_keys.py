"""What a key may hear on a stream: private channels by its scopes, and the subaccount that it is locked to."""

from __future__ import annotations

import pytest
from emulator_world import A, World, ask, heard, part, world
from trio.testing import MockClock

from kalshi_daemon.emulator.auth import KeyPair
from kalshi_daemon.emulator.channels import CHANNELS
from kalshi_daemon.emulator.keyring import KeyTerms
from kalshi_daemon.units import BookSide

PATH = "/trade-api/ws/v2"
PRIVATE = ["fill", "user_orders", "market_positions", "order_group_updates", "communications"]


def headers(emulator: World, key: KeyPair) -> dict[str, str]:
    return emulator.headers("GET", PATH, key=key)


@pytest.mark.parametrize("scope", ["write::trade", "read::portfolio_balance"])
async def test_private_channels_need_a_key_that_reads(autojump_clock: MockClock, scope: str) -> None:
    """Each is error 9 to any other, and the market's own channels are open to it."""
    async with world() as emulator:
        key = emulator.server.add_key(emulator.key, KeyTerms(scopes=(scope,)))
        async with emulator.stream(headers(emulator, key)) as socket:
            answers = await ask(socket, 1, "subscribe", channels=[*PRIVATE, "trade"], market_tickers=[A])
            codes = [part(each, "msg").get("code") for each in answers if each["type"] == "error"]
            assert codes == [9] * len(PRIVATE)
            assert [part(each, "msg")["channel"] for each in answers if each["type"] == "subscribed"] == ["trade"]
    assert [name for name, channel in CHANNELS.items() if channel.private] == PRIVATE


async def test_a_locked_key_hears_of_its_subaccount_alone(autojump_clock: MockClock) -> None:
    """Orders, fills, positions, groups and the marks on deltas are those of the subaccount; another key hears all."""
    async with world() as emulator:
        second = emulator.exchange.open_subaccount(emulator.member, 2)
        emulator.exchange.deposit(second, emulator.member.cash[0])
        key = emulator.server.add_key(emulator.key, KeyTerms("locked", subaccount=2))
        async with emulator.stream(headers(emulator, key)) as locked, emulator.stream() as free:
            for socket in (locked, free):
                await ask(socket, 1, "subscribe", channels=[*PRIVATE, "orderbook_delta"], market_tickers=[A])
            for number in (0, 2):
                answer = await emulator.create(client_order_id=f"of-{number}", subaccount=number)
                assert answer.status == 201
                emulator.exchange.groups.create(emulator.exchange.subaccount(emulator.member, number), 100, 0)
                emulator.trade(A, 1, side=BookSide.ASK)
            said = [(await heard(socket)) for socket in (locked, free)]
        kinds = [
            [sum(frame["type"] == kind for frame in frames) for kind in ("user_order", "fill", "market_position")]
            for frames in said
        ]
        assert kinds == [[2, 1, 1], [4, 2, 2]]
        groups = [sum(frame["type"] == "order_group_updates" for frame in frames) for frames in said]
        assert groups == [1, 2]
        marks = [
            [part(frame, "msg")["client_order_id"] for frame in frames if "client_order_id" in part(frame, "msg")]
            for frames in ([frame for frame in frames if frame["type"] == "orderbook_delta"] for frames in said)
        ]
        assert marks == [["of-2"], ["of-0", "of-2"]]
