"""The life of one order, as a table: state, input, next state.

Rules:
- An input is a fact about this order. One whose stamp is older than what is known is dropped before the table is
  asked.
- A fill is booked by its id in every column, whatever the next state is; the table only says what becomes of the
  order.
- Unknown is a state: left by evidence, never by time. While it lasts its market takes no new order, its cost stays
  reserved and its count is taken as filled.
- A retry carries the same client order id, so a second send can be refused but never be a second order.

What only the real world needs:
- A fill may come before the answer that places the order, after its cancel, and after the answer that says it is
  full.
- `acked_void` is an answer of success for an order that came to nothing: an IOC remainder, a FOK with nothing filled,
  a taker that would have traded with itself, a post-only order that would have crossed.
- `refused` is said only of a body that was parsed and whose code is final; every other failure is `lost`.
- A 404 for a cancel proves nothing: cancelled, filled and never known look the same.
- A read that says `executed` while fills are missing makes the order unknown until the fills have been fetched.
- After a restart a request may have left without its answer: what was under way is unknown.
"""

from __future__ import annotations

from typing import Final

from statecharts.types import TableDef

IN: Final = "intended"
SUB: Final = "submitted"
RES: Final = "resting"
PAR: Final = "partially_filled"
CAN: Final = "cancel_pending"
AM: Final = "amend_pending"
UNK: Final = "unknown"
FIL: Final = "filled"
CXL: Final = "cancelled"
EXP: Final = "expired"
REJ: Final = "rejected"
DEN: Final = "denied"

OPEN: Final = "open"
DIV: Final = "DIV"
UDV: Final = "UNK!"
___: Final = None

FINAL_STATES: Final = frozenset({FIL, CXL, EXP, REJ, DEN})

# fmt: off
ORDER: TableDef = {
    "name": "order",
    "about": "One order, from the intent to the proof that it can no longer rest.",
    "states": [IN, SUB, RES, PAR, CAN, AM, UNK, FIL, CXL, EXP, REJ, DEN],
    "true": {
        IN: "The intent is journaled, or about to be; no byte of it has left.",
        SUB: "The request may have reached the exchange; its answer is awaited.",
        RES: "It rests in the book and nothing of it is filled.",
        PAR: "It rests in the book and some of it is filled.",
        CAN: "A cancel has been sent; it may still be filled.",
        AM: "An amend has been sent; the dearer of the old and the new order is reserved.",
        UNK: "Nobody has said what became of it; it is counted as filled and evidence is being fetched.",
        FIL: "Every contract of it is filled.",
        CXL: "It was cancelled, by us or by the exchange, and rests no more.",
        EXP: "Its time was over and it rests no more.",
        REJ: "The exchange refused it, or provably never had it.",
        DEN: "A gate of ours withheld it; it was never sent.",
    },
    "means": {
        "sent": "The first byte of the request has been written.",
        "withheld": "The gate, asked again in the step that writes, refused: nothing was sent.",
        "acked_open": "201, and something remains to be filled.",
        "acked_full": "201, and all of it was filled at once; the fills may still be on their way.",
        "acked_void": "201, nothing remains, and not all of it was filled.",
        "refused": "The exchange refused it by a code that is final.",
        "duplicate": "409 order_already_exists: an earlier send arrived, and nothing is said of where it stands.",
        "lost": "No answer that can be read: 5xx, time-out, reset, HTML, or success without an order.",
        "seen_open": "A private event, or a read newer than it, shows the order resting.",
        "fill_part": "A fill was booked and something remains.",
        "fill_rest": "A fill was booked and the fills now reach the count (the larger one while an amend is pending).",
        "seen_cancelled": "An event or a read shows it cancelled, by a reason that means it.",
        "seen_expired": "An event or a read shows it expired.",
        "seen_executed": "A read says that it is done, and the fills that made it so are not all here.",
        "cancel_sent": "A cancel of this order, or of all orders, has been written.",
        "cancel_acked": "200 for the cancel.",
        "cancel_missing": "404 for the cancel: the order is not there to be cancelled.",
        "cancel_refused": "The cancel was refused and nothing was done: paused, closed, or too many requests.",
        "cancel_lost": "No answer to the cancel that can be read.",
        "amend_sent": "An amend of this order has been written.",
        "amend_acked": "200 for the amend.",
        "amend_refused": "The amend was refused and nothing was done.",
        "amend_lost": "No answer to the amend that can be read.",
        "absent": "Never acknowledged, and in none of the complete pages read after the request could last arrive.",
        "vanished": "Acknowledged before, and in none of the complete pages.",
        "restarted": "The daemon was started again; what was under way has lost its answer.",
    },
    "words": {
        OPEN: "resting or partially_filled, by the count filled",
        DIV: "cannot be: the state is kept and a divergence hold is placed",
        UDV: "cannot be: unknown, and a divergence hold is placed",
    },
    "rows": {
        #                  IN   SUB   RES   PAR   CAN   AM    UNK   FIL  CXL  EXP  REJ  DEN
        "sent":           [SUB, DIV,  DIV,  DIV,  DIV,  DIV,  DIV,  DIV, DIV, DIV, DIV, DIV],
        "withheld":       [DEN, DIV,  DIV,  DIV,  DIV,  DIV,  DIV,  DIV, DIV, DIV, DIV, ___],
        "acked_open":     [DIV, OPEN, ___,  ___,  ___,  ___,  OPEN, ___, ___, ___, UDV, UDV],
        "acked_full":     [DIV, FIL,  FIL,  FIL,  FIL,  FIL,  FIL,  ___, FIL, FIL, UDV, UDV],
        "acked_void":     [DIV, CXL,  CXL,  CXL,  CXL,  CXL,  CXL,  ___, ___, ___, UDV, UDV],
        "refused":        [DIV, REJ,  DIV,  DIV,  DIV,  DIV,  UNK,  DIV, DIV, DIV, ___, DIV],
        "duplicate":      [DIV, UNK,  ___,  ___,  ___,  ___,  UNK,  ___, ___, ___, UDV, UDV],
        "lost":           [DIV, UNK,  ___,  ___,  ___,  ___,  ___,  ___, ___, ___, ___, DIV],
        "seen_open":      [DIV, OPEN, OPEN, OPEN, ___,  ___,  OPEN, DIV, DIV, DIV, UDV, UDV],
        "fill_part":      [DIV, PAR,  PAR,  PAR,  CAN,  AM,   UNK,  FIL, CXL, EXP, UDV, UDV],
        "fill_rest":      [DIV, FIL,  FIL,  FIL,  FIL,  FIL,  FIL,  FIL, FIL, FIL, UDV, UDV],
        "seen_cancelled": [DIV, CXL,  CXL,  CXL,  CXL,  CXL,  CXL,  DIV, ___, ___, CXL, UDV],
        "seen_expired":   [DIV, EXP,  EXP,  EXP,  EXP,  EXP,  EXP,  DIV, ___, ___, EXP, UDV],
        "seen_executed":  [DIV, UNK,  UNK,  UNK,  UNK,  UNK,  UNK,  ___, UDV, UDV, UDV, UDV],
        "cancel_sent":    [DIV, DIV,  CAN,  CAN,  CAN,  CAN,  UNK,  ___, ___, ___, ___, ___],
        "cancel_acked":   [DIV, DIV,  CXL,  CXL,  CXL,  CXL,  CXL,  DIV, ___, ___, UDV, UDV],
        "cancel_missing": [DIV, DIV,  UNK,  UNK,  UNK,  UNK,  UNK,  ___, ___, ___, ___, ___],
        "cancel_refused": [DIV, DIV,  ___,  ___,  OPEN, AM,   UNK,  ___, ___, ___, ___, ___],
        "cancel_lost":    [DIV, DIV,  UNK,  UNK,  UNK,  UNK,  UNK,  ___, ___, ___, ___, ___],
        "amend_sent":     [DIV, DIV,  AM,   AM,   DIV,  DIV,  DIV,  DIV, DIV, DIV, DIV, DIV],
        "amend_acked":    [DIV, DIV,  OPEN, OPEN, CAN,  OPEN, UNK,  ___, ___, ___, UDV, UDV],
        "amend_refused":  [DIV, DIV,  ___,  ___,  CAN,  OPEN, UNK,  ___, ___, ___, ___, ___],
        "amend_lost":     [DIV, DIV,  UNK,  UNK,  UNK,  UNK,  UNK,  ___, ___, ___, ___, ___],
        "absent":         [___, ___,  DIV,  DIV,  DIV,  DIV,  REJ,  DIV, DIV, DIV, ___, ___],
        "vanished":       [DIV, DIV,  UDV,  UDV,  UDV,  UDV,  DIV,  DIV, DIV, DIV, DIV, DIV],
        "restarted":      [UNK, UNK,  ___,  ___,  UNK,  UNK,  ___,  ___, ___, ___, ___, ___],
    },
}
# fmt: on
