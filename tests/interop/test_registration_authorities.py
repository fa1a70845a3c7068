"""OpenSSL's client, registration authorities of cmpkit, and behind them a CA of cmpkit or OpenSSL's server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, served
from served_authority import (
    ROW_TABLES,
    certify_authority,
    change,
    make_authority_directory,
    make_ca_directory,
)

from cmpkit.crypto.x509 import load_certificates

from .conftest import OpenSSL
from .mock_server import SECRET, MockPKI, make_pki, mock_server
from .openssl_device import Device


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(make_ca_directory(tmp_path_factory.mktemp("made") / "ca")) as running:
        yield running


@pytest.fixture(scope="module")
def near(ca: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An authority in front of the CA: MAC below, signature above."""
    folder = tmp_path_factory.mktemp("near")
    certified = certify_authority(folder / "certified", ca, "near")
    with served(make_authority_directory(folder / "ra", certified, ca.url, trust=ca.trust)) as running:
        yield running


@pytest.fixture(scope="module")
def far(ca: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The first of three in a row: an authority in front of an authority in front of the CA."""
    folder = tmp_path_factory.mktemp("row")
    first, second = (certify_authority(folder / f"{name}-certified", ca, name) for name in ("first", "second"))
    middle = make_authority_directory(folder / "second", second, ca.url, trust=ca.trust, forward="nest")
    config = middle / "cmpkit.toml"
    change(config, ROW_TABLES)
    listed = f'[server]\nregistration_authorities = ["{first / "cert.pem"}"]\n'
    config.write_text(config.read_text().replace("[server]\n", listed))
    with contextlib.ExitStack() as stack:
        between = stack.enter_context(served(middle))
        yield stack.enter_context(
            served(make_authority_directory(folder / "first", first, between.url, trust=ca.trust))
        )


@pytest.mark.parametrize("way", ["near", "far"])
@pytest.mark.rule("R-151", "R-157", "R-160", "R-162")
def test_a_device_lives_behind_authorities(
    any_openssl: OpenSSL, ca: Served, way: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    authority: Served = request.getfixturevalue(way)
    device = Device(any_openssl, authority, tmp_path, f"dev-{way}", "p256", ca=ca)
    device.live(*(("-implicit_confirm",) if way == "far" else ()))


@pytest.mark.rule("R-160")
def test_a_refusal_of_the_ca_reaches_the_device(any_openssl: OpenSSL, ca: Served, near: Served, tmp_path: Path) -> None:
    device = Device(any_openssl, near, tmp_path, "dev-refused", "p256", ca=ca)
    secret = near.add_secret(device.name, "--any-subject")
    device.make_key("new")
    request = ("-newkey", tmp_path / "new.key", "-subject", "/O=Elsewhere", "-certout", tmp_path / "new.pem")
    done = device.cmp("ir", *device.by_secret(secret), *request, check=False)
    assert done.returncode != 0
    assert "notAuthorized" in done.stdout + done.stderr
    assert not (tmp_path / "new.pem").exists()


@pytest.fixture(scope="module")
def pki(any_openssl: OpenSSL, tmp_path_factory: pytest.TempPathFactory) -> MockPKI:
    return make_pki(any_openssl, tmp_path_factory.mktemp("mock"), "p256")


@contextlib.contextmanager
def before_mock(
    openssl: OpenSSL, pki: MockPKI, folder: Path, *options: object, by: str = "certificate", forward: str = "reprotect"
) -> Iterator[Device]:
    """A device, an authority, and OpenSSL's server behind it, which does not know nested messages.

    :param options: of OpenSSL's server.
    :param by: what authority and server protect their messages with: ``secret`` or ``certificate``.
    """
    certified = folder / "certified"
    certified.mkdir()
    for name, file in (("cert.pem", "device.pem"), ("chain.pem", "ca.pem"), ("key.pem", "device.key")):
        (certified / name).write_bytes((pki.folder / file).read_bytes())
    with mock_server(openssl, pki, *options, by=by) as url:
        directory = make_authority_directory(
            folder / "ra", certified, url, trust=pki.folder / "ca.pem", forward=forward
        )
        config = directory / "cmpkit.toml"
        rules = 'kind = "rules"\n'
        config.write_text(config.read_text().replace(rules, f"{rules}revocation_by_secret = true\n"))
        if by == "secret":
            (folder / "secret").write_text(SECRET)
            ours = f'reference = "mock"\nsecret = "file:{folder / "secret"}"\ntolerances = ["hmac-sha1"]\n'
            config.write_text(config.read_text().replace("[[upstream]]\n", f"[[upstream]]\n{ours}"))
        with served(directory) as authority:
            yield Device(openssl, authority, folder, "given", "p256")


OPERATIONS = {
    "ir": ("-newkey", "given.key", "-subject", "/O=Mock/CN=given", "-certout", "got.pem"),
    "cr": ("-newkey", "given.key", "-subject", "/O=Mock/CN=given", "-certout", "got.pem"),
    "p10cr": ("-csr", "given.csr", "-certout", "got.pem"),
    "rr": ("-oldcert", "given.pem", "-revreason", "0"),
    "genm": ("-infotype", "signKeyPairTypes"),
}


def ask(device: Device, pki: MockPKI, operation: str, secret: str, *options: object) -> str:
    """What OpenSSL says when it asks for that; it must succeed."""
    given = [pki.folder / word if word.startswith("given.") else word for word in OPERATIONS[operation]]
    given = [device.folder / word if word == "got.pem" else word for word in given]
    done = device.cmp(operation, *device.by_secret(secret), *given, *options, "-verbosity", 7)
    if "got.pem" in OPERATIONS[operation]:
        got = device.folder / "got.pem"
        assert pki.certificate("given") == load_certificates(got.read_bytes())[0]
        got.unlink()
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def csr(any_openssl: OpenSSL, pki: MockPKI) -> None:
    """The PKCS#10 request for the certificate that OpenSSL's server gives out."""
    folder = pki.folder
    any_openssl.run(
        *("req", "-new", "-config", folder / "req.cnf", "-key", folder / "given.key", "-subj", "/O=Mock/CN=given"),
        *("-out", folder / "given.csr"),
    )


@pytest.mark.parametrize("by", ["certificate", "secret"])
@pytest.mark.usefixtures("csr")
def test_openssl_is_below_and_above(any_openssl: OpenSSL, pki: MockPKI, tmp_path: Path, by: str) -> None:
    with before_mock(any_openssl, pki, tmp_path, by=by) as device:
        secret = device.server.add_secret("given", "--any-subject", "--uses", "9")
        for operation in OPERATIONS:
            ask(device, pki, operation, secret)


@pytest.mark.usefixtures("csr")
def test_a_device_polls_through_an_authority(any_openssl: OpenSSL, pki: MockPKI, tmp_path: Path) -> None:
    waiting = ("-poll_count", 1, "-check_after", 0)
    with before_mock(any_openssl, pki, tmp_path, *waiting) as device:
        secret = device.server.add_secret("given", "--any-subject", "--uses", "9")
        for operation in OPERATIONS:
            polled = "sending POLLREQ" in ask(device, pki, operation, secret)
            # OpenSSL 3.0 lets only requests for certificates wait.
            assert polled or (any_openssl.version.startswith("3.0.") and operation in ("rr", "genm"))


@pytest.mark.rule("R-150")
def test_an_update_goes_through_as_it_came(any_openssl: OpenSSL, pki: MockPKI, tmp_path: Path) -> None:
    with before_mock(any_openssl, pki, tmp_path, forward="unchanged") as device:
        own = ("-cert", pki.folder / "given.pem", "-key", pki.folder / "given.key")
        device.cmp("kur", *own, "-newkey", pki.folder / "given.key", "-certout", tmp_path / "got.pem")
        assert pki.certificate("given") == load_certificates((tmp_path / "got.pem").read_bytes())[0]


@pytest.mark.usefixtures("csr")
def test_an_error_from_above_reaches_the_device(any_openssl: OpenSSL, pki: MockPKI, tmp_path: Path) -> None:
    with before_mock(any_openssl, pki, tmp_path, "-send_error") as device:
        secret = device.server.add_secret("given", "--any-subject", "--uses", "9")
        done = device.cmp(
            *("ir", *device.by_secret(secret), "-newkey", pki.folder / "given.key", "-subject", "/O=Mock/CN=given"),
            *("-certout", tmp_path / "never.pem"),
            check=False,
        )
    assert done.returncode != 0
    assert "received error" in done.stdout + done.stderr
