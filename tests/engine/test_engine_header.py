"""Headers: what a server refuses before and after authentication, what a client refuses, and what both write."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, PKIBody, PKIHeader, decode, directory_name, encode
from cmpkit.crypto.names import parse_name
from cmpkit.engine.answers import is_refusal
from cmpkit.engine.header import (
    MAX_IDENTIFIER_SIZE,
    NONCE_SIZE,
    Correlation,
    check_message_time,
    check_request_header,
    check_response_header,
    request_header,
    response_header,
    whole_seconds,
)
from cmpkit.engine.replies import rejection
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, TrustError

from .scene import IMPLICIT_CONFIRM, NOW, TRANSACTION_ID, error_body, genm, ir, message, nonce, p10, pki_conf, rr

WINDOW = timedelta(seconds=300)
SENT = nonce()
EXPECTED = Correlation(2, TRANSACTION_ID, (SENT,))


class TestRequests:
    @pytest.mark.parametrize("pvno", [2, 3])
    @pytest.mark.rule("R-010")
    def test_supported_versions_pass(self, pvno: int) -> None:
        check_request_header(message(ir(), pvno=pvno))

    @pytest.mark.parametrize(
        ("header", "fail_info", "rule"),
        [
            ({"pvno": 1}, PKIFailureInfo.UNSUPPORTED_VERSION, "RFC 9810 section 7"),
            ({"pvno": 4}, PKIFailureInfo.UNSUPPORTED_VERSION, "RFC 9810 section 7"),
            ({"pvno": 1 << 50_000}, PKIFailureInfo.UNSUPPORTED_VERSION, "RFC 9810 section 7"),
            ({"protection_alg": None}, PKIFailureInfo.BAD_DATA_FORMAT, "RFC 9810 section 5.1.1"),
            ({"transaction_id": None}, PKIFailureInfo.BAD_DATA_FORMAT, "RFC 9483 section 3.5"),
            ({"transaction_id": b""}, PKIFailureInfo.BAD_DATA_FORMAT, "RFC 9483 section 3.5"),
            ({"sender_nonce": None}, PKIFailureInfo.BAD_SENDER_NONCE, "RFC 9483 section 3.5"),
            ({"sender_nonce": bytes(15)}, PKIFailureInfo.BAD_SENDER_NONCE, "RFC 9483 section 3.5"),
        ],
    )
    @pytest.mark.rule("R-017", "R-018", "R-021")
    def test_broken_rule_is_named(self, header: dict[str, object], fail_info: PKIFailureInfo, rule: str) -> None:
        with pytest.raises(CMPError) as caught:
            check_request_header(message(ir(), **header))
        assert (caught.value.fail_info, caught.value.rule) == (fail_info, rule)
        assert len(str(caught.value)) < 300

    def test_version_hint_says_how_to_go_on(self) -> None:
        with pytest.raises(CMPError, match="pvno 9 is not supported") as caught:
            check_request_header(message(ir(), pvno=9))
        assert "version of this answer" in caught.value.hint

    def test_nonce_hint_says_what_is_needed(self) -> None:
        with pytest.raises(CMPError, match="senderNonce has 8 octets") as caught:
            check_request_header(message(ir(), sender_nonce=bytes(8)))
        assert "16 random octets" in caught.value.hint

    @pytest.mark.parametrize("name", ["transaction_id", "sender_nonce", "recip_nonce", "sender_kid", "recip_kid"])
    def test_identifiers_are_bounded(self, name: str) -> None:
        check_request_header(message(ir(), **{name: bytes(MAX_IDENTIFIER_SIZE)}))
        with pytest.raises(CMPError, match=f"{name} has more than 128 octets") as caught:
            check_request_header(message(ir(), **{name: bytes(MAX_IDENTIFIER_SIZE + 1)}))
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT

    @pytest.mark.parametrize("body", [ir(), genm(), error_body()], ids=lambda body: body.type.wire_name)
    @pytest.mark.rule("R-030")
    def test_unprotected_message_is_refused(self, body) -> None:
        with pytest.raises(CMPError, match=f"the {body.type.wire_name} is not protected") as caught:
            check_request_header(message(body, protected=False))
        assert caught.value.fail_info is PKIFailureInfo.WRONG_INTEGRITY
        assert caught.value.rule == "RFC 9483 section 3.2"
        assert "shared secret or a certificate" in caught.value.hint

    def test_protection_without_algorithm_is_no_unprotected_message(self) -> None:
        with pytest.raises(CMPError, match="present together"):
            check_request_header(message(ir(), protected=False, protection_alg=AlgorithmIdentifier(oids.PBMAC1)))


class TestMessageTime:
    @pytest.mark.parametrize("offset", [WINDOW, -WINDOW + timedelta(seconds=1), timedelta()])
    def test_within_the_window_passes(self, offset: timedelta) -> None:
        check_message_time(message(ir(), message_time=whole_seconds(NOW + offset)), NOW, WINDOW)

    @pytest.mark.parametrize("offset", [WINDOW + timedelta(seconds=1), -WINDOW - timedelta(seconds=1)])
    @pytest.mark.rule("R-015")
    def test_outside_the_window_is_bad_time(self, offset: timedelta) -> None:
        with pytest.raises(CMPError, match="300 s are allowed") as caught:
            check_message_time(message(ir(), message_time=whole_seconds(NOW + offset)), NOW, WINDOW)
        assert caught.value.fail_info is PKIFailureInfo.BAD_TIME
        assert caught.value.rule == "RFC 9483 section 3.5"
        assert "clocks" in caught.value.hint

    @pytest.mark.rule("R-015")
    def test_absent_time_passes(self) -> None:
        check_message_time(message(ir(), message_time=None), NOW, WINDOW)

    def test_no_window_checks_nothing(self) -> None:
        check_message_time(message(ir(), message_time=whole_seconds(NOW - timedelta(days=4000))), NOW, None)


class TestAnswers:
    def test_fitting_answer_passes(self) -> None:
        check_response_header(message(genm(), recip_nonce=SENT), EXPECTED)

    @pytest.mark.parametrize("index", [0, 1])
    @pytest.mark.rule("R-024")
    def test_each_awaited_nonce_passes(self, index: int) -> None:
        nonces = (SENT, nonce())
        check_response_header(message(genm(), recip_nonce=nonces[index]), Correlation(2, TRANSACTION_ID, nonces))

    @pytest.mark.parametrize(
        ("header", "fail_info", "what"),
        [
            ({"transaction_id": b"another"}, PKIFailureInfo.BAD_REQUEST, "another transactionID"),
            ({"transaction_id": None}, PKIFailureInfo.BAD_REQUEST, "another transactionID"),
            ({"recip_nonce": bytes(16)}, PKIFailureInfo.BAD_RECIPIENT_NONCE, "not our senderNonce"),
            ({"recip_nonce": None}, PKIFailureInfo.BAD_RECIPIENT_NONCE, "not our senderNonce"),
            ({"sender_nonce": bytes(15)}, PKIFailureInfo.BAD_SENDER_NONCE, "less than 16"),
            ({"sender_nonce": None}, PKIFailureInfo.BAD_SENDER_NONCE, "less than 16"),
            ({"pvno": 1}, PKIFailureInfo.UNSUPPORTED_VERSION, "pvno 1 in answer to 2"),
            ({"pvno": 3}, PKIFailureInfo.UNSUPPORTED_VERSION, "pvno 3 in answer to 2"),
            ({"pvno": -(1 << 50_000)}, PKIFailureInfo.UNSUPPORTED_VERSION, "pvno of 50001 bits"),
        ],
    )
    @pytest.mark.rule("R-016", "R-020", "R-023")
    def test_foreign_answer_is_not_trusted(
        self, header: dict[str, object], fail_info: PKIFailureInfo, what: str
    ) -> None:
        with pytest.raises(TrustError, match=what) as caught:
            check_response_header(message(genm(), **{"recip_nonce": SENT, **header}), EXPECTED)
        assert caught.value.fail_info is fail_info
        assert caught.value.rule == "RFC 9483 section 3.5"
        assert "replayed" in caught.value.hint

    @pytest.mark.parametrize(
        "body",
        [ir(), ir(body_type=BodyType.CCR), ir(body_type=BodyType.KRR), p10(), rr(), genm()],
        ids=lambda body: str(body.type.name),
    )
    @pytest.mark.rule("R-030")
    def test_every_refusal_is_seen_to_be_one(self, body: PKIBody) -> None:
        assert is_refusal(message(rejection(body, CMPError("no")).body))
        assert not is_refusal(message(body))

    @pytest.mark.parametrize("pvno", [1, 2, 4])
    @pytest.mark.rule("R-010")
    def test_error_may_have_any_version(self, pvno: int) -> None:
        expected = Correlation(3, TRANSACTION_ID, (SENT,))
        check_response_header(message(error_body(), recip_nonce=SENT, pvno=pvno), expected)

    @pytest.mark.parametrize(
        "body",
        [pki_conf(), PKIBody(BodyType.POLL_REP, []), PKIBody(BodyType.GENP, [])],
        ids=lambda body: str(body.type.name),
    )
    @pytest.mark.rule("R-010")
    def test_answers_to_version_3_may_have_version_2(self, body: PKIBody) -> None:
        """OpenSSL's server does so; whoever needs nothing of version 3 may use 2 (RFC 9810 section 7)."""
        check_response_header(message(body, recip_nonce=SENT, pvno=2), Correlation(3, TRANSACTION_ID, (SENT,)))

    @pytest.mark.rule("R-010")
    def test_pkiconf_may_not_have_a_higher_version(self) -> None:
        with pytest.raises(TrustError, match="pvno 3 in answer to 2"):
            check_response_header(message(pki_conf(), recip_nonce=SENT, pvno=3), EXPECTED)


class TestWriting:
    def write_request(self) -> PKIHeader:
        return request_header(
            pvno=3,
            sender=parse_name("CN=alice"),
            recipient=parse_name("CN=server"),
            sender_kid=b"alice",
            protection_alg=AlgorithmIdentifier(oids.PBMAC1),
            transaction_id=TRANSACTION_ID,
            recip_nonce=SENT,
            now=NOW,
            general_info=[IMPLICIT_CONFIRM],
        )

    def write_response(self, request: PKIHeader | None) -> PKIHeader:
        return response_header(
            request,
            sender=directory_name(parse_name("CN=server")),
            sender_kid=b"server",
            protection_alg=AlgorithmIdentifier(oids.PBMAC1),
            recip_nonce=SENT,
            now=NOW,
        )

    def test_request_survives_the_wire(self) -> None:
        header = self.write_request()
        assert decode(PKIHeader, encode(header)) == header
        assert header.time == NOW.replace(microsecond=0)
        assert (header.pvno, header.sender_kid, header.recip_nonce) == (3, b"alice", SENT)
        assert list(header.general_info or ()) == [IMPLICIT_CONFIRM]

    @pytest.mark.rule("R-029")
    def test_each_header_has_a_fresh_nonce(self) -> None:
        nonces = {self.write_request().sender_nonce for _ in range(50)}
        nonces |= {self.write_response(None).sender_nonce for _ in range(50)}
        assert len(nonces) == 100
        assert {len(value or b"") for value in nonces} == {NONCE_SIZE}

    @pytest.mark.rule("R-029")
    def test_response_returns_sender_and_transaction(self) -> None:
        request = message(ir(), pvno=3).header
        response = self.write_response(request)
        assert response.recipient == request.sender
        assert response.transaction_id == request.transaction_id
        assert (response.pvno, response.recip_nonce) == (3, SENT)
        assert response.general_info is None

    def test_response_to_what_cannot_be_read_names_nobody(self) -> None:
        response = self.write_response(None)
        assert response.recipient == directory_name(x509.Name([]))
        assert response.transaction_id is None
        assert response.pvno == 2

    @pytest.mark.parametrize(("asked", "answered"), [(-5, 2), (0, 2), (1, 2), (2, 2), (3, 3), (4, 3), (1 << 70, 3)])
    @pytest.mark.rule("R-010")
    def test_response_has_the_nearest_supported_version(self, asked: int, answered: int) -> None:
        assert self.write_response(message(ir(), pvno=asked).header).pvno == answered

    @given(st.datetimes())
    @pytest.mark.rule("R-029")
    def test_times_have_no_fraction(self, moment) -> None:
        written = whole_seconds(moment.replace(tzinfo=NOW.tzinfo)).as_datetime()
        assert written == moment.replace(microsecond=0, tzinfo=written.tzinfo)
