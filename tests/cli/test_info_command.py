"""``cmpkit info``: each question, what people and machines are told, and what is in the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from device import Device
from operating import Operator, run
from rollover import DAY, Rollover

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, AttributeTypeAndValue, CertTemplate, decode, decode_list, parse_tlv
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import fingerprint, load_certificates, to_pem

TRUST_STATUS = 5


def configure(operator: Operator, before: str, *lines: str) -> None:
    """Put lines before one of the configuration file."""
    text = operator.config.read_text()
    assert before in text
    operator.config.write_text(text.replace(before, "\n".join((*lines, before)), 1))


@pytest.fixture
def asking(device: Device) -> Any:
    """Runs the command under the shared secret."""

    def ask(*arguments: object, status: int = 0) -> Any:
        return device.command("info", *device.by_secret(), *arguments, status=status)

    return ask


class TestRootUpdate:
    @pytest.fixture
    def rolled(self, operator: Operator, device: Device) -> Rollover:
        made = Rollover()
        made.write(operator.config.parent)
        made.write(device.home)
        configure(
            operator,
            "[signer]\n",
            'new_with_new = "new-with-new.pem"',
            'new_with_old = "new-with-old.pem"',
            'old_with_new = "old-with-new.pem"',
        )
        return made

    def files(self, device: Device) -> dict[str, Path]:
        return {name: device.path(f"{name}.got") for name in ("newwithnew", "newwithold", "oldwithnew")}

    def options(self, device: Device) -> list[object]:
        return [part for name, path in self.files(device).items() for part in (f"--{name}", path)]

    def test_a_new_root_goes_into_files(self, device: Device, asking: Any, rolled: Rollover) -> None:
        old = device.path("old-root.pem")
        (answer,) = asking("rootCaCert", "--oldwithold", old, *self.options(device), "--json").json["answers"]
        got = [load_certificates(path.read_bytes())[0] for path in self.files(device).values()]
        assert got == [rolled.new_with_new, rolled.new_with_old, rolled.old_with_new]
        assert answer["type"] == "rootCaKeyUpdate"
        assert {"newwithnew", "newwithold", "oldwithnew"} <= answer.keys()
        assert answer["newwithnew"]["subject"] == "CN=Root CA"

    @pytest.mark.rule("R-183")
    def test_a_new_root_is_adopted_beside_the_old_one(self, device: Device, asking: Any, rolled: Rollover) -> None:
        old, trusted = device.path("old-root.pem"), device.path("trusted.pem")
        for _ in range(2):
            said = asking("rootCaCert", "--oldwithold", old, "--adopt", trusted).out
            assert load_certificates(trusted.read_bytes()) == (rolled.old_root, rolled.new_with_new)
        for word, der in (("from now on", rolled.new_with_new), ("as before", rolled.old_root)):
            assert f"trusted {word}: CN=Root CA, SHA-256 {fingerprint(der).hex()}" in said

    @pytest.mark.rule("R-183")
    def test_a_root_that_is_not_believed_is_not_adopted(self, device: Device, asking: Any, rolled: Rollover) -> None:
        trusted = device.path("trusted.pem")
        trusted.write_bytes(to_pem(Rollover().new_with_new))
        before = trusted.read_bytes()
        asking("rootCaCert", "--trusted", trusted, "--adopt", trusted, status=TRUST_STATUS)
        assert trusted.read_bytes() == before

    def test_a_trust_anchor_may_be_the_old_root(self, device: Device, asking: Any, rolled: Rollover) -> None:
        done = asking("rootCaCert", "--trusted", device.path("old-root.pem"))
        assert "new root CN=Root CA, SHA-256" in done.out
        assert "the old root vouches for" in done.out

    @pytest.mark.parametrize("old", [None, "expired"])
    def test_a_new_root_that_is_not_believed_is_not_written(
        self, device: Device, asking: Any, rolled: Rollover, old: str | None
    ) -> None:
        named: list[object] = []
        if old is not None:
            expired = rolled.make(rolled.old_key, rolled.old_key, begins=-2 * DAY, ends=-DAY)
            device.path("expired.pem").write_bytes(to_pem(expired))
            named = ["--oldwithold", device.path("expired.pem")]
        cas = device.path("cas.pem")
        questions = ("caCerts", "rootCaCert", "--cacertsout", cas)
        if old is None:
            device.path("another.pem").write_bytes(to_pem(Rollover().new_with_new))
            named = ["--trusted", device.path("another.pem")]
        refused = asking(*questions, *named, *self.options(device), status=TRUST_STATUS)
        assert ("the old root is valid from" if old else "not linked") in refused.err
        assert not any(path.exists() for path in (cas, *self.files(device).values()))

    def test_no_news_leave_no_file(self, device: Device, asking: Any) -> None:
        done = asking("rootCaCert", *self.options(device))
        assert "rootCaKeyUpdate  nothing" in done.out
        assert not any(path.exists() for path in self.files(device).values())


class TestTemplate:
    @pytest.fixture
    def operator(self, operator: Operator) -> Operator:
        before, _, _ = operator.config.read_text().partition("[profiles.device]")
        table = """[profiles.device]
key_types = ["p256", "rsa3072"]
subject = "CN={identity}, O=Example"
subject_alt_names = ["dns:{identity}.example", "ip:192.0.2.1"]
extended_key_usage = ["clientAuth"]
"""
        operator.config.write_text(before + table)
        return operator

    def test_people_see_names_usages_and_keys(self, asking: Any) -> None:
        out = asking("certReqTemplate", "--profile", "device").out
        for line in (
            "subject: CN=dev-42,O=Example",
            "keyUsage: digitalSignature",
            "clientAuth",
            "subjectAltName: dev-42.example, 192.0.2.1",
            "key: p256, rsa3072",
        ):
            assert line in out

    def test_template_and_keys_go_into_files(self, device: Device, asking: Any) -> None:
        template, keys = device.path("template.der"), device.path("keys.der")
        asked = asking("certReqTemplate", "--template", template, "--keyspec", keys, "--json").json
        found = decode(CertTemplate, template.read_bytes())
        assert found.subject is not None
        assert found.subject.name == parse_name("CN=dev-42,O=Example")
        curve, size = decode_list(AttributeTypeAndValue, keys.read_bytes())
        assert parse_tlv(curve.value, AlgorithmIdentifier).algorithm == oids.EC_PUBLIC_KEY
        assert parse_tlv(size.value, int) == 3072
        assert asked["template"] == str(template)
        (answer,) = asked["answers"]
        assert answer["subject"] == "CN=dev-42,O=Example"
        assert answer["keys"] == ["p256", "rsa3072"]
        assert {item["oid"] for item in answer["extensions"]} == {"2.5.29.15", "2.5.29.37", "2.5.29.17"}


class TestCRLs:
    def test_a_crl_comes_if_it_is_newer(self, device: Device, asking: Any) -> None:
        device.enroll()
        own, crl = device.path("dev-42.pem"), device.path("crl.pem")
        asking("crlStatusList", "--crlcert", own, "--crlout", crl)
        first = x509.load_pem_x509_crl(crl.read_bytes())
        # The same time again is no newer CRL; this one is as old as time is told.
        later = device.path("later.pem")
        old = _dated(first, device)
        done = asking("crlStatusList", "--oldcrl", old, "--crlout", later, "--json").json
        assert done["answers"][0]["crls"][0]["issuer"] == "CN=Example CA"
        assert done["crlout"] == str(later)
        future = _dated(first, device, ahead=True)
        done = asking("crlStatusList", "--oldcrl", future, "--crlcert", own)
        assert "crls  nothing" in done.out

    def test_which_one_must_be_said(self) -> None:
        assert "--crlcert" in run("info", "http://127.0.0.1:9/", "crlStatusList", status=2).err


def _dated(crl: x509.CertificateRevocationList, device: Device, *, ahead: bool = False) -> Path:
    """A CRL of the same issuer, a day older or newer; a server does not look at its signature."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    made = crl.last_update_utc + (DAY if ahead else -DAY)
    builder = x509.CertificateRevocationListBuilder(crl.issuer, made, made + 2 * DAY)
    path = device.path(f"dated-{ahead}.pem")
    path.write_bytes(builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM))
    return path


def test_several_questions_are_answered_in_their_order(device: Device, asking: Any) -> None:
    questions = ("currentCRL", "rootCaCert", "1.2.3", "caCerts", "certReqTemplate")
    answers = asking(*questions, "--json").json["answers"]
    assert [answer["type"] for answer in answers] == [
        *("currentCRL", "rootCaKeyUpdate", "caCerts", "certReqTemplate", "unsupportedOIDs")
    ]
    assert len(device.road.requests) == 1


@pytest.mark.parametrize(
    ("option", "question"),
    [
        ("--template", "certReqTemplate"),
        ("--keyspec", "certReqTemplate"),
        ("--newwithnew", "rootCaCert"),
        ("--newwithold", "rootCaCert"),
        ("--oldwithnew", "rootCaCert"),
        ("--oldwithold", "rootCaCert"),
        ("--crlcert", "crlStatusList"),
        ("--oldcrl", "crlStatusList"),
        ("--cacertsout", "caCerts"),
        ("--crlout", "currentCRL or crlStatusList"),
        ("--profile", "certReqTemplate"),
    ],
)
def test_an_option_without_its_question_is_a_mistake(device: Device, asking: Any, option: str, question: str) -> None:
    refused = asking("1.2.3", option, device.path("x"), status=2)
    assert f"{option} belongs to the question {question}" in refused.err
    assert not device.road.requests


def test_files_of_what_is_told_without_a_question_are_written(device: Device, asking: Any) -> None:
    cas, template = device.path("cas.pem"), device.path("template.der")
    asking("--cacertsout", cas, "--template", template)
    assert cas.exists()
    assert template.exists()
    assert "crlStatusList" in asking("--oldcrl", device.path("crl.pem"), status=2).err


def test_a_file_that_cannot_be_written_is_found_before_anything_is_asked(device: Device, asking: Any) -> None:
    refused = asking("certReqTemplate", "--template", device.path("no/such"), status=2)
    assert "is no directory" in refused.err
    assert not device.road.requests


class TestMac:
    @pytest.mark.parametrize("mac", ["kmac256", "pbmac1-aes128-gmac"])
    def test_a_device_chooses_its_mac(self, device: Device, mac: str) -> None:
        device.enroll("--mac", mac)
        assert device.path("dev-42.pem").exists()

    def test_a_mac_that_there_is_not_is_refused_naming_those_that_are(self, device: Device, asking: Any) -> None:
        refused = asking("--mac", "hmac-md5", status=2)
        assert "there is no hmac-md5" in refused.err
        assert "kmac128" in refused.err
        assert not device.road.requests

    def test_a_mac_needs_a_shared_secret(self, device: Device) -> None:
        device.enroll()
        refused = device.command("info", *device.by_certificate(), "--mac", "kmac128", status=2)
        assert "--mac is for messages under a shared secret" in refused.err
