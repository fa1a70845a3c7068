"""Messages take the first route that they fit."""

from __future__ import annotations

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AttributeTypeAndValue,
    CertId,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    InfoTypeAndValue,
    PKIBody,
    PKIHeader,
    PKIMessage,
    PollReq,
    RDNSequence,
    RevDetails,
    decode_message,
    directory_name,
    encode,
    encode_list,
    to_tlv,
)
from cmpkit.crypto.names import parse_name
from cmpkit.enums import BodyType
from cmpkit.relay.routes import Route, find_route

FACTORY, OTHER = parse_name("CN=Factory CA,O=Example"), parse_name("CN=Other CA")


def message(body: PKIBody, *, recipient: x509.Name = OTHER, profile: str | None = None) -> PKIMessage:
    info = [] if profile is None else [InfoTypeAndValue(oids.CERT_PROFILE, encode_list([profile]))]
    header = PKIHeader(
        pvno=2,
        sender=directory_name(x509.Name([])),
        recipient=directory_name(recipient),
        general_info=info or None,
    )
    return decode_message(PKIMessage(header, body).raw)


def request(kind: BodyType = BodyType.IR, *, issuer: x509.Name | None = None, old: x509.Name | None = None) -> PKIBody:
    template = CertTemplate(issuer=None if issuer is None else RDNSequence.of(issuer))
    controls = None
    if old is not None:
        named = CertId(issuer=directory_name(old), serial_number=1)
        controls = [AttributeTypeAndValue(type=oids.OLD_CERT_ID, value=to_tlv(encode(named)))]
    wanted = CertRequest(cert_req_id=0, cert_template=template, controls=controls)
    return PKIBody(kind, [CertReqMsg.build(wanted)])


def revocation(issuer: x509.Name) -> PKIBody:
    return PKIBody(BodyType.RR, [RevDetails(cert_details=CertTemplate(issuer=RDNSequence.of(issuer)))])


GENM = PKIBody(BodyType.GENM, [InfoTypeAndValue(oids.CA_CERTS)])
POLL = PKIBody(BodyType.POLL_REQ, [PollReq(cert_req_id=0)])
EVERYTHING = Route("ca")


@pytest.mark.parametrize(
    ("route", "taken"),
    [
        (EVERYTHING, message(request())),
        (Route("ca", bodies=frozenset({BodyType.IR, BodyType.CR})), message(request(BodyType.CR))),
        (Route("ca", issuer=FACTORY), message(request(issuer=FACTORY))),
        (Route("ca", issuer=FACTORY), message(request(BodyType.KUR, old=FACTORY))),
        (Route("ca", issuer=FACTORY), message(revocation(FACTORY))),
        (Route("ca", issuer=FACTORY), message(GENM, recipient=FACTORY)),
        (Route("ca", issuer=parse_name("CN=factory  ca,O=EXAMPLE")), message(request(), recipient=FACTORY)),
        (Route("ca", profile="device"), message(request(), profile="device")),
        (Route("ca", bodies=frozenset({BodyType.IR})), message(POLL)),
    ],
)
def test_message_takes_the_route_that_it_fits(route: Route, taken: PKIMessage) -> None:
    assert find_route([route], taken, None) is route


@pytest.mark.parametrize(
    ("route", "other"),
    [
        (Route("ca", bodies=frozenset({BodyType.IR})), message(request(BodyType.CR))),
        (Route("ca", bodies=frozenset({BodyType.IR})), message(GENM)),
        (Route("ca", issuer=FACTORY), message(request(issuer=OTHER))),
        (Route("ca", issuer=FACTORY), message(revocation(OTHER))),
        (Route("ca", issuer=FACTORY), message(GENM, recipient=x509.Name([]))),
        (Route("ca", profile="device"), message(request())),
        (Route("ca", profile="device"), message(request(), profile="server")),
        (Route("ca", path="factory"), message(request())),
    ],
)
def test_message_does_not_take_another_route(route: Route, other: PKIMessage) -> None:
    assert find_route([route], other, None) is None


def test_the_first_route_counts() -> None:
    first, second = Route("a", bodies=frozenset({BodyType.IR})), Route("b")
    assert find_route([first, second], message(request()), None) is first
    assert find_route([first, second], message(GENM), None) is second


def test_the_label_of_the_address_is_a_path_and_asks_for_a_profile() -> None:
    path, profile = Route("a", path="device"), Route("b", profile="device")
    assert find_route([path, profile], message(request()), "device") is path
    assert find_route([profile, path], message(request()), "device") is profile
    assert find_route([profile], message(request(), profile=""), "device") is profile


def test_what_cannot_be_read_takes_a_route_that_does_not_ask_for_it() -> None:
    bad = PKIBody(BodyType.IR, [CertReqMsg(cert_req=to_tlv(encode(PollReq(cert_req_id=0))))])
    route = Route("ca", issuer=FACTORY)
    assert find_route([route, EVERYTHING], message(bad), None) is EVERYTHING
