"""core/chart_states.py: what the literals say about their states."""

from __future__ import annotations

from kalshi_daemon.core.chart_states import CHARTS, sentences


def test_paths_are_dotted_and_have_sentences() -> None:
    """Every state of every chart, at any depth, has its sentence under its dotted path."""
    assert sentences("trader")["paused.holding"] == "What the holds wanted cancelled is verified as gone."
    assert all(text.endswith(".") for chart in CHARTS for text in sentences(chart).values())
