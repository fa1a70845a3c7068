"""enroll, certify, update and p10: certificates in files."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from device import Device
from operating import Operator

from cmpkit.asn1 import decode_message
from cmpkit.crypto.x509 import load_certificates, to_pem
from cmpkit.enums import BodyType


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def public_key(path: Path, password: bytes | None = None) -> bytes:
    key = serialization.load_pem_private_key(path.read_bytes(), password)
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.fixture
def enrolled(device: Device) -> Device:
    device.enroll()
    return device


def test_enroll_makes_a_key_and_writes_the_certificate(device: Device) -> None:
    done = device.enroll("--chainout", device.path("chain.pem"))
    certificate = load(device.path("dev-42.pem"))
    assert certificate.subject.rfc4514_string() == "CN=dev-42"
    assert key_of(certificate) == public_key(device.path("dev-42.key"))
    assert stat.S_IMODE(device.path("dev-42.key").stat().st_mode) == 0o600
    chain = load_certificates(device.path("chain.pem").read_bytes())
    assert chain[-1:] == load_certificates(device.trusted.read_bytes())
    assert f"{certificate.serial_number:x}" in done.out
    assert "enrolled CN=dev-42" in done.out
    assert "(new)" in done.out
    assert not device.saved


def test_the_new_key_is_on_the_disk_before_the_request_leaves(device: Device) -> None:
    device.road.faults = [lambda answer: pytest.fail("no key") if not device.path("dev-42.key").exists() else answer]
    device.enroll()


def test_a_key_that_exists_is_taken(device: Device) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    device.path("dev-42.key").write_bytes(pem)
    done = device.enroll()
    assert device.path("dev-42.key").read_bytes() == pem
    assert key_of(load(device.path("dev-42.pem"))) == public_key(device.path("dev-42.key"))
    assert "(new)" not in done.out


def test_a_key_that_exists_must_have_the_type_that_is_asked_for(device: Device) -> None:
    device.enroll("--newkey-type", "p384")
    refused = device.enroll("--newkey-type", "rsa3072", status=2)
    assert "--newkey-type" in refused.err


def test_a_new_key_is_encrypted_if_it_has_a_password(device: Device) -> None:
    device.enroll("--newkeypass", "env:NEW_PASSWORD", "--newkey-type", "p384", env={"NEW_PASSWORD": "sesame"})
    assert b"ENCRYPTED" in device.path("dev-42.key").read_bytes()
    assert key_of(load(device.path("dev-42.pem"))) == public_key(device.path("dev-42.key"), b"sesame")
    device.command(
        "info", *device.by_certificate(), "--keypass", "env:NEW_PASSWORD", "caCerts", env={"NEW_PASSWORD": "sesame"}
    )


def test_json_has_everything_that_machines_need(device: Device) -> None:
    result = device.enroll("--json").json
    certificate = load(device.path("dev-42.pem"))
    assert result["status"] == 0
    assert result["command"] == "enroll"
    assert result["certificate"]["serial_number"] == f"{certificate.serial_number:x}"
    assert result["certificate"]["sha256"] == certificate.fingerprint(hashes.SHA256()).hex()
    assert result["certout"] == str(device.path("dev-42.pem"))
    assert result["newkey"] == str(device.path("dev-42.key"))
    assert result["chain"][0]["subject"] == "CN=Example CA"


def test_implicit_confirmation_saves_the_confirmation(device: Device) -> None:
    device.enroll("--implicit-confirm")
    assert [request.body.type for request in device.road.requests] == [BodyType.IR]


def test_alternative_names_are_asked_for(device: Device) -> None:
    device.enroll("--sans", "critical,dev-42.example,192.0.2.1 urn:dev:42,ops@example.org", status=6)
    template = device.road.requests[0].body.content[0].request.cert_template
    (found,) = template.extensions
    names = x509.SubjectAlternativeName
    assert found.critical
    assert found.extn_id == names.oid


@pytest.mark.parametrize("name", ["ü.example", "http://ü"])
def test_an_alternative_name_that_cannot_be_is_named(device: Device, name: str) -> None:
    assert name in device.enroll("--sans", name, status=2).err


def test_the_profile_is_asked_for(device: Device) -> None:
    device.enroll("--profile", "server", status=6)
    assert device.road.requests[0].header.general_info


def test_messages_are_saved_each_to_its_file(device: Device) -> None:
    names = [device.path(name) for name in ("ir.der", "certconf.der", "ip.der")]
    device.enroll("--reqout", f"{names[0]},{names[1]}", "--rspout", names[2])
    saved = [decode_message(path.read_bytes()).body.type for path in (*names, device.path("ip.2.der"))]
    assert saved == [BodyType.IR, BodyType.CERT_CONF, BodyType.IP, BodyType.PKICONF]


def test_messages_are_saved_by_repeated_options_too(device: Device) -> None:
    names = [device.path(name) for name in ("ir.der", "certconf.der")]
    device.enroll("--reqout", names[0], "--reqout", names[1])
    assert [decode_message(path.read_bytes()).body.type for path in names] == [BodyType.IR, BodyType.CERT_CONF]


def test_ca_certificates_of_the_answer_are_offered_but_not_adopted(device: Device) -> None:
    issuing = device.path("issuing.pem")
    issuing.write_bytes(to_pem(load_certificates((device.road.config.parent / "issuing.pem").read_bytes())[0]))
    done = device.enroll(*("--cacertsout", device.path("offered.pem"), "--trusted", issuing), trust=False)
    assert load_certificates(device.path("offered.pem").read_bytes()) == load_certificates(device.trusted.read_bytes())
    assert "not adopted" in done.out
    assert fingerprint(device.trusted) in done.out


def test_nothing_is_said_of_ca_certificates_that_are_trusted_already(device: Device) -> None:
    assert "trust anchor" not in device.enroll().out


def test_ca_certificates_of_the_answer_are_adopted_if_told_so(device: Device) -> None:
    done = device.enroll("--adopt-ca-pubs", trust=False)
    assert f"adopted as trust anchor  CN=Example CA Root, SHA-256 {fingerprint(device.trusted)}" in done.out
    assert "not adopted" not in done.out


def test_adopted_ca_certificates_are_marked_for_machines(device: Device) -> None:
    done = device.enroll("--adopt-ca-pubs", "--json", trust=False).json
    assert done["ca_pubs_adopted"]
    assert done["ca_pubs"][0]["sha256"] == fingerprint(device.trusted)


def fingerprint(path: Path) -> str:
    return load(path).fingerprint(hashes.SHA256()).hex()


def test_update_with_a_new_key_of_the_same_type(enrolled: Device) -> None:
    done = enrolled.command(
        "update",
        *enrolled.by_certificate(),
        *("--newkey", enrolled.path("new.key"), "--certout", enrolled.path("new.pem")),
    )
    assert "updated CN=dev-42" in done.out
    assert key_of(load(enrolled.path("new.pem"))) == public_key(enrolled.path("new.key"))
    assert public_key(enrolled.path("new.key")) != public_key(enrolled.path("dev-42.key"))
    assert isinstance(load(enrolled.path("new.pem")).public_key(), ec.EllipticCurvePublicKey)


def test_update_keeps_the_key_if_no_new_one_is_named(enrolled: Device) -> None:
    enrolled.command("update", *enrolled.by_certificate(), "--certout", enrolled.path("new.pem"))
    assert key_of(load(enrolled.path("new.pem"))) == public_key(enrolled.path("dev-42.key"))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ((), ["a.example"]),
        (("--san-nodefault",), []),
        (("--sans", "b.example"), ["b.example"]),
        (("--sans", "b.example", "--subject", "CN=other"), ["b.example"]),
    ],
)
def test_update_asks_for_the_names_of_the_old_certificate_unless_told_otherwise(
    device: Device, operator: Operator, options: tuple[str, ...], names: list[str]
) -> None:
    text = operator.config.read_text()
    operator.config.write_text(text.replace("[profiles.device]", "[profiles.device]\nallow_requested_names = true"))
    device.enroll("--sans", "a.example")
    out = ("--certout", device.path("new.pem"))
    # Names may stay as they are (RFC 9483 section 4.1.3); the server refuses others.
    device.command("update", *device.by_certificate(), *out, *options, status=6 if "--sans" in options else 0)
    template = next(
        request.body.content[0].request.cert_template
        for request in device.road.requests
        if request.body.type is BodyType.KUR
    )
    asked = b"".join(item.extn_value for item in template.extensions or ())
    assert [name for name in ("a.example", "b.example") if name.encode() in asked] == names
    assert template.subject.name.rfc4514_string() == ("CN=other" if "--subject" in options else "CN=dev-42")


def test_update_needs_the_certificate_that_it_renews(device: Device) -> None:
    refused = device.command("update", *device.by_secret(), "--certout", device.path("new.pem"), status=2)
    assert "--cert" in refused.err
    assert not device.road.requests


def test_certify_gets_a_further_certificate(enrolled: Device) -> None:
    enrolled.command("certify", *enrolled.by_certificate(), *enrolled.wanted("more"), "--newkey-type", "rsa2048")
    certificate = load(enrolled.path("more.pem"))
    assert isinstance(certificate.public_key(), rsa.RSAPublicKey)
    assert enrolled.road.requests[-2].body.type is BodyType.CR


@pytest.mark.parametrize("encoding", [serialization.Encoding.PEM, serialization.Encoding.DER])
def test_p10_gets_a_certificate_for_a_request(enrolled: Device, encoding: serialization.Encoding) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dev-42")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    enrolled.path("request").write_bytes(csr.public_bytes(encoding))
    enrolled.command(
        "p10",
        *enrolled.by_certificate(),
        *("--csr", enrolled.path("request"), "--certout", enrolled.path("p10.pem")),
    )
    assert load(enrolled.path("p10.pem")).public_key() == key.public_key()


def test_p10_says_that_a_file_is_no_request(device: Device) -> None:
    refused = device.command(
        "p10", *device.by_secret(), "--csr", device.path("dev-42.secret"), "--certout", device.path("x"), status=2
    )
    assert "no PKCS#10 request" in refused.err


def test_the_same_secret_may_come_from_a_descriptor(device: Device, tmp_path: Path) -> None:
    with device.path("dev-42.secret").open() as secret:
        device.command("enroll", "--ref", "dev-42", "--secret", f"fd:{secret.fileno()}", *device.wanted())
    assert device.path("dev-42.pem").exists()


def test_exactly_one_certificate_is_issued(device: Device) -> None:
    device.enroll()
    assert len(anyio.run(device.issued)) == 1


def test_help_loads_nothing_that_a_command_needs() -> None:
    program = "import sys; from cmpkit.cli import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not loaded & {"cmpkit.config", "cmpkit.endpoints.client", "httpx"}
