from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from pyasn1.codec.der import decoder
from pyasn1.type import univ
from pyasn1_modules import rfc5280

from cmpkit import oids
from cmpkit.asn1 import encode, to_tlv
from cmpkit.ca import plugin as ca_plugin
from cmpkit.crypto.keys import key_to_pem
from cmpkit.crypto.x509 import to_pem
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import Grant, InfoContext, OpenContext, SecretRecord, SharedSecret
from cmpkit.plugins import Plugins


@pytest.fixture
def context(tmp_path: Path, ca: Any) -> OpenContext:
    """The directory of a CA."""
    (tmp_path / "issuing.pem").write_bytes(to_pem(*ca.certificate.all))
    (tmp_path / "issuing.key").write_bytes(key_to_pem(ca.key))
    (tmp_path / "encrypted.key").write_bytes(key_to_pem(ca.key, b"pass"))
    (tmp_path / "pass").write_bytes(b"pass\r\nsecond line\n")
    return OpenContext(tmp_path, ca.store, ca.plugins, ca.profiles)


TABLE = {"certificate": "issuing.pem", "key": "file:issuing.key"}


async def open_issuer(context: OpenContext, **changes: Any) -> Any:
    return await context.plugins.require("issuer", "local").open({**TABLE, **changes}, context)


async def test_the_local_issuer_opens_from_its_table(context: OpenContext, ca: Any, ask: Any) -> None:
    issuer = await open_issuer(context, crl_validity="1h", crl_urls=["http://crl.example/ca.crl"])
    assert await issuer.ca_certificates() == ca.certificate.all
    crl = x509.load_der_x509_crl(await issuer.crl(now=ask.now))
    assert crl.next_update_utc == ask.second + timedelta(hours=1)


async def test_paths_may_be_absolute(context: OpenContext) -> None:
    assert await open_issuer(
        context,
        certificate=str(context.directory / "issuing.pem"),
        key=(context.directory / "issuing.key").as_uri(),
    )
    assert await open_issuer(context, key=f"file:{context.directory / 'issuing.key'}")


async def test_an_encrypted_key_is_opened_by_a_file_or_the_environment(
    context: OpenContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CA_PASSWORD", "pass")
    for source in ("file:pass", "env:CA_PASSWORD"):
        assert await open_issuer(context, key="file:encrypted.key", key_password=source)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("hunter2", "a password is given as file:PATH or env:NAME"),
        ("pass:hunter2", "a password is given as file:PATH or env:NAME"),
        ("file:nothing", "nothing cannot be read"),
        ("env:CMPKIT_NOT_SET", "CMPKIT_NOT_SET is not set"),
        ("file:empty", "password"),
    ],
)
async def test_a_password_that_is_not_there_is_an_error_that_does_not_tell_it(
    context: OpenContext, source: str, said: str
) -> None:
    (context.directory / "empty").touch()
    with pytest.raises(ConfigurationError) as caught:
        await open_issuer(context, key="file:encrypted.key", key_password=source)
    assert said in caught.value.detail
    assert "hunter2" not in str(caught.value)


async def test_a_ca_that_waits_for_its_certificate_does_not_open(context: OpenContext) -> None:
    (context.directory / "issuing.pem").unlink()
    with pytest.raises(ConfigurationError) as caught:
        await open_issuer(context)
    assert caught.value.detail.startswith("[issuer] certificate:")
    assert f"cmpkit init {context.directory} --ca-cert" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"certificate": "issuing.key"}, "issuing.key"),
        ({"key": "file:pass"}, "pass"),
        ({"key": "file:nothing"}, "nothing"),
        ({"key": "pkcs12:x"}, "no key provider for pkcs12"),
        ({"key": "file:encrypted.key"}, "encrypted"),
        ({"crl_validity": "soon"}, "[issuer] crl_validity: "),
        ({"crl_urls": ["crl.example"]}, "[issuer] crl_urls: 'crl.example'"),
        ({"crl_urls": ["http://ärger.example"]}, "[issuer] crl_urls: "),
        ({"root": "root.pem"}, "[issuer] root: there is no such key"),
    ],
)
async def test_a_mistake_in_the_table_of_the_issuer_is_named(
    context: OpenContext, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await open_issuer(context, **changes)
    assert said in caught.value.detail


async def test_the_policy_opens_from_its_table(context: OpenContext) -> None:
    policy = await context.plugins.require("policy", "default").open({"allow_key_reuse": False}, context)
    assert policy.name == "default"


async def test_secrets_of_the_store_are_found(context: OpenContext) -> None:
    source = await context.plugins.require("secret source", "store").open({}, context)
    record = SecretRecord(SharedSecret("dev-42", "secret"), Grant(None))
    await context.store.add_secret(record)
    assert source.name == "store"
    assert await source.find(b"dev-42") == record
    assert await source.find(b"dev-43") is None


async def test_secrets_of_the_store_have_no_settings(context: OpenContext) -> None:
    with pytest.raises(ConfigurationError, match=r"\[\[secrets\]\] path"):
        await context.plugins.require("secret source", "store").open({"path": "x"}, context)


# info types


@pytest.fixture
def info(ca: Any, ask: Any) -> InfoContext:
    return InfoContext(ca.issuer, ask.by_secret(), ask.now)


async def test_ca_certs_has_the_certificates_of_the_ca(info: InfoContext, ca: Any, plugins: Plugins) -> None:
    answer = await plugins.require("info type", oids.CA_CERTS).answer(None, info)
    assert answer.info_type == oids.CA_CERTS
    assert answer.info_value is not None
    read, rest = decoder.decode(encode(answer.info_value), asn1Spec=univ.SequenceOf(rfc5280.Certificate()))
    assert not rest
    expected = [decoder.decode(der, asn1Spec=rfc5280.Certificate())[0] for der in ca.certificate.all]
    assert list(read) == expected


@pytest.mark.rule("R-181")
async def test_r_181_nothing_to_give_is_an_absent_value(info: InfoContext, plugins: Plugins) -> None:
    class Nothing:
        async def ca_certificates(self) -> tuple[bytes, ...]:
            return ()

    answer = await plugins.require("info type", oids.CA_CERTS).answer(
        None,
        InfoContext(Nothing(), info.auth, info.now),  # type: ignore[arg-type]
    )
    assert answer.info_value is None


async def test_current_crl_has_the_crl(info: InfoContext, ca: Any, plugins: Plugins) -> None:
    record = await ca.revoke(await ca.issue())
    answer = await plugins.require("info type", oids.CURRENT_CRL).answer(None, info)
    assert answer.info_type == oids.CURRENT_CRL
    assert answer.info_value is not None
    crl = x509.load_der_x509_crl(encode(answer.info_value))
    assert crl.get_revoked_certificate_by_serial_number(record.serial_number) is not None


@pytest.mark.parametrize("oid", [oids.CA_CERTS, oids.CURRENT_CRL])
async def test_a_question_with_a_value_is_refused(
    info: InfoContext, plugins: Plugins, oid: x509.ObjectIdentifier
) -> None:
    with pytest.raises(CMPError) as caught:
        await plugins.require("info type", oid).answer(to_tlv(b"\x05\x00"), info)
    assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


# loading


def test_the_plugin_loads_nothing_that_clients_do_not_have() -> None:
    program = "import sys, cmpkit.ca.plugin; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"pydantic", "sqlalchemy", "alembic"} & set(run.stdout.split())


async def test_a_missing_package_is_named(context: OpenContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name="pydantic")

    monkeypatch.setattr(ca_plugin.importlib, "import_module", missing)
    with pytest.raises(ConfigurationError, match="needs the package pydantic") as caught:
        await open_issuer(context)
    assert "cmpkit[server]" in caught.value.hint
