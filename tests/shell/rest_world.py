"""A small exchange for the REST client's tests: the house's HTTP server on a network in memory, scripted answers."""

from __future__ import annotations

import json
import random
from base64 import b64decode

import trio
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import ed25519

from kalshi_daemon.facts import OrderSpec
from kalshi_daemon.shell.clock import VirtualClock
from kalshi_daemon.shell.http_server import Response, serve_http
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.signer import Signer
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.units import BookSide, TimeInForce

START_MS = 1_781_159_348_379
HOSTS = ("first.test", "second.test")
BASE = "/trade-api/v2"


def answer(value, status=200, **headers):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Response(status, data, headers=tuple(headers.items()))


SPEC = OrderSpec(
    market="KXTEST-1-A",
    side=BookSide.BID,
    price=5_600,
    count=1_000,
    time_in_force=TimeInForce.GOOD_TILL_CANCELED,
    post_only=True,
    reduce_only=False,
    expires_s=START_MS // 1000 + 900,
    exchange_index=2,
)
CREATED = {"order_id": "o-1", "client_order_id": "kd-r-1", "fill_count": "0.00", "remaining_count": "10.00", "ts_ms": 7}
AS_OF = {"as_of_time": "2026-06-11T06:29:30.165Z"}
AS_OF_MS = 1781159370165
BUSY = answer({"error": "too many requests"}, 429)
DOWN = answer({"error": {"code": "service_unavailable", "message": "down"}}, 503)
STALE = answer({"error": {"code": "header_timestamp_expired", "message": "header timestamp expired"}}, 401)


class World:
    """`answers` are given in turn, the last for ever; each is a Response, or a coroutine function of the request."""

    def __init__(self, hosts=HOSTS, *, skew_ms=0, lanes=2):
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.network = MemoryNetwork(random.Random(1))
        self.clock = VirtualClock(START_MS)
        self.server_clock = VirtualClock(START_MS + skew_ms)
        self.requests = []
        self.arrivals = []  # (virtual seconds, host)
        self.answers = []
        urls = [f"https://{host}{BASE}" for host in hosts]
        self.client = RestClient(
            urls, Signer("key-id", self.key), self.network, self.clock, lanes=lanes, rng=random.Random(2)
        )

    def serve(self, *hosts):
        for host in hosts:
            self.network.serve(host, 443, self._handler(host))

    def _handler(self, host):
        """A handler of connections to `host`."""

        async def handle(request):
            self.requests.append(request)
            self.arrivals.append((trio.current_time(), host))
            self._verify(request)
            reply = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            return reply if isinstance(reply, Response) else await reply(request)

        return lambda stream: serve_http(stream, handle, now_ms=self.server_clock.now_ms)

    def _verify(self, request):
        """Every request is signed over what arrived, without the query."""
        stamp = request.headers["kalshi-access-timestamp"]
        signature = b64decode(request.headers["kalshi-access-signature"])
        assert request.headers["kalshi-access-key"] == "key-id"
        self.key.public_key().verify(signature, f"{stamp}{request.method}{request.path}".encode())

    @property
    def asked(self):
        """Method, path below the prefix, and query of each request."""
        return [(request.method, request.path.removeprefix(BASE), dict(request.query)) for request in self.requests]

    def outcomes(self, kind):
        return {outcome: count for (asked, outcome), count in self.client.counts.items() if asked == kind}


async def silence(_request):
    await trio.sleep_forever()


def allow():
    pass


async def create(world, **change):
    return await world.client.create_order("kd-r-1", evolve(SPEC, **change), before_send=allow)


async def cancel(world, before_send=allow):
    return await world.client.cancels.one("o-1", "KXTEST-1-A", 2, before_send=before_send)
