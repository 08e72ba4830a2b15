"""A journal as a whole, of real runs of the daemon: whether it is whole, the account that it leads to, its figures."""

from __future__ import annotations

import sqlite3

from daemon_world import exchange_site

from kalshi_daemon.errors import EXIT_FAILED, EXIT_REFUSED, EXIT_STOPPED
from kalshi_daemon.facts import OrderSent
from kalshi_daemon.shell.clock import eastern_day
from kalshi_daemon.shell.journal import Journal, in_place
from kalshi_daemon.shell.journal_filter import Choice, Wanted
from kalshi_daemon.shell.journal_reader import open_journal
from kalshi_daemon.shell.journal_report import Replayed, stats, verify
from kalshi_daemon.simulation.virtual_day import START_MS
from kalshi_daemon.wire.fixed_point import format_money


async def traded(tmp_path):
    """Two runs on one journal, with orders and fills; and the second's ledger."""
    path = tmp_path / "state" / "journal.sqlite3"
    path.parent.mkdir(mode=0o700)
    async with exchange_site() as site:
        for fills in (2, 4):
            running = site.start(journal=path)
            await running.until(lambda fills=fills, running=running: running.ledger.fills_booked > fills)
            assert await running.stop() == EXIT_STOPPED
    return path, running.ledger


async def test_folding_it_gives_the_account_that_lived(autojump_clock, tmp_path):
    """To the byte, in the same state; no invariant is violated in either run; and it is called whole."""
    path, ledger = await traded(tmp_path)
    replayed = Replayed()
    with open_journal(path) as journal:
        replayed.fold(journal)
    assert replayed.ledger.snapshot() == ledger.snapshot()
    assert replayed.violated == []
    assert replayed.checked > 100
    account = replayed.account()
    assert account["settled"] == format_money(ledger.settled_total)
    assert account["fills"] == ledger.fills_booked
    assert account["live_orders"] == []
    assert account["session"]["fills"] == ledger.session.fills > 0
    assert account["session"]["invested"] == format_money(ledger.session.invested)
    last = account["executions"][-1]
    assert (last["order"] in ledger.orders, last["decision"] > 0, last["role"] in {"taker", "maker"}) == (
        True,
        True,
        True,
    )
    verified = verify(path)
    assert (verified.verdict, verified.exit_code, verified.note) == ("whole", EXIT_STOPPED, "")
    assert verified.replayed.digest == replayed.digest
    assert verified.as_dict()["events"] == ledger.version


async def test_an_order_and_a_market_are_followed_through_all_that_names_them(autojump_clock, tmp_path):
    """By either of its names the same events, the intent first, and none of another order's."""
    path, ledger = await traded(tmp_path)
    order = next(each for each in ledger.orders.values() if each.filled and each.ours)
    with open_journal(path) as journal:
        by_ours, by_theirs = (
            list(Choice(Wanted(order=name)).entries(journal)) for name in (order.client_order_id, order.order_id)
        )
        market = list(Choice(Wanted(market=order.spec.market)).entries(journal))
        kinds = list(Choice(Wanted(market=order.spec.market, kinds=frozenset({"FillSeen"}))).entries(journal))
    assert by_ours == by_theirs
    assert [entry.kind for entry in by_ours][:2] == ["OrderIntended", "OrderSent"]
    assert {"OrderAcknowledged", "FillSeen"} <= {entry.kind for entry in by_ours}
    assert {getattr(entry.fact, "client_order_id", "") for entry in by_ours} <= {order.client_order_id, ""}
    assert [entry for entry in market if entry in by_ours] == by_ours
    assert kinds == [entry for entry in market if entry.kind == "FillSeen"]


async def test_a_damaged_one_is_called_so_up_to_where(autojump_clock, tmp_path):
    path, _ledger = await traded(tmp_path)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE events SET at_ms = at_ms + 1 WHERE seq = 20")
    connection.close()
    before = path.read_bytes()
    verified = verify(path)
    assert (verified.verdict, verified.exit_code, verified.replayed.events) == ("damaged", EXIT_FAILED, 19)
    assert "event 20 " in verified.detail
    assert path.read_bytes() == before


async def test_what_must_never_happen_is_found_in_a_whole_one(autojump_clock, tmp_path):
    """An order that left without an intent: proven, and yet it must not be."""
    path, _ledger = await traded(tmp_path)
    journal = Journal.open(path, in_place)
    list(journal.verify_and_read())
    journal.write([OrderSent(START_MS, "kd-nobody-1")])
    journal.close()
    verified = verify(path)
    assert (verified.verdict, verified.exit_code) == ("violated", EXIT_REFUSED)
    assert "1: kd-nobody-1 was sent without an intent" in verified.replayed.violated
    other = verify(path, "another", "somebody")
    assert other.verdict == "violated"
    assert other.detail.startswith("2 invariants are violated; it is of an account of the environment ")


def test_what_is_no_journal_has_no_times_and_no_digest(tmp_path):
    """They would be those of 1970, and of an account that nobody has."""
    path = tmp_path / "journal.sqlite3"
    path.write_text("a text\n")
    told = verify(path).as_dict()
    assert (told["verdict"], told["events"], told["from"], told["to"], told["digest"]) == ("damaged", 0, "", "", "")


async def test_figures_add_up(autojump_clock, tmp_path):
    path, ledger = await traded(tmp_path)
    with open_journal(path) as journal:
        counted = stats(journal)
    assert counted.events == sum(counted.kinds.values()) == ledger.version
    assert counted.runs == 2
    assert counted.bodies == sum(counted.sizes.values())
    assert list(counted.days) == [eastern_day(START_MS)]
    day = counted.days[eastern_day(START_MS)]
    assert (day["events"], day["fills"]) == (counted.events, counted.kinds["FillSeen"])
    assert counted.as_dict(path)["schemas"] == {"1": counted.events}
    assert 0 < counted.busiest[0] <= counted.events
