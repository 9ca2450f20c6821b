import _socket
import asyncio
import contextlib
import socket
import urllib.request
from collections.abc import Callable

import pytest

from trademl.network_guard import NetworkForbidden, no_network

LOOPBACK = ("127.0.0.1", 9)


def by_connect() -> None:
    with socket.socket() as link:
        link.connect(LOOPBACK)


def by_connect_ex() -> None:
    with socket.socket() as link:
        link.connect_ex(LOOPBACK)


def by_raw_socket() -> None:
    link = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        link.connect(LOOPBACK)
    finally:
        link.close()


def by_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.sendto(b"hello", LOOPBACK)


def by_url() -> None:
    urllib.request.urlopen("http://127.0.0.1:9/", timeout=1)


def by_asyncio() -> None:
    async def reach() -> None:
        await asyncio.open_connection(*LOOPBACK)

    asyncio.run(reach())


ATTEMPTS: list[Callable[[], object]] = [
    by_connect,
    by_connect_ex,
    by_raw_socket,
    by_datagram,
    by_url,
    by_asyncio,
    lambda: socket.create_connection(LOOPBACK, timeout=1),
    lambda: socket.getaddrinfo("example.org", 443),
    lambda: socket.gethostbyname("example.org"),
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_every_way_to_a_network_raises(attempt: Callable[[], object]) -> None:
    with pytest.raises(NetworkForbidden, match="offline"), no_network():
        attempt()


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_swallowed_attempt_still_fails_the_block(attempt: Callable[[], object]) -> None:
    def swallow() -> None:
        with no_network(), contextlib.suppress(Exception):
            attempt()

    with pytest.raises(NetworkForbidden, match="went on"):
        swallow()


def test_outside_the_block_nothing_is_refused() -> None:
    with no_network():
        pass
    server = socket.create_server(("127.0.0.1", 0))
    try:
        with socket.create_connection(server.getsockname(), timeout=5):
            pass
    finally:
        server.close()


def test_the_guard_is_lifted_after_an_error_and_blocks_may_nest() -> None:
    with pytest.raises(ValueError, match="inner"), no_network():
        raise ValueError("inner")

    def nested() -> None:
        with no_network():
            with no_network():
                pass
            by_connect()

    with pytest.raises(NetworkForbidden):
        nested()
    with socket.socket() as link:
        assert link.connect_ex(("127.0.0.1", 9)) != 0
