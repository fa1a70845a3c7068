"""The CA in this process is a whole one, on any event loop, by the clock and with the random octets it is given."""

from __future__ import annotations

import itertools
import sys

import pytest
from cryptography import x509

import cmpkit.testing
from cmpkit.asn1 import decode_message
from cmpkit.blocking import Client as BlockingClient
from cmpkit.endpoints.client import Client
from cmpkit.errors import ConfigurationError, PeerRefusal
from cmpkit.parts import CertificateState, Peer
from cmpkit.testing import InProcessCA, VirtualClock


async def test_a_certificate_is_got_updated_and_revoked(cmp_client: Client, cmp_ca: InProcessCA) -> None:
    async with cmp_client as client:
        enrolled = await client.enroll("CN=dev-42")
        renewed = await client.update(enrolled)
        await client.revoke(renewed)
    states = [record.state for record in await cmp_ca.certificates()]
    assert sorted(state.value for state in states) == [CertificateState.REVOKED.value, CertificateState.VALID.value]


def test_it_belongs_to_no_event_loop(cmp_blocking_client: BlockingClient, virtual_clock: VirtualClock) -> None:
    enrolled = cmp_blocking_client.enroll("CN=dev-42")
    certificate = x509.load_der_x509_certificate(enrolled.certificate)
    assert certificate.not_valid_before_utc == virtual_clock().replace(microsecond=0)


async def test_a_secret_grants_what_it_is_told_to(cmp_ca: InProcessCA) -> None:
    once = await cmp_ca.add_secret("once", subject=None, uses=1)
    async with cmp_ca.client(once) as client:
        await client.enroll("CN=anything")
        with pytest.raises(PeerRefusal) as caught:
            await client.enroll("CN=anything")
    assert caught.value.fail_info


def test_what_it_needs_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cmpkit.testing.authority")
    monkeypatch.delitem(sys.modules, "cmpkit.ca.policy")
    monkeypatch.delitem(sys.modules, "cmpkit.ca.settings")
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(ConfigurationError, match="needs the package pydantic"):
        getattr(cmpkit.testing, "InProcessCA")  # noqa: B009 - it is imported when it is asked for
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(cmpkit.testing, "nonsense")  # noqa: B009 - as above


async def test_the_random_octets_of_the_server_can_be_pinned(tmp_path, cmp_plugins) -> None:
    numbers = itertools.count(1000)
    ca = await InProcessCA.make(
        tmp_path,
        plugins=cmp_plugins,
        clock=VirtualClock(),
        subject="CN=Pinned CA",
        profile={"validity": "1d"},
        random=lambda size: next(numbers).to_bytes(size, "big"),
    )
    secret = await ca.add_secret()
    async with ca.client(secret) as client:
        enrolled = await client.enroll("CN=dev-42")
    certificate = x509.load_der_x509_certificate(enrolled.certificate)
    assert certificate.issuer.rfc4514_string() == "CN=Pinned CA"
    assert certificate.serial_number < 1100
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds() == 86400
    answer = decode_message((await ca.handle(b"no message", Peer("memory"))).der or b"")
    assert int.from_bytes(answer.header.sender_nonce or b"") < 1100
