"""``cmpkit ca cross-certify``: the key of a CA is certified by another one, and the certificate handed out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import pytest
from crossing import PARTNER, Sites, make_two
from operating import Outcome, run
from served import Served, served

from cmpkit import oids
from cmpkit.asn1 import TLV, encode
from cmpkit.ca.info import CACertificatesInfo
from cmpkit.config import load_configuration, open_parts
from cmpkit.config.opening import utc_now
from cmpkit.config.publishing import build_resources
from cmpkit.crypto.x509 import load_certificates
from cmpkit.parts import Authenticated, Credential, InfoContext, ProtectionKind

AUTH = Authenticated("anybody", Credential(ProtectionKind.MAC, "mac:00"))


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Sites:
    made = make_two(tmp_path_factory.mktemp("two"))
    sites = Sites.copied(made, tmp_path_factory.mktemp("copies"))
    sites.allow(profile='approval = "manual"\n', server='trusted = ["partner.pem"]\ncheck_after = "1s"')
    return sites


@pytest.fixture(scope="module")
def server(sites: Sites) -> Iterator[Served]:
    with served(sites.responder.parent) as running:
        yield running


@pytest.fixture
def partner(sites: Sites, tmp_path: Path) -> Path:
    """The configuration of a copy of the partner."""
    shutil.copytree(sites.partner.parent, tmp_path / "partner")
    return tmp_path / "partner" / "cmpkit.toml"


def command(sites: Sites, server: Served, partner: Path, *more: object, status: int = 0) -> Outcome:
    ours = sites.responder.parent
    return run(
        *("ca", "cross-certify", server.url, "--config", partner, "--issuer-cert", ours / "issuing.pem"),
        *("--trusted", ours / "trust.pem", "--state", partner.parent / "state", "--name", "ours", *more),
        status=status,
    )


def approve(sites: Sites) -> None:
    (waiting,) = [
        request
        for request in run("request", "list", "--config", sites.responder, "--json").json
        if request["state"] == "waiting"
    ]
    run("request", "approve", waiting["id"], "--config", sites.responder)


def test_the_certificate_comes_once_a_person_agreed_and_is_handed_out(
    sites: Sites, server: Served, partner: Path
) -> None:
    stopped = command(sites, server, partner, "--total-timeout", 0.5, status=7)
    assert "cmpkit resume" in stopped.err
    approve(sites)
    (saved,) = (partner.parent / "state").glob("*.json")
    told = run("resume", saved, "--total-timeout", 60, "--json").json
    assert told["certificate"]["subject"] == PARTNER
    file = partner.parent / "cross" / "ours.pem"
    assert told["file"] == str(file)
    assert not list((partner.parent / "state").glob("*.json"))
    assert "no mistakes" in run("serve", "--check", "--config", partner).out
    (der,) = load_certificates(file.read_bytes())
    handed, published = anyio.run(partial(handed_out, sites, partner))
    assert handed[-1] == published == der
    assert len(handed) == 3
    run("ca", "rollover", "--config", partner)
    text = partner.read_text()
    assert text.count("cross_certificates = [") == 2  # of the former key, and the comment of the file
    assert anyio.run(partial(handed_out, sites, partner)) == (
        (*anyio.run(partial(own_certificates, sites, partner)), handed[-1]),
        published,
    )


async def handed_out(sites: Sites, config: Path) -> tuple[tuple[bytes, ...], bytes]:
    """What caCerts has, and what is published as the cross certificate."""
    now = datetime.now(UTC)
    async with open_parts(load_configuration(config, sites.plugins), sites.plugins) as parts:
        answer = await CACertificatesInfo().answer(None, InfoContext(parts.issuer, AUTH, now))
        assert answer.info_type == oids.CA_CERTS
        assert parts.published is not None
        document = await build_resources(parts.published, None, clock=utc_now)["/ca/ours.cer"].get("")
        assert document is not None
        return tuple(encode(element) for element in answer.parse_list(TLV)), document.content


async def own_certificates(sites: Sites, config: Path) -> tuple[bytes, ...]:
    async with open_parts(load_configuration(config, sites.plugins), sites.plugins) as parts:
        return parts.authority


def test_a_name_that_is_none_of_a_file_is_refused(sites: Sites, server: Served, partner: Path) -> None:
    assert "--name '../x'" in command(sites, server, partner, "--name", "../x", status=2).err


def test_a_validity_that_is_none_is_refused(sites: Sites, server: Served, partner: Path) -> None:
    assert "--validity" in command(sites, server, partner, "--validity", "long", status=2).err


def test_a_certificate_for_another_key_is_a_mistake_of_the_configuration(sites: Sites, partner: Path) -> None:
    shutil.copyfile(sites.responder.with_name("issuing.pem"), partner.with_name("other.pem"))
    text = partner.read_text().replace(
        '# cross_certificates = ["cross/partner.pem"]', 'cross_certificates = ["other.pem"]'
    )
    partner.write_text(text)
    said = run("serve", "--check", "--config", partner, status=2).err
    assert "[issuer] cross_certificates: other.pem is not for the key of this CA" in said


def test_a_profile_needs_room_below_the_ca(sites: Sites, partner: Path) -> None:
    good, odd = '\n[profiles.other]\nkind = "cross-certificate"\n', '[profiles.odd]\nkind = "x"\n'
    text = partner.read_text()
    for written, mistake in (
        (good + odd, "[profiles.odd] kind: 'x' is none of end-entity, cross-certificate"),
        (good, "[profiles.other] path_length: 0 needs 1 CAs below this one"),
    ):
        partner.write_text(text + written)
        assert mistake in run("serve", "--check", "--config", partner, status=2).err
