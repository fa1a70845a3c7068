from __future__ import annotations

import base64
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cmpkit.config import (
    Configuration,
    check_configuration,
    load_configuration,
    open_issuer,
    open_parts,
    open_store,
)
from cmpkit.crypto.keys import generate_key, key_to_pem
from cmpkit.crypto.x509 import load_certificates
from cmpkit.errors import ConfigurationError
from cmpkit.hookspecs import hookimpl
from cmpkit.plugins import Plugins, load_plugins

Write = Callable[..., Path]


def now() -> datetime:
    return datetime.now(UTC)


async def mistakes(path: Path, plugins: Plugins, *, at: datetime | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        await check_configuration(path, plugins, now=at or now())
    title, *lines = str(caught.value).splitlines()
    return [line.strip() for line in lines] or [title.removeprefix(f"{path}: ")]


async def test_what_init_makes_has_no_mistakes(write: Write, plugins: Plugins) -> None:
    path = write()
    assert (await check_configuration(path, plugins, now=now())).path == path


async def test_the_parts_are_those_that_the_files_hold(configuration: Configuration, plugins: Plugins) -> None:
    async with open_parts(configuration, plugins) as parts:
        issuing = load_certificates((configuration.directory / "issuing.pem").read_bytes())
        assert parts.authority == issuing
        signer = load_certificates((configuration.directory / "signer.pem").read_bytes())
        assert (parts.signer.certificate, *parts.signer.chain) == signer
        assert [source.name for source in parts.secrets] == ["store"]
        assert parts.policy.name == "default"
        assert len(await parts.store.certificates()) == 2
        assert parts.trusted == parts.intermediates == ()
        assert parts.ca_pubs == load_certificates((configuration.directory / "trust.pem").read_bytes())


async def test_certificates_of_the_server_table_are_read(write: Write, plugins: Plugins) -> None:
    path = write(
        ('# trusted = ["other-root.pem"]', 'trusted = ["trust.pem"]'),
        ('# intermediates = ["other-ca.pem"]', 'intermediates = ["issuing.pem"]'),
        ('ca_pubs = ["trust.pem"]', "ca_pubs = []"),
    )
    root = load_certificates((path.parent / "trust.pem").read_bytes())
    async with open_parts(load_configuration(path, plugins), plugins) as parts:
        assert parts.trusted == root
        assert parts.ca_pubs == ()
        assert parts.intermediates == parts.authority


async def test_registration_authorities_of_the_server_table_are_read(write: Write, plugins: Plugins) -> None:
    path = write(("[server]\n", '[server]\nregistration_authorities = ["ra.pem", "ra.pem"]\n'))
    signer = load_certificates((path.parent / "signer.pem").read_bytes())[0]
    (path.parent / "ra.pem").write_bytes(signer)
    async with open_parts(load_configuration(path, plugins), plugins) as parts:
        assert parts.registration_authorities == (signer, signer)


@pytest.mark.parametrize(("file", "said"), [("issuing.pem", "is a CA"), ("none.pem", "cannot be read")])
async def test_a_ca_is_no_registration_authority(write: Write, plugins: Plugins, file: str, said: str) -> None:
    """Whoever lists a chain would make the CAs in it registration authorities."""
    path = write(("[server]\n", f'[server]\nregistration_authorities = ["{file}"]\n'))
    found = await mistakes(path, plugins)
    assert found
    assert all(line.startswith("[server] registration_authorities: ") and said in line for line in found)


async def test_mistakes_of_the_file_and_of_what_it_names_are_told_together(write: Write, plugins: Plugins) -> None:
    path = write(
        ("implicit_confirm = true", "implicit_confirm = 1"),
        ('certificate = "signer.pem"', 'certificate = "none.pem"'),
        ("file:keys/issuing.key.pem", "file:keys/none.pem"),
        ('default_profile = "device"', 'default_profile = "robot"'),
        ('[[secrets]]\nkind = "store"', '[[secrets]]\nkind = "store"\nwhere = 1'),
    )
    found = await mistakes(path, plugins)
    for key in (
        "[server] implicit_confirm: ",
        "[signer] certificate: ",
        "[issuer] key: ",
        "[policy] default_profile: ",
        "[[secrets]] where: ",
    ):
        assert [line for line in found if line.startswith(key)], (key, found)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("file", "octets", "mistake"),
    [
        ("keys/store.key", b"!", "[store] sealing_key_file: "),
        ("keys/store.key", base64.b64encode(b"short"), "[store]: the sealing key of the store has 5 octets"),
        (
            "cmpkit.db",
            b"no database, but long enough to be looked at as one, which takes a hundred octets" * 2,
            "[store] url: ",
        ),
        ("issuing.pem", b"", "[issuer] certificate: "),
        ("keys/signer.key.pem", b"", "[signer] key: "),
        ("signer.pem", b"", "[signer] certificate: "),
    ],
)
async def test_a_file_that_cannot_be_used_is_named_with_its_key(
    write: Write, plugins: Plugins, file: str, octets: bytes, mistake: str
) -> None:
    path = write()
    (path.parent / file).write_bytes(octets)
    found = await mistakes(path, plugins)
    assert any(line.startswith(mistake) for line in found), found


@pytest.mark.parametrize("table", ["issuer", "signer"])
async def test_a_key_of_another_certificate_is_refused(write: Write, plugins: Plugins, table: str) -> None:
    path = write()
    name = {"issuer": "issuing", "signer": "signer"}[table]
    (path.parent / f"keys/{name}.key.pem").write_bytes(key_to_pem(generate_key("p256", plugins)))
    (found,) = await mistakes(path, plugins)
    assert found.startswith(f"[{table}] key: ")


async def test_a_signer_that_expired_is_refused(write: Write, plugins: Plugins) -> None:
    found, also = await mistakes(write(), plugins, at=now() + timedelta(days=4000))
    assert found.startswith("[signer] certificate: the certificate of CN=Example CA CMP is valid from")
    assert also.startswith("[ocsp] certificate: the certificate of CN=Example CA OCSP is valid from")


async def test_a_store_that_is_not_there_is_not_made(write: Write, plugins: Plugins) -> None:
    path = write()
    (path.parent / "cmpkit.db").unlink()
    (found,) = await mistakes(path, plugins)
    assert found.startswith("[store] url: ")
    assert not (path.parent / "cmpkit.db").exists()


async def test_a_ca_that_waits_for_its_certificate_says_how_it_gets_it(write: Write, plugins: Plugins) -> None:
    path = write()
    (path.parent / "issuing.pem").unlink()
    (found,) = await mistakes(path, plugins)
    assert found.startswith("[issuer] certificate: ")
    assert "--ca-cert SIGNED.pem" in found


async def test_an_issuer_without_a_certificate_is_refused(write: Write) -> None:
    class Nobody:
        name = "nobody"
        local = True

        async def ca_certificates(self) -> tuple[bytes, ...]:
            return ()

    class Factory:
        kind = "nobody"

        async def open(self, settings: object, context: object) -> Nobody:
            return Nobody()

    class Brings:
        @hookimpl
        def cmpkit_issuers(self) -> list[Factory]:
            return [Factory()]

    plugins = load_plugins([("nobody", Brings())])
    assert await mistakes(write(('kind = "local"', 'kind = "nobody"')), plugins) == ["[issuer] it has no certificate"]


async def test_opening_reports_what_loading_could_not_see(configuration: Configuration, plugins: Plugins) -> None:
    (configuration.directory / "keys/store.key").unlink()
    for opening in (open_parts, open_store, open_issuer):
        with pytest.raises(ConfigurationError, match=r"\[store\] sealing_key_file: .*store.key cannot be read"):
            async with opening(configuration, plugins):
                pytest.fail("it must not be opened")


async def test_the_issuer_is_opened_with_its_store(configuration: Configuration, plugins: Plugins) -> None:
    shutil.rmtree(configuration.directory / "root")
    async with open_issuer(configuration, plugins) as (store, issuer):
        assert len(await issuer.ca_certificates()) == 2
        assert len(await store.certificates()) == 2
