"""core/chart_states.py: what the literals say about their states."""

from __future__ import annotations

from kalshi_daemon.core.chart_states import CHARTS, leaves, limits_of, sentences


def test_paths_are_dotted_and_have_sentences() -> None:
    """Every state of every chart, at any depth, has its sentence under its dotted path."""
    assert sentences("trader")["paused.holding"] == "What the holds wanted cancelled is verified as gone."
    assert all(text.endswith(".") for chart in CHARTS for text in sentences(chart).values())


def test_leaves_are_where_a_chart_can_rest() -> None:
    """Only innermost states are labels: the composite `trading` is none, its children are."""
    assert leaves("actor") == ("running", "cooling", "disabled")
    assert "trading" not in leaves("trader")
    assert {"trading.normal", "trading.reducing", "stopped", "failed"} <= set(leaves("trader"))


def test_limits_are_read_from_the_chart() -> None:
    """A state's time limits are known by event and by the limit's name; a state without any has none."""
    assert limits_of("trader")["paused.unswept"] == {"sweep_due": "sweep_backoff"}
    assert limits_of("actor")["running"] == {}
