"""Root CA key updates: what ties the new root to the old one, and each way in which it may not (R-183)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from rollover import DAY, Rollover, name

from cmpkit.crypto.root_update import check_root_update, is_link, is_update_of
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.plugins import Plugins

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def made() -> Rollover:
    return Rollover(NOW)


def check(plugins: Plugins, made: Rollover, *, old_root: bytes | None = None, **changes: Any) -> None:
    check_root_update(replace(made.update, **changes), old_root or made.old_root, plugins=plugins, now=NOW)


def fault(plugins: Plugins, made: Rollover, *, old_root: bytes | None = None, **changes: Any) -> str:
    with pytest.raises(CMPError) as caught:
        check(plugins, made, old_root=old_root, **changes)
    assert caught.value.fail_info is PKIFailureInfo.SIGNER_NOT_TRUSTED
    assert caught.value.rule == "RFC 9810 section 4.4"
    return caught.value.detail


def test_a_link_is_for_one_key_of_a_root_and_signed_by_another(made: Rollover) -> None:
    own, other = made.new_key, made.old_key
    assert is_link(identified(made.subject, own, other))
    assert not is_link(identified(made.subject, own, own))
    assert not is_link(identified(name("Issuing CA"), own, other, issuer=made.subject))
    assert not is_link(made.new_with_new)


def identified(subject: x509.Name, key: Any, issuer_key: Any, *, issuer: x509.Name | None = None) -> bytes:
    """DER of a certificate with the identifiers of both keys."""
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer or subject, public_key=key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    return builder.sign(issuer_key, SHA256()).public_bytes(Encoding.DER)


@pytest.mark.rule("R-183")
def test_certificates_that_belong_together_are_good(plugins: Plugins, made: Rollover) -> None:
    check(plugins, made)
    check(plugins, made, old_with_new=None)
    check_root_update(made.update, None, plugins=plugins)


@pytest.mark.rule("R-183")
def test_a_new_root_without_a_link_is_believed_by_nobody(plugins: Plugins, made: Rollover) -> None:
    assert "newWithOld is missing" in fault(plugins, made, new_with_old=None)
    check_root_update(replace(made.update, new_with_old=None), None, plugins=plugins)


@pytest.mark.rule("R-183")
def test_the_new_root_signs_itself(plugins: Plugins, made: Rollover) -> None:
    assert "newWithNew does not fit the key" in fault(plugins, made, new_with_new=made.new_with_old)
    other = made.make(made.new_key, made.new_key, subject=name("Other"))
    assert "newWithNew was issued by 'CN=Root CA'" in fault(plugins, made, new_with_new=other)


@pytest.mark.parametrize("ca", [False, None])
def test_the_new_root_is_a_ca(plugins: Plugins, made: Rollover, ca: bool | None) -> None:
    plain = made.make(made.new_key, made.new_key, ca=ca)
    assert "newWithNew is not the certificate of a CA" in fault(plugins, made, new_with_new=plain)


@pytest.mark.rule("R-183")
def test_the_link_is_signed_by_the_old_key(plugins: Plugins, made: Rollover) -> None:
    assert "newWithOld does not fit the key of the old root" in fault(
        plugins, made, new_with_old=made.new_with_new, old_with_new=None
    )
    other = Rollover(NOW)
    assert "does not fit" in fault(plugins, made, old_root=other.old_root, old_with_new=None)
    stranger = Rollover(NOW, subject=name("Stranger"))
    assert "was issued by 'CN=Root CA', not by 'CN=Stranger'" in fault(
        plugins, made, old_root=stranger.old_root, old_with_new=None
    )


def test_the_link_is_for_the_key_and_the_name_of_the_new_root(plugins: Plugins, made: Rollover) -> None:
    assert "newWithOld has another key" in fault(plugins, made, new_with_old=made.old_root)
    renamed = made.make(made.new_key, made.old_key, subject=name("Other"))
    assert "newWithOld has another subject" in fault(plugins, made, new_with_old=renamed)


@pytest.mark.rule("R-183")
def test_the_way_back_is_for_the_old_key(plugins: Plugins, made: Rollover) -> None:
    assert "oldWithNew has another key than the old root" in fault(plugins, made, old_with_new=made.new_with_new)
    assert "oldWithNew does not fit the key of newWithNew" in fault(plugins, made, old_with_new=made.old_root)


def test_the_same_key_again_is_no_update(plugins: Plugins, made: Rollover) -> None:
    again = made.make(made.old_key, made.old_key)
    assert "has the key of the old root" in fault(
        plugins, made, new_with_new=again, new_with_old=again, old_with_new=None
    )


@pytest.mark.parametrize("when", [{"begins": -2 * DAY, "ends": -DAY}, {"begins": DAY, "ends": 2 * DAY}])
@pytest.mark.parametrize("which", ["new_with_new", "new_with_old", "old_root"])
@pytest.mark.rule("R-183")
def test_all_that_trust_rests_on_is_valid_now(
    plugins: Plugins, made: Rollover, which: str, when: dict[str, Any]
) -> None:
    keys = {"new_with_new": (made.new_key,) * 2, "new_with_old": (made.new_key, made.old_key)}
    certificate = made.make(*keys.get(which, (made.old_key,) * 2), **when)
    said = fault(plugins, made, **{which: certificate})
    assert "is valid from" in said
    changes = {} if which == "old_root" else {which: certificate}
    old_root = certificate if which == "old_root" else made.old_root
    check_root_update(replace(made.update, **changes), old_root, plugins=plugins)


def test_without_the_old_root_what_came_must_hold_together(plugins: Plugins, made: Rollover) -> None:
    other = Rollover(NOW)
    with pytest.raises(CMPError, match="newWithOld does not fit"):
        check_root_update(
            replace(made.update, old_with_new=made.make(other.old_key, made.new_key)), None, plugins=plugins
        )


def test_octets_that_are_no_certificate_are_bad_data_format(plugins: Plugins, made: Rollover) -> None:
    with pytest.raises(CMPError) as caught:
        check(plugins, made, new_with_new=b"\x30\x00")
    assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


def test_an_update_is_for_the_root_whose_key_was_replaced(made: Rollover) -> None:
    other = Rollover(NOW)
    for update in (made.update, replace(made.update, old_with_new=None)):
        assert is_update_of(update, made.old_root)
        assert not is_update_of(update, made.new_with_new)
    assert not is_update_of(made.update, other.old_root)
    assert not is_update_of(replace(made.update, old_with_new=None), Rollover(NOW, subject=name("Other")).old_root)
    assert not is_update_of(replace(made.update, old_with_new=None, new_with_old=None), made.old_root)
