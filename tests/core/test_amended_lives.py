"""Random lives of an account whose orders are amended all the while: the slow model of `test_account_machine`, driven
by seeds, so that orders live long enough to be amended, filled in part, amended again, lost, cancelled, started anew.
"""

from __future__ import annotations

import random
from collections import Counter

from account_life import FATES, HEARD, MARKETS
from test_account_machine import JudgedLife

from kalshi_daemon.units import PRICE_ONE, BookSide

OUR_STEPS = ("decide", "send", "send", "hear", "hear", "hear", "amend", "amend", "amend", "cancel", "start")
STEPS, LIVES = 250, 10


class AmendedLife(JudgedLife):
    """One life, drawn; what must be so is asked after each step."""

    def live(self, draw: random.Random) -> None:
        for _ in range(STEPS):
            pick = draw.randrange(10**6)
            market, side = draw.choice(MARKETS), draw.choice(list(BookSide))
            whose = draw.random()
            if whose < 0.6:
                self.we_act(
                    step=draw.choice(OUR_STEPS),
                    pick=pick,
                    market=market,
                    side=side,
                    price=draw.randrange(1, PRICE_ONE),
                    count=draw.randrange(1, 900),
                    some=draw.choice([0, 0, 0, 300, 900, 1_000]),
                    fate=draw.choice(FATES),
                    flag=draw.random() < 0.25,
                )
            elif whose < 0.7:
                self.the_exchange_acts(
                    step="trade", pick=pick, market=market, side=side, some=300, reason="", value=0, at_once=False
                )
            else:
                self.we_hear(step=draw.choice(HEARD), pick=pick, early=draw.random() < 0.5)
            self.the_money_is_what_was_told()
            self.positions_and_profit_are_what_was_told()
            self.nothing_that_can_be_is_called_impossible()


def test_lives_with_amends_end_with_the_exchanges_account() -> None:
    """After every step the reservations are those of what each order may be; in the end its terms are theirs."""
    kinds: Counter[str] = Counter()
    for seed in range(LIVES):
        life = AmendedLife()
        life.live(random.Random(seed))
        life.teardown()
        kinds.update(type(fact).__name__ for fact in life.told)
    reached = {"AmendSent", "AmendAcknowledged", "AmendRefused", "AmendMissing", "AmendLost", "AmendWithheld"}
    assert {kind for kind in reached if not kinds[kind]} == set()
    assert kinds["AmendIntended"] > 5 * LIVES
