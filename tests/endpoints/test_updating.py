"""What an update asks for: the names of the certificate that it renews, unless it is told otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import CertTemplate
from cmpkit.ca.certificates import read_issuer_certificate
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.profiles import load_profile
from cmpkit.crypto.keys import load_private_key
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.requests import subject_alternative_names
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import PeerRefusal
from cmpkit.parts import Event

from .conftest import World

NAMES = ["device.example", "other.example"]


class Asked:
    """What requests had as their template."""

    def __init__(self) -> None:
        self.template: CertTemplate | None = None

    def observe(self, event: Event) -> None:
        if event.name == "message-sent" and event.details["message"].body.type is BodyType.KUR:
            self.template = event.details["message"].body.content[0].request.cert_template

    @property
    def names(self) -> list[str]:
        assert self.template is not None
        found = [item for item in self.template.extensions or () if item.extn_id == oids.SUBJECT_ALTERNATIVE_NAME]
        return names_in(found[0].extn_value) if found else []


def names_in(value: bytes) -> list[str]:
    return [name for name in NAMES if name.encode() in value]


def names_of(certificate: bytes) -> list[str]:
    extension = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return extension.value.get_values_for_type(x509.DNSName)


@pytest.fixture
async def named(world: World) -> tuple[World, Enrolled]:
    """A world with a certificate that has alternative names, as its profile grants them."""
    key = load_private_key((world.directory / "keys/issuing.key.pem").read_bytes(), None, world.plugins)
    profiles = {"device": load_profile("device", {"subject_alt_names": ["dns:device.example"]}, world.plugins)}
    issuer = LocalIssuer(read_issuer_certificate(world.issuing), key, world.store, profiles)
    naming = world.with_(front=issuer)
    async with naming.client(await world.secret()) as client:
        return naming, await client.enroll(subject="CN=dev-42")


@pytest.mark.rule("R-123")
async def test_an_update_asks_for_the_same_names(named: Any) -> None:
    world, enrolled = named
    asked = Asked()
    async with world.client(enrolled.credentials, observers=[asked]) as client:
        renewed = await client.update()
    assert asked.names == ["device.example"] == names_of(renewed.certificate)
    assert asked.template is not None
    assert asked.template.subject.name.rfc4514_string() == "CN=dev-42"


async def test_it_may_leave_them_to_the_server(named: Any) -> None:
    world, enrolled = named
    asked = Asked()
    async with world.client(enrolled.credentials, observers=[asked]) as client:
        renewed = await client.update(extensions=())
    assert asked.names == []
    assert names_of(renewed.certificate) == ["device.example"]


@pytest.mark.rule("R-123")
async def test_it_may_ask_for_others_which_is_for_the_server_to_decide(named: Any) -> None:
    world, enrolled = named
    asked = Asked()
    async with world.client(enrolled.credentials, observers=[asked]) as client:
        with pytest.raises(PeerRefusal) as refused:
            await client.update(extensions=subject_alternative_names("other.example"))
    assert asked.names == ["other.example"]
    assert refused.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
