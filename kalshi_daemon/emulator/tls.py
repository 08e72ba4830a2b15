"""TLS in front of the emulator: each connection is shown the server's certificate, or the wrong one that a fault has it
shown. A handshake that fails, or takes too long, ends the connection and nothing else.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import trio
from attrs import frozen

from kalshi_daemon.emulator.bounds import EMULATOR_HANDSHAKE_S
from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.faults import CERTIFICATE_WRONG


@frozen(eq=False)
class Tls:
    """`wrong` has a context for every figure of the fault."""

    good: ssl.SSLContext
    wrong: Mapping[str, ssl.SSLContext]

    async def secure(self, stream: trio.abc.Stream, faults: FaultSchedule) -> trio.abc.Stream | None:
        """The stream inside of TLS; None, and closed, where that does not come about."""
        fault = faults.bite(CERTIFICATE_WRONG)
        context = self.good if fault is None else self.wrong[fault.why]
        secured = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            with trio.fail_after(EMULATOR_HANDSHAKE_S):
                await secured.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            await trio.aclose_forcefully(secured)
            return None
        return secured
