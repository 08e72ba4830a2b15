"""HTTP/1.1 on a `Network`: what httpx sends through, in place of its own transport.

Rules: TLS is the network's business, so httpcore is always told `http`. The pool keeps connections alive and opens no
more than it was allowed. Time limits are the caller's, around the whole request. What arrives between two writes is
bounded here, at the lowest reader, so that an answer without end is cut where it comes in; one that is packed although
that was not asked for is unpacked here within the same bound, as the client would do it without any. A body is read
whole: no stream is handed out, because a generator of httpcore that is left half way is cleaned up by nobody.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpcore
import httpx
import trio

from kalshi_daemon.limits import HTTP_HEAD_MAX, KEEPALIVE_EXPIRY_S, REST_BODY_MAX
from kalshi_daemon.shell.network import Network

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
ENCODING: Final = b"content-encoding"
GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS  # zlib's way to say that gzip is to be read, and nothing else


class HttpTransport(httpx.AsyncBaseTransport):
    """One pool for plain and one for TLS connections, at most `connections` each."""

    def __init__(self, network: Network, connections: int) -> None:
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=KEEPALIVE_EXPIRY_S,
                network_backend=_Backend(network, tls=scheme == "https"),
            )
            for scheme in DEFAULT_PORTS
        }

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        sent = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=b"http",
                host=url.raw_host,
                port=url.port or DEFAULT_PORTS[url.scheme],
                target=url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _mapped():
            answer = await self._pools[url.scheme].handle_async_request(sent)
            try:
                body = await answer.aread()
            finally:
                await answer.aclose()
            encodings = [value.lower() for name, value in answer.headers if name.lower() == ENCODING]
            body = _unpacked(body, encodings)
        headers = [(name, value) for name, value in answer.headers if name.lower() != ENCODING]
        return httpx.Response(status_code=answer.status, headers=headers, content=body)

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


def _unpacked(body: bytes, encodings: list[bytes]) -> bytes:
    """The body as it was before it was packed, by gzip alone and once. Raises ReadError."""
    if encodings in ([], [b"identity"]):
        return body
    if encodings != [b"gzip"]:
        raise httpcore.ReadError(f"the answer is packed by {encodings[0][:20]!r}, which was not asked for")
    reader = zlib.decompressobj(GZIP_WINDOW)
    try:
        plain = reader.decompress(body, REST_BODY_MAX + 1)
    except zlib.error as error:
        raise httpcore.ReadError("the answer is packed by gzip and cannot be unpacked") from error
    if len(plain) > REST_BODY_MAX:
        raise httpcore.ReadError(f"the answer is longer than {REST_BODY_MAX} bytes")
    if not reader.eof:
        raise httpcore.ReadError("the answer is packed by gzip and ends too early")
    return plain


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except httpcore.NetworkError as error:
        raise httpx.NetworkError(str(error)) from error
    except httpcore.ProtocolError as error:
        raise httpx.ProtocolError(str(error)) from error


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, network: Network, *, tls: bool) -> None:
        self._network = network
        self._tls = tls

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - httpcore's signature; no such limit is ever set
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Any = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        return _Connection(await self._network.connect(host, port, tls=self._tls))

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class _Connection(httpcore.AsyncNetworkStream):
    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._received = 0  # bytes since the last write: of one answer, as requests are not pipelined

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        if self._received > HTTP_HEAD_MAX + REST_BODY_MAX:
            raise httpcore.ReadError(f"the answer is longer than {REST_BODY_MAX} bytes")
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError("the connection broke while reading") from error
        self._received += len(data)
        return bytes(data)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._received = 0
        if not buffer:
            return
        try:
            await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.WriteError("the connection broke while writing") from error

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)

    def get_extra_info(self, info: str) -> Any:
        """Whether an idle connection has news: the other side closed it, so it is not to be used again."""
        if info != "is_readable":
            return None
        stream = self._stream
        while isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        if isinstance(stream, trio.SocketStream):
            return stream.socket.is_readable()
        return getattr(stream, "readable", False)
