"""The store-and-forward road that stays in memory."""

from __future__ import annotations

import pytest

from cmpkit.errors import ConfigurationError
from cmpkit.parts import TransportOptions
from cmpkit.testing import check_transport
from cmpkit.transports import MemoryPost


async def test_it_keeps_the_contract() -> None:
    post = MemoryPost()
    await check_transport(post, "memory-post:ca", clients=post, nowhere="memory-post:nobody", servers=2)
    reasons = dict(post.put_aside("memory-post:ca"))
    assert reasons[b"malformed"] == "it is no CMP message"
    assert reasons[bytes(100_001)] == "it has 100001 octets"


async def test_too_large_an_answer_is_passed_over() -> None:
    post = MemoryPost()
    place = post._place("memory-post:x")
    place.answers += [b"12345", b"1234"]
    client = post.open("memory-post:x", TransportOptions(max_response_size=4))

    async def anything(message: bytes) -> bool:
        return True

    assert await client.receive(anything) == b"1234"


@pytest.mark.parametrize("url", ["memory-post:", "memory:ca"])
def test_an_address_that_names_no_place_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="names no place"):
        MemoryPost().check(url)
