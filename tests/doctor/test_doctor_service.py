"""What is found out about a server that speaks CMP, with and without credentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from device import Road
from examined import Change, Directory
from tls_servers import issue

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    ErrorMsgContent,
    GeneralizedTime,
    InfoTypeAndValue,
    Null,
    PBMParameter,
    PKIBody,
    PKIMessage,
    PKIStatusInfo,
)
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.protection import find_protection
from cmpkit.doctor import Diagnosis, Enrolment, diagnose
from cmpkit.doctor.algorithms import describe_algorithm
from cmpkit.doctor.enrolment import Talk, examine_enrolment
from cmpkit.doctor.settings import settings_for, slashed_name
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.protector import seal
from cmpkit.enums import PVNO, BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import ConfigurationError, StillWaiting, TransportError, TrustError
from cmpkit.parts import Check, Event, Layer, SharedSecret, TransportOptions, Verdict
from cmpkit.plugins import load_plugins

WEAK = AlgorithmIdentifier(
    oids.PASSWORD_BASED_MAC,
    PBMParameter(
        salt=bytes(16),
        owf=AlgorithmIdentifier(oids.SHA256),
        iteration_count=500,
        mac=AlgorithmIdentifier(oids.HMAC_SHA1, Null()),
    ),
)


async def examine(ca: Directory, url: str, **given: Any) -> Diagnosis:
    options = {name: given.pop(name) for name in list(given) if name not in ("credentials", "trust", "enrolment")}
    return await diagnose(
        url,
        plugins=ca.plugins,
        options=ClientOptions(**{"total_timeout": 30.0, "transport": TransportOptions(timeout=5.0), **options}),
        **given,
    )


def check(diagnosis: Diagnosis, name: str) -> Check:
    return next(check for check in diagnosis.checks if check.name == name)


def bad(diagnosis: Diagnosis) -> list[str]:
    return [check.name for check in diagnosis.checks if check.verdict is Verdict.BAD]


class TestStrangers:
    async def test_a_sound_server_is_healthy(self, ca):
        async with ca.serving() as url:
            diagnosis = await examine(ca, url)
        assert diagnosis.healthy, diagnosis
        assert "error wrongIntegrity" in check(diagnosis, "CMP").detail
        assert check(diagnosis, "protection").detail.startswith(
            "answers are protected by ecdsa-with-SHA256, signed by "
        )
        assert "--trusted" in check(diagnosis, "trust").advice
        assert "--ref" in check(diagnosis, "credentials").advice
        assert check(diagnosis, "version 2").verdict is Verdict.GOOD
        assert check(diagnosis, "version 3").verdict is Verdict.GOOD
        assert check(diagnosis, "path /cmp").verdict is Verdict.GOOD
        assert check(diagnosis, "path /pkix/").detail.startswith("HTTP 404")
        assert "connections are kept" in check(diagnosis, "keep-alive").detail
        assert check(diagnosis, "rules").verdict is Verdict.GOOD
        assert "MACs" not in {check.name for check in diagnosis.checks}

    async def test_a_signed_error_is_checked_with_a_trust_anchor(self, ca):
        async with ca.serving() as url:
            diagnosis = await examine(ca, url, trust=ca.trust)
        assert check(diagnosis, "trust").verdict is Verdict.GOOD
        assert diagnosis.healthy

    async def test_another_path_that_answers_is_named_and_examined(self, ca):
        async with ca.serving() as url:
            diagnosis = await examine(ca, url.replace("/.well-known/cmp", "/elsewhere"))
        assert bad(diagnosis) == ["HTTP"]
        assert "/.well-known/cmp, /cmp: use that path" in check(diagnosis, "HTTP").advice
        assert check(diagnosis, "version 2").verdict is Verdict.GOOD
        assert diagnosis.settings is not None
        assert diagnosis.settings.cmpkit == (url,)

    async def test_a_server_that_tells_strangers_is_not_blamed_for_the_missing_protection(self, ca):
        async def tell(request: PKIMessage, answer: PKIMessage) -> PKIMessage:
            header = replace(answer.header, protection_alg=None)
            return PKIMessage(header, PKIBody(BodyType.GENP, [InfoTypeAndValue(oids.CA_CERTS)]))

        async with ca.serving(tell) as url:
            diagnosis = await examine(ca, url)
        assert diagnosis.healthy
        assert check(diagnosis, "CMP").detail == "a genm without protection gets genp"
        assert check(diagnosis, "genm caCerts").detail == "answered: there is nothing to give"
        assert check(diagnosis, "genm currentCRL").detail == "a genp without it"
        assert check(diagnosis, "rules").verdict is Verdict.WARNING


class TestCredentials:
    async def test_what_a_device_may_do_is_found_out(self, ca):
        async with ca.serving() as url:
            diagnosis = await examine(ca, url, credentials=ca.secret, trust=ca.trust)
        assert diagnosis.healthy, diagnosis
        assert (
            "id-PasswordBasedMac (id-sha256, hmacWithSHA256, 10000 iterations)" in check(diagnosis, "protection").detail
        )
        assert check(diagnosis, "credentials").detail == "accepted: genm gets genp"
        assert check(diagnosis, "MACs").detail.startswith("accepted: hmac-sha256")
        assert check(diagnosis, "MAC hmac-sha1").verdict is Verdict.GOOD
        assert check(diagnosis, "genm caCerts").detail == "answered"
        assert check(diagnosis, "genm preferredSymmAlg").detail == "answered"
        assert diagnosis.settings is not None
        assert diagnosis.settings.openssl[-2:] == ("-mac", "hmacWithSHA256")

    async def test_a_wrong_secret_is_refused(self, ca):
        async with ca.serving() as url:
            diagnosis = await examine(ca, url, credentials=SharedSecret("dev-42", "wrong"), trust=ca.trust)
        assert bad(diagnosis) == ["credentials"]
        assert diagnosis.failure is not None
        assert diagnosis.failure.layer is Layer.OPERATION
        assert "badMessageCheck" in diagnosis.failure.detail
        assert "genm caCerts" not in {check.name for check in diagnosis.checks}

    async def test_messages_are_shown_to_observers(self, ca):
        seen: list[str] = []

        class Listing:
            def observe(self, event: Event) -> None:
                seen.append(event.name)

        async with ca.serving() as url:
            await diagnose(url, plugins=ca.plugins, observers=[Listing()])
        assert seen == ["message-sent", "message-received"] * 3

    async def test_a_clock_that_is_wrong_is_told(self, ca):
        async def change(request: PKIMessage, answer: PKIMessage) -> PKIMessage:
            assert answer.header.time is not None
            then = GeneralizedTime(answer.header.time - timedelta(seconds=200))
            return PKIMessage(replace(answer.header, protection_alg=None, message_time=then), answer.body)

        async with ca.serving(change) as url:
            diagnosis = await examine(ca, url)
        assert diagnosis.healthy
        assert check(diagnosis, "clock").verdict is Verdict.WARNING
        assert "behind ours" in check(diagnosis, "clock").detail

    async def test_a_clock_that_is_too_wrong_is_the_reason_of_the_refusal(self, ca):
        async with ca.serving(ahead=timedelta(seconds=900)) as url:
            diagnosis = await examine(ca, url, credentials=ca.secret, trust=ca.trust)
        assert bad(diagnosis) == ["credentials"]
        assert "badTime" in check(diagnosis, "credentials").detail
        assert "ahead of ours" in check(diagnosis, "clock").detail


def protected_by(ca: Directory, algorithm: AlgorithmIdentifier | None = None, **header: Any) -> Change:
    """Answers under the shared secret, with other fields in the header."""

    async def change(request: PKIMessage, answer: PKIMessage) -> PKIMessage:
        if request.protection is None:
            return answer
        used = algorithm or request.header.protection_alg
        assert used is not None
        part = find_protection(ca.plugins, used.algorithm)
        changed = replace(answer.header, protection_alg=used, sender_kid=b"dev-42", **header)
        return await seal(changed, answer.body, part, ca.secret, ())

    return change


class TestTrust:
    async def test_a_weak_mac_needs_a_tolerance(self, ca):
        async with ca.serving(protected_by(ca, WEAK)) as url:
            diagnosis = await examine(ca, url, credentials=ca.secret, trust=ca.trust)
            assert bad(diagnosis) == ["trust"]
            assert diagnosis.failure is not None
            assert diagnosis.failure.layer is Layer.TRUST
            assert diagnosis.settings is not None
            assert diagnosis.settings.cmpkit == (url, "--tolerate", "hmac-sha1")
            tolerated = frozenset({"hmac-sha1"})
            again = await examine(ca, url, credentials=ca.secret, trust=ca.trust, tolerances=tolerated)
        assert again.healthy, again
        assert again.settings is not None
        assert again.settings.cmpkit == (url, "--tolerate", "hmac-sha1")

    @pytest.mark.parametrize("with_secret", [False, True])
    async def test_a_broken_rule_is_named(self, ca, with_secret):
        async def change(request: PKIMessage, answer: PKIMessage) -> PKIMessage:
            if with_secret:
                return await protected_by(ca, recip_nonce=bytes(16))(request, answer)
            header = replace(answer.header, protection_alg=None, recip_nonce=bytes(16))
            return PKIMessage(header, answer.body)

        async with ca.serving(change) as url:
            diagnosis = await examine(ca, url, credentials=ca.secret if with_secret else None, trust=ca.trust)
        assert set(bad(diagnosis)) == {"rules"}
        assert diagnosis.failure is not None
        assert diagnosis.failure.layer is Layer.TRUST
        assert "recipNonce" in diagnosis.failure.detail
        assert "RFC 9483 section 3.5" in diagnosis.failure.detail

    async def test_an_unprotected_refusal_needs_an_option_that_is_named(self, ca):
        async def bare(request: PKIMessage, answer: PKIMessage) -> PKIMessage:
            return PKIMessage(replace(answer.header, protection_alg=None), answer.body)

        wrong = SharedSecret("dev-42", "wrong")
        async with ca.serving(bare) as url:
            strangers = await examine(ca, url)
            assert strangers.healthy
            assert check(strangers, "protection").detail == "the error is not protected"
            diagnosis = await examine(ca, url, credentials=wrong, trust=ca.trust)
            assert bad(diagnosis) == ["trust", "credentials"]
            assert check(diagnosis, "trust").openssl == ("-unprotected_errors",)
            assert check(diagnosis, "trust").cmpkit == ("--unprotected-errors",)
            taken = await examine(
                ca, url, credentials=wrong, trust=ca.trust, tolerances=frozenset({"unprotected-errors"})
            )
        assert bad(taken) == ["credentials"]
        assert check(taken, "trust").verdict is Verdict.WARNING
        assert taken.settings is not None
        assert taken.settings.openssl[-1] == "-unprotected_errors"

    async def test_a_protection_that_nobody_knows_is_told(self, ca):
        async def change(request: PKIMessage, answer: PKIMessage) -> PKIMessage:
            unknown = replace(answer.header, protection_alg=AlgorithmIdentifier(x509.ObjectIdentifier("1.2.3")))
            return PKIMessage(unknown, answer.body, b"protection")

        async with ca.serving(change) as url:
            diagnosis = await examine(ca, url, trust=ca.trust)
        assert bad(diagnosis) == ["trust"]
        assert check(diagnosis, "protection").detail == "answers are protected by 1.2.3"
        assert "no protection for protectionAlg 1.2.3" in check(diagnosis, "trust").detail

    async def test_a_mac_for_who_signs_is_not_believed(self, ca):
        async with (
            ca.serving() as url,
            Client(url, credentials=ca.secret, trust=ca.trust, plugins=ca.plugins) as client,
        ):
            enrolled = await client.enroll("CN=dev-42")
        async with ca.serving(protected_by(ca, WEAK)) as url:
            diagnosis = await examine(ca, url, credentials=enrolled.credentials, trust=ca.trust)
        assert "trust" in bad(diagnosis)
        assert "protected by a MAC, the request was by a signature" in check(diagnosis, "trust").detail
        async with ca.serving(protected_by(ca, WEAK)) as url:
            stranger = await examine(ca, url)
        assert stranger.healthy

    async def test_another_name_than_the_expected_one_is_told(self, ca):
        async with ca.serving() as url:
            diagnosis = await examine(ca, url, trust=ca.trust, expected_sender=parse_name("CN=Somebody"))
        assert bad(diagnosis) == ["trust"]
        assert "CN=Somebody is expected" in check(diagnosis, "trust").detail
        option, name = check(diagnosis, "trust").cmpkit
        assert option == "--expect-sender"
        assert name in check(diagnosis, "protection").detail
        assert check(diagnosis, "trust").openssl[1].startswith("/O=Example")

    async def test_a_server_of_another_ca_is_not_trusted_and_its_fingerprint_shown(self, ca):
        stranger = issue("Other root", None).certificate.public_bytes(Encoding.DER)
        async with ca.serving() as url:
            diagnosis = await examine(ca, url, trust=[stranger])
        assert bad(diagnosis) == ["trust"]
        assert "SHA-256" in check(diagnosis, "trust").advice
        assert check(diagnosis, "trust").cmpkit == ("--trusted", "FILE")


def refusing(failure: PKIFailureInfo, when: Callable[[PKIMessage], bool]) -> Change:
    """Some requests are refused, without protection."""

    async def change(request: PKIMessage, answer: PKIMessage) -> PKIMessage:
        if not when(request):
            return answer
        header = replace(answer.header, pvno=PVNO.CMP2000, protection_alg=None)
        content = ErrorMsgContent(pki_status_info=PKIStatusInfo.of(PKIStatus.REJECTION, ["no"], failure))
        return PKIMessage(header, PKIBody(BodyType.ERROR, content))

    return change


class TestService:
    async def test_a_version_that_is_not_supported_is_told_and_no_fault(self, ca):
        change = refusing(PKIFailureInfo.UNSUPPORTED_VERSION, lambda request: request.header.pvno == PVNO.CMP2021)
        async with ca.serving(change) as url:
            diagnosis = await examine(ca, url)
        assert diagnosis.healthy
        assert check(diagnosis, "version 3").detail == "not supported: error unsupportedVersion: no"

    async def test_a_version_that_is_answered_in_another_is_told(self, ca):
        change = refusing(PKIFailureInfo.BAD_REQUEST, lambda request: request.header.pvno == PVNO.CMP2021)
        async with ca.serving(change) as url:
            diagnosis = await examine(ca, url)
        assert check(diagnosis, "version 3").detail == "answered in version 2: error badRequest: no"

    async def test_where_the_usual_mac_is_refused_another_is_looked_for(self, ca):
        def usual(request: PKIMessage) -> bool:
            algorithm = request.header.protection_alg
            return algorithm is not None and "hmacWithSHA256" in describe_algorithm(algorithm)

        async with ca.serving(refusing(PKIFailureInfo.BAD_ALG, usual)) as url:
            diagnosis = await examine(ca, url, credentials=ca.secret, tolerances=frozenset({"unprotected-errors"}))
        assert bad(diagnosis) == ["credentials"]
        option, name = check(diagnosis, "MACs").cmpkit
        assert option == "--mac"
        assert "hmac-sha256" not in name

    async def test_a_question_that_is_refused_says_nothing_about_the_credentials(self, ca):
        change = refusing(PKIFailureInfo.ADD_INFO_NOT_AVAILABLE, lambda request: request.protection is not None)
        async with ca.serving(change) as url:
            diagnosis = await examine(ca, url, credentials=ca.secret, tolerances=frozenset({"unprotected-errors"}))
        assert diagnosis.healthy
        assert check(diagnosis, "credentials").verdict is Verdict.NOTE

    async def test_an_answer_without_time_is_told(self, ca):
        async def change(request: PKIMessage, answer: PKIMessage) -> PKIMessage:
            return PKIMessage(replace(answer.header, protection_alg=None, message_time=None), answer.body)

        async with ca.serving(change) as url:
            diagnosis = await examine(ca, url)
        assert check(diagnosis, "clock").detail == "answers have no messageTime"


class TestOtherRoads:
    async def test_a_road_that_cannot_examine_itself_is_tried(self, ca):
        road = Road(ca.path / "cmpkit.toml")
        plugins = load_plugins([("road", road)])
        diagnosis = await diagnose("test://server", plugins=plugins, credentials=ca.secret, trust=ca.trust)
        assert diagnosis.healthy, diagnosis
        assert diagnosis.checks[0] == Check("road", Layer.ROAD, Verdict.GOOD, "something comes back")
        assert diagnosis.settings is not None
        assert diagnosis.settings.cmpkit == ("test://server",)
        assert diagnosis.settings.openssl == ()

    @pytest.mark.parametrize("tls", [False, True])
    async def test_a_road_that_fails_is_told(self, ca, tls):
        road = Road(ca.path / "cmpkit.toml", faults=[TransportError("no way", hint="try", tls=tls)])
        diagnosis = await diagnose("test://server", plugins=load_plugins([("road", road)]))
        layer = Layer.TLS if tls else Layer.ROAD
        assert diagnosis.checks == (Check("road", layer, Verdict.BAD, "no way", "try"),)

    async def test_a_server_that_stops_answering_is_told(self, ca):
        faults = [None, None, TransportError("gone")]
        plugins = load_plugins([("road", Road(ca.path / "cmpkit.toml", faults=faults))])
        diagnosis = await diagnose("test://server", plugins=plugins, credentials=ca.secret)
        assert diagnosis.failure == Check("credentials", Layer.CMP, Verdict.BAD, "gone")

    async def test_a_server_that_is_gone_is_not_asked_any_further(self, ca):
        faults = [None, None, TransportError("gone"), TransportError("gone")]
        plugins = load_plugins([("road", Road(ca.path / "cmpkit.toml", faults=faults))])
        diagnosis = await diagnose("test://server", plugins=plugins)
        assert bad(diagnosis) == ["answers"]
        assert check(diagnosis, "answers").detail == "the server stopped answering: gone"
        assert "version 2" not in {check.name for check in diagnosis.checks}

    async def test_a_single_answer_that_does_not_come_is_told_in_its_place(self, ca):
        faults = [None, None, TransportError("gone")]
        plugins = load_plugins([("road", Road(ca.path / "cmpkit.toml", faults=faults))])
        diagnosis = await diagnose("test://server", plugins=plugins)
        assert check(diagnosis, "version 2").detail == "gone"
        assert diagnosis.healthy


class TestEnrolment:
    async def test_it_enrols_and_revokes_only_if_it_is_told_to(self, ca):
        async with ca.serving() as url:
            wanted = Enrolment("CN=dev-42", revoke=True)
            diagnosis = await examine(ca, url, credentials=ca.secret, trust=ca.trust, enrolment=wanted)
            assert diagnosis.healthy, diagnosis
            assert check(diagnosis, "enrolment").detail.startswith("ir, ip, certConf, pkiconf: certificate ")
            assert check(diagnosis, "revocation").verdict is Verdict.GOOD
            without = await examine(ca, url, credentials=ca.secret, trust=ca.trust)
        assert not {"enrolment", "revocation"} & {check.name for check in without.checks}

    async def test_by_a_certificate_too(self, ca):
        async with ca.serving() as url:
            async with Client(url, credentials=ca.secret, trust=ca.trust, plugins=ca.plugins) as client:
                enrolled = await client.enroll("CN=dev-42")
            diagnosis = await examine(ca, url, credentials=enrolled.credentials, trust=ca.trust)
        assert diagnosis.healthy, diagnosis
        assert check(diagnosis, "trust").verdict is Verdict.GOOD
        assert check(diagnosis, "credentials").detail == "accepted: genm gets genp"
        assert diagnosis.settings is not None
        assert "-recipient" not in diagnosis.settings.openssl

    async def test_a_refusal_is_told(self, ca):
        async with ca.serving() as url:
            wanted = Enrolment("CN=somebody-else")
            diagnosis = await examine(ca, url, credentials=ca.secret, trust=ca.trust, enrolment=wanted)
        assert bad(diagnosis) == ["enrolment"]
        assert diagnosis.failure is not None
        assert diagnosis.failure.layer is Layer.OPERATION
        assert diagnosis.failure.detail.startswith("ir, ip: the peer answered ip: rejection, notAuthorized")

    @pytest.mark.parametrize(
        ("error", "layer", "verdict"),
        [
            (StillWaiting(None, waiting=True, seconds=1), Layer.OPERATION, Verdict.NOTE),
            (StillWaiting(None, waiting=False, seconds=1), Layer.ROAD, Verdict.BAD),
            (TransportError("no way"), Layer.ROAD, Verdict.BAD),
            (TransportError("no way", tls=True), Layer.TLS, Verdict.BAD),
            (TrustError("no"), Layer.TRUST, Verdict.BAD),
        ],
    )
    async def test_each_failure_is_told_with_its_layer(self, error, layer, verdict):
        class Failing:
            async def enroll(self, *_: object) -> None:
                raise error

        checks: list[Check] = []
        client: Any = Failing()
        await examine_enrolment(client, Enrolment(), Talk(), checks.append)
        assert [(check.layer, check.verdict) for check in checks] == [(layer, verdict)]
        assert checks[0].detail.startswith("nothing was said: ")

    async def test_it_is_not_tried_where_it_could_only_fail(self, ca):
        async with ca.serving(protected_by(ca, WEAK)) as url:
            diagnosis = await examine(ca, url, credentials=ca.secret, trust=ca.trust, enrolment=Enrolment())
        assert bad(diagnosis) == ["trust"]
        assert check(diagnosis, "enrolment").detail == "not tried"

    async def test_what_it_needs_is_asked_for(self, ca):
        async with ca.serving() as url:
            with pytest.raises(ConfigurationError, match="credentials"):
                await examine(ca, url, enrolment=Enrolment())
            with pytest.raises(ConfigurationError, match="no trust anchors"):
                await examine(ca, url, credentials=ca.secret, enrolment=Enrolment())


class TestWords:
    def test_a_name_as_openssl_takes_it(self):
        name = x509.Name.from_rfc4514_string(r"CN=a\+b/c,O=x")
        assert slashed_name(name) == r"/O=x/CN=a\+b\/c"

    @pytest.mark.parametrize(
        ("url", "openssl"),
        [
            ("https://ra.example/cmp", ("-server", "ra.example:443", "-path", "cmp", "-tls_used")),
            ("http://u:p@[::1]:8080/", ("-server", "[::1]:8080", "-path", "/")),
            ("file:///spool", ()),
        ],
    )
    def test_the_road_as_openssl_takes_it(self, url, openssl):
        assert settings_for(url, (), ClientOptions(), None).openssl == openssl

    def test_the_options_that_were_given_are_repeated(self):
        road = TransportOptions(tls_trusted="root.pem", proxy="http://me:hush@proxy:8080")
        options = ClientOptions(pinned=b"der", expected_sender=parse_name("CN=ra"), mac="kmac256", transport=road)
        settings = settings_for("http://ra/cmp", (), options, None)
        assert settings.cmpkit[1:] == (
            *("--mac", "kmac256", "--expect-sender", "CN=ra", "--srvcert", "FILE"),
            *("--proxy", "http://proxy:8080", "--tls-trusted", "root.pem"),
        )
        assert settings.openssl[4:] == (
            *("-expect_sender", "/CN=ra", "-srvcert", "FILE"),
            *("-proxy", "http://proxy:8080", "-tls_trusted", "root.pem"),
        )

    def test_a_mac_whose_parameters_cannot_be_read(self):
        broken = AlgorithmIdentifier(oids.PASSWORD_BASED_MAC, Null())
        assert describe_algorithm(broken) == "id-PasswordBasedMac, with parameters that cannot be read"
