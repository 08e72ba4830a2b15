"""`reload`: another model decides while the trader trades, and a file that is none changes nothing."""

from __future__ import annotations

import hashlib

import onnx
import pytest
import trio
from daemon_world import LIVELY, exchange_site

from kalshi_daemon.config import SHIPPED_MODEL
from kalshi_daemon.errors import CommandRefused
from kalshi_daemon.facts import Alarmed, ModelReplaced, OperatorSpoke, OrderIntended
from kalshi_daemon.shell.control import ControlRequest
from kalshi_daemon.shell.event_bus import BusEnded
from kalshi_daemon.simulation.faulty_link import TOO_MANY

ORDERS = "/portfolio/events/orders"


def write_model(path, created):
    """The shipped model, trained on another day: the same decisions under another hash."""
    model = onnx.load(SHIPPED_MODEL)
    told = {each.key: each.value for each in model.metadata_props} | {"created": created}
    onnx.helper.set_model_props(model, told)
    path.write_bytes(model.SerializeToString())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def actor_states(running):
    return [line.state for line in running.daemon.surface.reporter.history() if line.label == "actor"]


def facts_of(running, kind):
    seen = []
    running.parts.bus.listen(lambda news: seen.append(news.fact) if isinstance(news.fact, kind) else None)
    return seen


async def reload(running, why="a better one"):
    operations = running.daemon.tasks.operations()
    return await operations["reload"](ControlRequest("reload", why, who="uid 7"))


def variables(path):
    return {"KALSHI_POLICY": "onnx", "KALSHI_MODEL": str(path)}


async def test_orders_before_and_after_carry_their_model(autojump_clock, tmp_path):
    """Without leaving trading: who said so, why and both hashes are in the journal, and no decision is lost."""
    path = tmp_path / "policy.onnx"
    first = write_model(path, "2026-11-01")
    async with exchange_site(LIVELY) as site:
        running = site.start(variables(path))
        intents = facts_of(running, OrderIntended)
        await running.until(lambda: len(intents) >= 5)
        assert running.daemon.surface.reporter.status().model == first[:12]
        entered = len(running.daemon.surface.reporter.history())
        second = write_model(path, "2026-11-02")
        spoken, replaced = facts_of(running, OperatorSpoke), facts_of(running, ModelReplaced)
        assert await reload(running) == f"model {second[:12]} decides, not {first[:12]}"
        before = len(intents)
        await running.until(lambda: len(intents) >= before + 5)
        assert {each.model for each in intents[:before]} == {first}
        assert {each.model for each in intents[before:]} == {second}
        assert [(each.command, each.who, each.why) for each in spoken] == [("reload", "uid 7", "a better one")]
        assert [(each.before, each.now, each.by) for each in replaced] == [
            (first, second, "reload by uid 7: a better one")
        ]
        assert running.daemon.surface.reporter.status().model == second[:12]
        assert len(running.daemon.surface.reporter.history()) == entered
        assert await reload(running) == f"model {second[:12]} decides: the file is what it was"
        assert await running.stop() == 0


@pytest.mark.parametrize("content", [b"", b"no model", None])
async def test_a_file_that_is_no_model_changes_nothing(autojump_clock, tmp_path, content):
    """Refused in one line, and the model from before decides."""
    path = tmp_path / "policy.onnx"
    first = write_model(path, "2026-11-01")
    async with exchange_site(LIVELY) as site:
        running = site.start(variables(path))
        intents, replaced = facts_of(running, OrderIntended), facts_of(running, ModelReplaced)
        await running.until("trading.normal")
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        with pytest.raises(CommandRefused, match=r"cannot be read.*; the model from before decides"):
            await reload(running)
        await running.until(lambda: len(intents) >= 3)
        assert ({each.model for each in intents}, replaced, set(actor_states(running))) == ({first}, [], {"running"})
        assert await running.stop() == 0


async def test_a_model_for_other_sizes_is_refused(autojump_clock, tmp_path):
    """The check is that of the start."""
    path = tmp_path / "policy.onnx"
    write_model(path, "2026-11-01")
    async with exchange_site(LIVELY) as site:
        running = site.start(variables(path))
        await running.until("trading.normal")
        model = onnx.load(path)
        told = {each.key: each.value for each in model.metadata_props} | {"sizes": "7"}
        onnx.helper.set_model_props(model, told)
        path.write_bytes(model.SerializeToString())
        with pytest.raises(CommandRefused, match="metadata sizes is '7', wanted '5' by KALSHI_ORDER_SIZES"):
            await reload(running)
        assert await running.stop() == 0


async def test_a_policy_that_was_disabled_decides_again(autojump_clock, tmp_path):
    """It crashed, and the one that was read does not: no waiting for the probe, and its breaker closes."""
    path = tmp_path / "policy.onnx"
    write_model(path, "2026-11-01")
    async with exchange_site(LIVELY) as site:
        running = site.start(variables(path))
        await running.until("trading.normal")
        actor = running.parts.policy.actor

        def crash(observation, mask):
            raise FloatingPointError("the model made no number")

        actor._selector.select = crash
        for _ in range(3):
            actor.failed("crashed before")
        await running.until(lambda: actor_states(running)[-1] == "disabled")
        assert actor.breaker.state == "open"
        second = write_model(path, "2026-11-02")
        asked_s, before = trio.current_time(), actor.decisions
        assert (await reload(running)).startswith(f"model {second[:12]} decides")
        await running.until(lambda: actor.decisions > before, 5)
        assert trio.current_time() - asked_s < 5
        assert (actor.breaker.state, actor_states(running)[-1]) == ("closed", "running")
        assert await running.stop() == 0


async def test_a_policy_that_cools_down_goes_on_with_it(autojump_clock, tmp_path):
    """After a 429 it decides nothing for a second, unless another model comes."""
    path = tmp_path / "policy.onnx"
    write_model(path, "2026-11-01")
    async with exchange_site(LIVELY) as site:
        running = site.start(variables(path))
        await running.until("trading.normal")
        site.fail(("POST", ORDERS, TOO_MANY))
        await running.until(lambda: "cooling" in actor_states(running))
        site.mend()
        await reload(running)
        await running.until(lambda: actor_states(running)[-1] == "running", 0.5)
        assert await running.stop() == 0


async def test_what_has_no_model_says_so(autojump_clock):
    async with exchange_site(LIVELY) as site:
        running = site.start({"KALSHI_POLICY": "rules"})
        await running.until("trading.normal")
        with pytest.raises(CommandRefused, match="KALSHI_POLICY is rules, which has no model to read again"):
            await reload(running)
        assert await running.stop() == 0


async def test_batches_are_decided_while_the_file_is_read(autojump_clock, tmp_path):
    """By the model that was there; a second reload meanwhile is refused, and nothing of it is journaled."""
    path = tmp_path / "policy.onnx"
    first = write_model(path, "2026-11-01")
    read, reading = trio.Event(), trio.Event()

    async def held(function):
        if getattr(function, "__name__", "") == "_read_model":
            reading.set()
            await read.wait()
        return function()

    async with exchange_site(LIVELY) as site, trio.open_nursery() as nursery:
        running = site.start(variables(path), run_in_thread=held)
        await running.until("trading.normal")
        second = write_model(path, "2026-11-02")
        spoken, replaced = facts_of(running, OperatorSpoke), facts_of(running, ModelReplaced)
        nursery.start_soon(reload, running)
        await reading.wait()
        intents, batches = facts_of(running, OrderIntended), running.parts.policy.actor.batches
        await running.until(lambda: len(intents) >= 2 and running.parts.policy.actor.batches > batches + 5)
        assert {each.model for each in intents} == {first}
        with pytest.raises(CommandRefused, match="a reload is under way: ask again when it has ended"):
            await reload(running)
        assert (len(spoken), replaced) == (1, [])
        read.set()
        await running.until(lambda: second in {each.model for each in intents})
        models = [each.model for each in intents]
        assert models == sorted(models, key=[first, second].index)
        assert await running.stop() == 0


async def test_what_cannot_be_journaled_does_not_decide(autojump_clock, tmp_path, monkeypatch):
    """The journal has a model before its first order; another reload is taken afterwards."""
    path = tmp_path / "policy.onnx"
    first = write_model(path, "2026-11-01")
    async with exchange_site(LIVELY) as site:
        running = site.start(variables(path))
        await running.until("trading.normal")
        second, settle = write_model(path, "2026-11-02"), running.parts.bus.settle

        async def ended(fact):
            if isinstance(fact, ModelReplaced):
                raise BusEnded("a test")
            await settle(fact)

        with monkeypatch.context() as patch:
            patch.setattr(running.parts.bus, "settle", ended)
            with pytest.raises(CommandRefused, match="the daemon is ending"):
                await reload(running)
        intents = facts_of(running, OrderIntended)
        await running.until(lambda: len(intents) >= 2)
        assert {each.model for each in intents} == {first} == {running.parts.policy.selector.model}
        assert await reload(running) == f"model {second[:12]} decides, not {first[:12]}"
        assert await running.stop() == 0


async def test_a_paused_daemon_takes_it_for_later(autojump_clock, tmp_path):
    """No loop runs; the hold stays, and the next loop decides with the new one."""
    path = tmp_path / "policy.onnx"
    write_model(path, "2026-11-01")
    async with exchange_site(LIVELY) as site:
        running = site.start(variables(path))
        await running.until("trading.normal")
        operations = running.daemon.tasks.operations()
        await operations["pause"](ControlRequest("pause", who="uid 7"))
        await running.until("paused.holding")
        second = write_model(path, "2026-11-02")
        await reload(running)
        assert running.held() == ["operator"]
        intents = facts_of(running, OrderIntended)
        await operations["resume"](ControlRequest("resume", who="uid 7"))
        await running.until(lambda: len(intents) >= 2)
        assert {each.model for each in intents} == {second}
        assert await running.stop() == 0


async def test_a_signal_that_is_refused_is_an_alarm(autojump_clock, tmp_path):
    """Nobody hears the answer to a signal; one that is taken replaces the model as the command does."""
    path = tmp_path / "policy.onnx"
    first = write_model(path, "2026-11-01")
    async with exchange_site(LIVELY) as site:
        running = site.start(variables(path))
        await running.until("trading.normal")
        alarms, replaced = facts_of(running, Alarmed), facts_of(running, ModelReplaced)
        path.write_bytes(b"no model")
        await running.daemon.reload("SIGHUP")
        await running.until(lambda: bool(alarms))
        assert [each.alarm for each in alarms] == ["reload_refused"]
        assert "cannot be read as ONNX" in alarms[0].text
        second = write_model(path, "2026-11-02")
        await running.daemon.reload("SIGHUP")
        assert [(each.before, each.now, each.by) for each in replaced] == [
            (first, second, "reload by SIGHUP: no reason given")
        ]
        assert await running.stop() == 0


async def test_what_a_model_answered_without_sense_is_counted_on(autojump_clock, tmp_path):
    """The count is of the run; a model that is replaced takes none of it along."""
    path = tmp_path / "policy.onnx"
    write_model(path, "2026-11-01")
    async with exchange_site(LIVELY) as site:
        running = site.start(variables(path))
        await running.until("trading.normal")
        running.parts.policy.selector.senseless = 3
        await reload(running)
        assert running.parts.policy.senseless == 3
        assert await running.stop() == 0


async def test_before_the_start_has_read_one_there_is_nothing_to_replace(tmp_path):
    """A daemon whose preflight is not over."""
    path = tmp_path / "policy.onnx"
    write_model(path, "2026-11-01")
    async with exchange_site(LIVELY) as site:
        running = site.start(variables(path))
        with pytest.raises(CommandRefused, match="the policy is not loaded yet: wait for preflight"):
            await running.parts.policy.read_again()
        running.kill()
