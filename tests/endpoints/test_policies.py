"""Policies by rules in a server: devices of another PKI, addresses, and registration authorities for others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509

from cmpkit.asn1 import Extension
from cmpkit.ca.profiles import load_profile
from cmpkit.ca.rules_policy import load_rules_policy
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import extension
from cmpkit.endpoints.controls import old_certificate
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.requests import Wish
from cmpkit.enums import BodyType, PKIFailureInfo, ProofMethod
from cmpkit.errors import PeerRefusal
from cmpkit.parts import CertificateState, Peer

from .conftest import World, subject_of
from .forge import self_signed

DEFAULT = {"action": "default"}
FOR_RA = {
    "who": ["ra"],
    "body": ["ir", "cr", "kur", "rr"],
    "profile": "device",
    "subjects": ["CN=*,O=Example"],
    "names": ["dns:*.example"],
    "action": "accept",
}
EE = parse_name("CN=ee,O=Example")
Ruled = Callable[..., World]


@pytest.fixture
def ruled(world: World) -> Ruled:
    """The world with rules."""
    profiles = {
        "device": load_profile("device", {"allow_requested_names": True}, world.plugins),
        "ra": load_profile("ra", {"extended_key_usage": ["cmcRA"], "special": True}, world.plugins),
    }
    world.issuer._profiles = profiles

    def make(*rules: dict[str, Any], **changes: Any) -> World:
        return world.with_(policy=load_rules_policy({"rule": list(rules)}, profiles), **changes)

    return make


@pytest.fixture
async def ra(ruled: Ruled) -> SigningCredentials:
    """A registration authority that this CA certified."""
    world = ruled(DEFAULT)
    async with world.client(await world.secret("ra", profile="ra")) as client:
        return (await client.enroll("CN=ra")).credentials


def wish(world: World, subject: x509.Name | None = EE, *names: str, controls: Sequence[Any] = ()) -> Wish:
    """What an RA asks for that checked itself who has the key."""
    extensions: tuple[Extension, ...] = ()
    if names:
        extensions = (extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names])),)
    key = generate_key("p256", world.plugins)
    proof = ProofMethod.RA_VERIFIED
    return Wish(key=key, subject=subject, extensions=extensions, proof=proof, controls=tuple(controls))


async def refusal(operation: Any) -> PKIFailureInfo:
    with pytest.raises(PeerRefusal) as caught:
        await operation
    return caught.value.fail_info


@pytest.mark.rule("R-063", "R-071")
async def test_r_063_a_device_of_another_pki_gets_the_name_that_a_rule_gives_it(world: World, ruled: Ruled) -> None:
    subject = parse_name("CN=SN-1,serialNumber=4711,O=Vendor")
    vendor = await self_signed(world.plugins, subject)
    rule = {
        "who": ["trusted"],
        "issuers": ["*,O=Vendor"],
        "body": ["ir"],
        "identity": "serialNumber",
        "change": {"subject": "CN={identity},O=Example"},
        "action": "accept",
    }
    async with ruled(rule, foreign=(vendor.certificate,)).client(vendor) as client:
        # A client that is not told of the change refuses the certificate.
        assert subject_of((await client.enroll(subject)).certificate) == "CN=4711,O=Example"
        assert await refusal(client.certify(subject)) is PKIFailureInfo.NOT_AUTHORIZED


async def test_a_label_that_only_rules_know_is_no_profile(world: World, ruled: Ruled) -> None:
    peer = Peer("memory", "192.0.2.1", label="factory")
    rules = ({"path": "factory", "who": ["secret"], "action": "accept"},)
    secret = await world.secret("dev-1", uses=None)
    ignorant, knowing = ruled(*rules, peer=peer), replace(world.settings, paths=frozenset({"factory"}))
    async with ignorant.client(secret) as client:
        assert await refusal(client.enroll("CN=dev-1")) is PKIFailureInfo.BAD_CERT_TEMPLATE
    for profile in (None, "device"):
        async with ruled(*rules, peer=peer, settings=knowing).client(secret, profile=profile) as client:
            assert subject_of((await client.enroll("CN=dev-1")).certificate) == "CN=dev-1"
    async with ruled(*rules, settings=knowing).client(secret) as client:
        assert await refusal(client.enroll("CN=dev-1")) is PKIFailureInfo.NOT_AUTHORIZED


class TestOnBehalf:
    @pytest.mark.rule("R-161", "R-068")
    async def test_r_161_an_ra_enrols_and_revokes_for_others(self, ruled: Ruled, ra: SigningCredentials) -> None:
        world = ruled(FOR_RA)
        async with world.client(ra) as client:
            enrolled = await client.obtain(wish(world, EE, "ee.example"), operation=BodyType.IR)
            assert subject_of(enrolled.certificate) == "CN=ee,O=Example"
            await client.revoke(enrolled.certificate)
            assert await refusal(client.revoke(ra.certificate)) is PKIFailureInfo.NOT_AUTHORIZED
        (record,) = [one for one in await world.store.certificates() if one.subject == "CN=ee,O=Example"]
        assert record.state is CertificateState.REVOKED
        # It is not in the line of the RA's own certificate, whose secret or passphrase could revoke it.
        assert record.enrolled_by.startswith("cert:")

    @pytest.mark.rule("R-063", "R-161")
    async def test_r_161_it_gets_no_other_names_than_its_rules_say(self, ruled: Ruled, ra: SigningCredentials) -> None:
        world = ruled(FOR_RA)
        async with world.client(ra) as client:
            for other in (wish(world, parse_name("CN=ee,O=Other")), wish(world, EE, "ee.test"), wish(world, None)):
                assert await refusal(client.obtain(other, operation=BodyType.IR)) is PKIFailureInfo.NOT_AUTHORIZED

    @pytest.mark.rule("R-122", "R-123")
    async def test_r_122_it_updates_the_certificate_that_it_names(self, ruled: Ruled, ra: SigningCredentials) -> None:
        world = ruled(FOR_RA)
        async with world.client(ra) as client:
            old = (await client.obtain(wish(world, EE, "ee.example"), operation=BodyType.IR)).certificate
            named = (old_certificate(old),)
            new = await client.obtain(wish(world, None, controls=named), operation=BodyType.KUR)
            found = x509.load_der_x509_certificate(new.certificate)
            assert found.subject == EE
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert names.get_values_for_type(x509.DNSName) == ["ee.example"]
            renamed = wish(world, parse_name("CN=other,O=Example"), controls=named)
            assert await refusal(client.obtain(renamed, operation=BodyType.KUR)) is PKIFailureInfo.BAD_CERT_TEMPLATE
            await client.revoke(old)
            gone = wish(world, EE, controls=named)
            assert await refusal(client.obtain(gone, operation=BodyType.KUR)) is PKIFailureInfo.CERT_REVOKED

    @pytest.mark.rule("R-122")
    async def test_r_122_not_if_no_rule_says_so_or_nobody_knows_the_certificate(
        self, ruled: Ruled, ra: SigningCredentials
    ) -> None:
        world = ruled(FOR_RA)
        async with world.client(ra) as client:
            old = (await client.obtain(wish(world), operation=BodyType.IR)).certificate
            unknown = (old_certificate((await self_signed(world.plugins, EE)).certificate),)
            request = wish(world, EE, controls=unknown)
            assert await refusal(client.obtain(request, operation=BodyType.KUR)) is PKIFailureInfo.BAD_CERT_ID
        async with ruled(DEFAULT).client(ra) as client:
            request = wish(world, EE, controls=(old_certificate(old),))
            assert await refusal(client.obtain(request, operation=BodyType.KUR)) is PKIFailureInfo.BAD_CERT_ID

    @pytest.mark.rule("R-120")
    async def test_r_120_an_ra_still_updates_its_own(self, ruled: Ruled, ra: SigningCredentials) -> None:
        async with ruled(FOR_RA, DEFAULT).client(ra) as client:
            assert subject_of((await client.update()).certificate) == "CN=ra"
