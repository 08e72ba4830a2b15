"""The life of one market, as a table: state, input, next state.

Rules:
- Events of the lifecycle channel, the clock, and reads of the market by REST are inputs of their own: a read may be
  old, an event may be missing, the clock knows only what was announced.
- A divergence here places a hold on this market alone.
- The exchange cancels everything that rests when it activates a market again: `activated` after `inactive` makes each
  order of ours on it cancel_pending until it is seen.
- A 409 outranks the status shown. A market made inactive by `trading_refused` is left by `activated`, or by two reads
  of active one minute apart: the reader posts `read_active` only at the second.
- `closing_moved` to an earlier time changes the time only; the clock posts `closing_passed` when it comes.
- `grid_changed` replaces the ladder of prices: what rests stays, and intents priced on the old ladder are withheld.
"""

from __future__ import annotations

from typing import Final

from statecharts.types import TableDef

INI: Final = "initialized"
ACT: Final = "active"
INA: Final = "inactive"
CLO: Final = "closed"
DET: Final = "determined"
DIS: Final = "disputed"
AME: Final = "amended"
FIN: Final = "finalized"

ASK: Final = "active?"
LAT: Final = "inactive, if later than now"
DIV: Final = "DIV"
___: Final = None

# fmt: off
MARKET: TableDef = {
    "name": "market",
    "about": "One market, from its listing to its settlement; the only state that takes orders is active.",
    "states": [INI, ACT, INA, CLO, DET, DIS, AME, FIN],
    "true": {
        INI: "Listed and not open yet: no orders, no cancels, nothing rests.",
        ACT: "Orders are taken; within five minutes of closing only reductions.",
        INA: "Halted, or not known to be open: no orders; cancels pass, and what rests is kept until it opens.",
        CLO: "The exchange cancels what rests and refuses our cancels; each order is read until it is seen gone.",
        DET: "The result is known and may still be contested; nothing rests and the position waits.",
        DIS: "The result is contested; nothing rests and the position waits.",
        AME: "The result was changed after a dispute; nothing rests and the position waits.",
        FIN: "Settled: the position was paid once, by the settlement's id.",
    },
    "means": {
        "opening_passed": "By the clock its opening time has passed.",
        "activated": "The lifecycle channel says that it is open for trading.",
        "deactivated": "The lifecycle channel says that trading on it is halted.",
        "closing_passed": "By the clock its closing time has passed.",
        "closing_moved": "Its closing time was moved.",
        "grid_changed": "Its ladder of prices was replaced.",
        "trading_refused": "An order was answered 409, trading paused, though the market is shown as active.",
        "determined": "Its result was determined.",
        "disputed": "A read shows that its result is disputed.",
        "amended": "A read shows that its result was amended.",
        "settled": "It was settled.",
        "read_initialized": "A read shows it as initialized.",
        "read_active": "A read shows it as active.",
        "read_inactive": "A read shows it as inactive.",
        "read_closed": "A read shows it as closed.",
        "read_finalized": "A read shows it as finalized.",
        "unlisted": "A complete read no longer lists it.",
    },
    "words": {
        ASK: "active by the clock alone: orders wait for a book snapshot or a read that says active",
        LAT: "inactive where the new closing time is later than now, otherwise nothing changes",
        DIV: "cannot be: the state is kept and a divergence hold is placed on this market",
    },
    "rows": {
        #                    INI  ACT  INA  CLO  DET  DIS  AME  FIN
        "opening_passed":   [ASK, ___, ___, ___, ___, ___, ___, ___],
        "activated":        [ACT, ACT, ACT, ACT, DIV, DIV, DIV, DIV],
        "deactivated":      [INA, INA, INA, ___, ___, ___, ___, ___],
        "closing_passed":   [CLO, CLO, CLO, CLO, ___, ___, ___, ___],
        "closing_moved":    [___, ___, ___, LAT, ___, ___, ___, ___],
        "grid_changed":     [___, ___, ___, ___, ___, ___, ___, ___],
        "trading_refused":  [___, INA, ___, ___, ___, ___, ___, ___],
        "determined":       [DET, DET, DET, DET, DET, DET, DET, DIV],
        "disputed":         [DIS, DIS, DIS, DIS, DIS, DIS, DIS, DIV],
        "amended":          [AME, AME, AME, AME, AME, AME, AME, DIV],
        "settled":          [FIN, FIN, FIN, FIN, FIN, FIN, FIN, FIN],
        "read_initialized": [___, ___, ___, ___, DIV, DIV, DIV, DIV],
        "read_active":      [ACT, ___, ACT, ACT, DIV, DIV, DIV, DIV],
        "read_inactive":    [INA, INA, ___, INA, DIV, DIV, DIV, DIV],
        "read_closed":      [CLO, CLO, CLO, ___, ___, ___, ___, DIV],
        "read_finalized":   [FIN, FIN, FIN, FIN, FIN, FIN, FIN, ___],
        "unlisted":         [INA, INA, INA, ___, ___, ___, ___, ___],
    },
}
# fmt: on
