"""A local Kalshi: matching, accounts, fees, markets, a crowd and recorded books behind the exchange's own rules.

The pure side (this floor) knows no clock, no socket and no file; the server side speaks the protocol on top of it.
Rules: nothing here imports `core`, so that a mistake cannot hide in both; all money is in integers of `units`.
"""
