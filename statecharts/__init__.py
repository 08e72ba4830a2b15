"""The charts and tables of the daemon, as literals: read these files first.

Rules: data only. Nothing here imports more than `types`, runs anything or knows a library. A chart names tasks,
guards and limits; `kalshi_daemon` binds them. Everything that shows a chart (diagrams, the status line, metric
labels) reads these literals, and `kalshi_daemon.charts.lint` checks them in both directions.

| module | literal | instances |
|---|---|---|
| `trader` | chart | one: the life of the daemon |
| `connection` | chart | one per WebSocket session |
| `orderbook_feed` | chart | one per subscription of books |
| `actor` | chart | one, while the trader is in `trading` |
| `circuit_breaker` | chart, stepped as a table | one per thing guarded |
| `order` | table | one per order |
| `market` | table | one per market |
"""
