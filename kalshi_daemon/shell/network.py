"""Connections: the one place where a byte leaves the process for the exchange.

Rules: everything that talks to the exchange takes a `Network`, so that the simulation can hand it another one. A
connection that does not come about is `Unreachable` with `maybe_done=False`, and says in words which step failed. No
proxy is read from anywhere.
"""

from __future__ import annotations

import socket
import ssl
from typing import Protocol

import trio

from kalshi_daemon.errors import Unreachable
from kalshi_daemon.limits import CONNECT_TIMEOUT_S


class Network(Protocol):
    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """A connected stream, TLS established where asked for. Raises `Unreachable(maybe_done=False)`."""


async def resolve(host: str, port: int) -> tuple[str, ...]:
    """The addresses of a host, each once. Raises `Unreachable(maybe_done=False)`."""
    try:
        with trio.fail_after(CONNECT_TIMEOUT_S):
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    except (OSError, trio.TooSlowError) as error:
        raise Unreachable(f"{host} {in_words(error)}", maybe_done=False) from error
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class SystemNetwork:
    """TCP with happy eyeballs, and TLS against the system's certificate authorities."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = ssl.create_default_context() if context is None else context
        self._context.set_alpn_protocols(["http/1.1"])

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S):
                stream = await trio.open_tcp_stream(host, port)
                return await self._secure(stream, host) if tls else stream
        except (OSError, ssl.SSLError, trio.BrokenResourceError, trio.TooSlowError) as error:
            raise Unreachable(f"{host}:{port} {in_words(error)}", maybe_done=False) from error

    async def _secure(self, stream: trio.SocketStream, host: str) -> trio.SSLStream[trio.SocketStream]:
        secured = trio.SSLStream(stream, self._context, server_hostname=host, https_compatible=True)
        try:
            await secured.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(secured)
            raise
        return secured


def in_words(error: Exception) -> str:
    """What kept a connection from coming about: DNS, time, a refusal, TLS, or what the system says."""
    if isinstance(error, trio.TooSlowError):
        return f"did not answer within {CONNECT_TIMEOUT_S:g} s"
    if isinstance(error, socket.gaierror):
        return f"has no address (DNS: {error.strerror})"
    cause = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
    if isinstance(cause, ssl.SSLError):
        return f"failed TLS: {getattr(cause, 'verify_message', '') or cause.reason}"
    if isinstance(cause, ConnectionRefusedError) or _all_refused(cause):
        return "refused the connection"
    return f"cannot be connected: {getattr(cause, 'strerror', None) or cause or error}"


def _all_refused(error: BaseException | None) -> bool:
    """trio raises one OSError for all the addresses that it tried, with theirs as its cause."""
    cause = None if error is None else error.__cause__
    tried = cause.exceptions if isinstance(cause, BaseExceptionGroup) else (cause,)
    return all(isinstance(one, ConnectionRefusedError) for one in tried)
