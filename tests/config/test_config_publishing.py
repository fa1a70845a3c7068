"""What a server publishes beside CMP, from the configuration file to HTTP."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from cmpkit.asn1 import encode
from cmpkit.asn1.ocsp import OCSPRequest, Request, TBSRequest
from cmpkit.ca.hierarchy import make_hierarchy, make_ocsp_signer
from cmpkit.ca.operator import revoke_certificate
from cmpkit.config import Configuration, check_configuration, load_configuration, open_issuer, open_store, serve
from cmpkit.config.rollover import prepare_rollover, switch_keys
from cmpkit.crypto.keys import generate_key, key_to_pem
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.ocsp import cert_id
from cmpkit.crypto.ocsp_answers import build_ocsp_request, read_ocsp_response
from cmpkit.crypto.x509 import load_certificates, to_pem
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import Credentials
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.revocation import RevocationChecker, RevocationSources
from cmpkit.enums import CRLReason
from cmpkit.errors import ConfigurationError, TransportError, TrustError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import Grant, Question, SecretRecord, SharedSecret, TransportOptions
from cmpkit.plugins import Plugins, load_plugins
from cmpkit.testing import VirtualClock

Write = Callable[..., Path]
URLS = """
delta_crl_validity = "1d"
crl_urls = ["http://pki.example/lists/one.crl", "ldap://pki.example/cn=ca"]
delta_crl_urls = ["http://pki.example/lists/delta.crl"]
ocsp_urls = ["http://ocsp.example"]
ca_issuers_urls = ["https://pki.example/one.cer"]

[signer]
"""
REQUEST = "application/ocsp-request"
NONCE = b"0123456789abcdef"


def signed_by(name: str) -> tuple[str, str]:
    """The change that makes OCSP responses be signed by another certificate."""
    lines = '[ocsp]\ncertificate = "{0}.pem"\nkey = "file:keys/{0}.key.pem"\n'
    return lines.format("ocsp"), lines.format(name)


@asynccontextmanager
async def serving(configuration: Configuration, plugins: Plugins, **options: Any) -> AsyncIterator[tuple[str, ...]]:
    """The addresses without their paths."""
    shutdown = anyio.Event()
    async with anyio.create_task_group() as tasks:
        urls = await tasks.start(partial(serve, configuration, plugins, shutdown=shutdown, **options))
        yield tuple(url.removesuffix("/.well-known/cmp") for url in urls)
        shutdown.set()


def certificate(path: Path, name: str) -> bytes:
    return load_certificates((path.parent / name).read_bytes())[0]


async def fetch(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=10) as http:
        return await http.get(url)


async def revoke_signer(configuration: Configuration, plugins: Plugins) -> None:
    async with open_issuer(configuration, plugins) as (store, issuer):
        record = (await store.certificates(limit=1))[0]
        await revoke_certificate(record, CRLReason.SUPERSEDED, store=store, issuer=issuer, now=datetime.now(UTC))


async def test_what_init_configured_is_published(write: Write, plugins: Plugins) -> None:
    path = write()
    issuing, root = load_certificates((path.parent / "issuing.pem").read_bytes())
    async with serving(load_configuration(path, plugins), plugins) as (base,):
        crl, root_crl = await fetch(f"{base}/crl/ca.crl"), await fetch(f"{base}/crl/root.crl")
        for answer, issuer in ((crl, issuing), (root_crl, root)):
            assert answer.headers["content-type"] == "application/pkix-crl"
            key = x509.load_der_x509_certificate(issuer).public_key()
            assert x509.load_der_x509_crl(answer.content).is_signature_valid(key)  # type: ignore[arg-type]
        ca = await fetch(f"{base}/ca/ca.cer")
        assert (ca.content, ca.headers["content-type"]) == (issuing, "application/pkix-cert")
        # There are no deltas unless they are configured, and nothing lies below a document.
        for missing in ("/crl/ca-delta.crl", "/crl/ca.crl/x", "/ca/ca.cer/x", "/ocsp", "/crl/"):
            assert (await fetch(f"{base}{missing}")).status_code == 404, missing


async def test_ocsp_is_answered_by_get_and_by_post(write: Write, plugins: Plugins) -> None:
    path = write()
    issuing, signer = certificate(path, "issuing.pem"), certificate(path, "signer.pem")
    asked = cert_id(issuing, x509.load_der_x509_certificate(signer).serial_number)
    plain = encode(OCSPRequest(tbs_request=TBSRequest(request_list=[Request(req_cert=asked)])))
    now, nonce = datetime.now(UTC), NONCE
    async with serving(load_configuration(path, plugins), plugins) as (base,):
        encoded = quote(base64.b64encode(plain).decode(), safe="")
        got = await fetch(f"{base}/ocsp/{encoded}")
        assert got.headers["content-type"] == "application/ocsp-response"
        assert got.headers["cache-control"].startswith("max-age=3")
        assert (await fetch(f"{base}/ocsp/{encoded}")).content == got.content
        put = Question(build_ocsp_request(asked, nonce), REQUEST, "application/ocsp-response")
        road: Any = plugins.client_transport(base)
        posted = await road.fetch(f"{base}/ocsp", TransportOptions(), put)
        assert ocsp.load_der_ocsp_response(posted).extensions.get_extension_for_class(x509.OCSPNonce)
        for answer in (got.content, posted):
            assert read_ocsp_response(answer, asked, nonce, issuer=issuing, now=now, plugins=plugins).standing == "good"
        for broken in ("no Base64", "AAAA", "x" * 20_000):
            refused = ocsp.load_der_ocsp_response((await fetch(f"{base}/ocsp/{broken}")).content)
            assert refused.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


async def test_documents_are_at_the_paths_of_the_addresses_in_certificates(write: Write, plugins: Plugins) -> None:
    path = write(("\n[signer]\n", URLS))
    async with serving(load_configuration(path, plugins), plugins) as (base,):
        for there in ("/lists/one.crl", "/lists/delta.crl", "/one.cer", "/crl/root.crl"):
            assert (await fetch(f"{base}{there}")).status_code == 200, there
        # The responder has the root of its host, and with it what lies nowhere else.
        for elsewhere in ("/crl/ca.crl", "/crl/ca-delta.crl", "/ca/ca.cer"):
            taken = (await fetch(f"{base}{elsewhere}")).headers["content-type"]
            assert taken == "application/ocsp-response", elsewhere
        async with httpx.AsyncClient(timeout=10) as http:
            answer = await http.post(base, content=b"?", headers={"content-type": REQUEST})
        refused = ocsp.load_der_ocsp_response(answer.content)
        assert refused.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


async def test_an_operator_checks_a_path_with_what_the_server_publishes(write: Write, plugins: Plugins) -> None:
    path = write(("\n[signer]\n", '\ndelta_crl_validity = "1d"\n\n[signer]\n'))
    configuration = load_configuration(path, plugins)
    chain = load_certificates((path.parent / "signer.pem").read_bytes())
    async with serving(configuration, plugins) as (base,):
        lists = (f"{base}/crl/ca.crl", f"{base}/crl/root.crl")
        by_crls = RevocationSources(crl_urls=lists)
        by_ocsp = RevocationSources(crl_urls=lists[1:], ocsp_url=f"{base}/ocsp")
        old = (await fetch(lists[0])).content
        for sources in (by_crls, by_ocsp):
            assert len(await RevocationChecker(sources, plugins).check(chain, now=datetime.now(UTC))) == 2
        await revoke_signer(configuration, plugins)
        by_delta = RevocationSources(crls=(old,), crl_urls=(f"{base}/crl/ca-delta.crl", lists[1]))
        for sources in (by_crls, by_ocsp, by_delta):
            with pytest.raises(TrustError, match="'CN=Example CA CMP' is revoked"):
                await RevocationChecker(sources, plugins).check(chain, now=datetime.now(UTC))


async def test_a_client_believes_no_signer_that_is_revoked(write: Write, plugins: Plugins) -> None:
    path = write()
    configuration = load_configuration(path, plugins)
    secret = SharedSecret("dev-42", b"a secret of more than sixteen octets")
    async with open_store(configuration, plugins) as store:
        await store.add_secret(SecretRecord(secret, Grant(parse_name("CN=dev-42"), "device")))
    trust, root_crl = path.parent / "trust.pem", (path.parent / "root.crl").read_bytes()

    def client(credentials: Credentials, **sources: Any) -> Client:
        options = ClientOptions(revocation=RevocationSources(crls=(root_crl,), **sources), total_timeout=20)
        return Client(f"{base}/cmp", credentials=credentials, trust=trust, plugins=plugins, options=options)

    async with serving(configuration, plugins) as (base,):
        # A shared secret needs no certificates: only the new one and those above it could be revoked.
        async with client(secret, ocsp_url=f"{base}/ocsp") as asking:
            enrolled = await asking.enroll(subject="CN=dev-42")
        async with client(enrolled.credentials, ocsp_url=f"{base}/ocsp") as asking:
            enrolled = await asking.update()
        async with client(enrolled.credentials) as asking:
            with pytest.raises(TrustError, match="whether the certificate 'CN=Example CA CMP' is revoked is not known"):
                await asking.ca_certificates()
        async with open_issuer(configuration, plugins) as (store, issuer):
            (signer,) = await store.certificates(subject="CN=Example CA CMP")
            await revoke_certificate(signer, CRLReason.SUPERSEDED, store=store, issuer=issuer, now=datetime.now(UTC))
        for sources in ({"ocsp_url": f"{base}/ocsp"}, {"crl_urls": (f"{base}/crl/ca.crl",)}):
            async with client(enrolled.credentials, **sources) as asking:
                with pytest.raises(TrustError, match="'CN=Example CA CMP' is revoked"):
                    await asking.ca_certificates()


async def test_what_cannot_be_fetched_is_told_with_its_address(write: Write, plugins: Plugins) -> None:
    road: Any = plugins.client_transport("http://")
    question = Question(b"?", "text/plain", "application/ocsp-response")
    async with serving(load_configuration(write(), plugins), plugins) as (base,):
        with pytest.raises(TransportError, match=f"{base}/nothing answered HTTP 404"):
            await road.fetch(f"{base}/nothing", TransportOptions())
        with pytest.raises(TransportError, match="has more than 100 octets"):
            await road.fetch(f"{base}/crl/ca.crl", TransportOptions(max_response_size=100))
        with pytest.raises(TransportError, match="answered HTTP 415"):
            await road.fetch(f"{base}/ocsp", TransportOptions(), question)
        other = Question(b"?", REQUEST, "application/pkix-crl")
        with pytest.raises(TransportError, match="answered with application/ocsp-response, not application/pkix-crl"):
            await road.fetch(f"{base}/ocsp", TransportOptions(), other)
    with pytest.raises(TransportError):
        await road.fetch(f"{base}/crl/ca.crl", TransportOptions(timeout=5))
    for url in ("http://", "http://[::1/x"):
        with pytest.raises(ConfigurationError, match="unusable URL"):
            await road.fetch(url, TransportOptions())


async def test_messages_and_documents_may_have_addresses_of_their_own(write: Write, plugins: Plugins) -> None:
    more = '\n[[listen]]\nurl = "http://127.0.0.1:0"\nserves = ["publication"]\n'
    path = write(('# serves = ["cmp", "publication"]', 'serves = ["cmp"]'), more=more)
    async with serving(load_configuration(path, plugins), plugins) as (messages, documents):
        assert (await fetch(f"{messages}/crl/ca.crl")).status_code == 404
        assert (await fetch(f"{messages}/.well-known/cmp")).status_code == 405
        assert (await fetch(f"{documents}/crl/ca.crl")).status_code == 200
        assert (await fetch(f"{documents}/.well-known/cmp")).status_code == 404


async def test_without_the_tables_nothing_is_published(write: Write, plugins: Plugins) -> None:
    path = write()
    text = path.read_text()
    start, end = text.index("# What signs OCSP"), text.index("[[listen]]")
    path.write_text(text[:start] + text[end:])
    async with serving(load_configuration(path, plugins), plugins) as (base,):
        for nothing in ("/crl/ca.crl", "/ca/ca.cer", "/crl/root.crl", "/ocsp/AAAA"):
            assert (await fetch(f"{base}{nothing}")).status_code == 404


async def mistake(path: Path, plugins: Plugins) -> str:
    with pytest.raises(ConfigurationError) as caught:
        await check_configuration(path, plugins, now=datetime.now(UTC))
    return caught.value.detail


async def test_two_things_cannot_have_one_path(write: Write, plugins: Plugins) -> None:
    urls = '\ncrl_urls = ["http://pki.example/x"]\nca_issuers_urls = ["http://pki.example/x"]\n\n[signer]\n'
    found = await mistake(write(("\n[signer]\n", urls)), plugins)
    assert "[publication]: two things would be published at /x" in found


async def test_a_list_that_is_none_is_named(write: Write, plugins: Plugins) -> None:
    path = write()
    (path.parent / "root.crl").write_text("no list")
    found = await mistake(path, plugins)
    assert "[publication]: " in found
    assert "root.crl: no CRL" in found


async def test_a_signer_that_may_not_sign_ocsp_responses_is_refused(write: Write, plugins: Plugins) -> None:
    found = await mistake(write(signed_by("signer")), plugins)
    assert "[ocsp] certificate: " in found
    assert "has no extended key usage ocspSigning" in found


async def test_the_ca_may_sign_ocsp_responses_itself(write: Write, plugins: Plugins) -> None:
    path = write(signed_by("issuing"))
    issuing, signer = certificate(path, "issuing.pem"), certificate(path, "signer.pem")
    sources = RevocationSources(crls=((path.parent / "root.crl").read_bytes(),), ocsp_url="")
    async with serving(load_configuration(path, plugins), plugins) as (base,):
        checker = RevocationChecker(replace(sources, ocsp_url=f"{base}/ocsp"), plugins)
        root = certificate(path, "trust.pem")
        assert len(await checker.check((signer, issuing, root), now=datetime.now(UTC))) == 2


async def test_a_key_of_the_ca_without_a_signer_signs_ocsp_responses_itself(write: Write, plugins: Plugins) -> None:
    """As after a rollover: the signer has its certificate from another key."""
    path = write(signed_by("other"))
    await foreign_signer(path.parent, plugins)
    chain = load_certificates((path.parent / "signer.pem").read_bytes())
    crl = (path.parent / "root.crl").read_bytes()
    async with serving(load_configuration(path, plugins), plugins) as (base,):
        checker = RevocationChecker(RevocationSources(crls=(crl,), ocsp_url=f"{base}/ocsp"), plugins)
        assert len(await checker.check(chain, now=datetime.now(UTC))) == 2


async def answered(base: str, authority: bytes, certificate: bytes, now: datetime, plugins: Plugins) -> str:
    """How a certificate stands, as the responder says it."""
    asked = cert_id(authority, x509.load_der_x509_certificate(certificate).serial_number)
    encoded = quote(base64.b64encode(build_ocsp_request(asked, NONCE)).decode(), safe="")
    answer = (await fetch(f"{base}/ocsp/{encoded}")).content
    return read_ocsp_response(answer, asked, NONCE, issuer=authority, now=now, plugins=plugins).standing


async def test_a_signer_that_has_expired_is_renewed_at_the_start_and_former_keys_answer_for_themselves(
    write: Write, plugins: Plugins
) -> None:
    path, now = write(), datetime.now(UTC)
    await prepare_rollover(path, plugins, now=now)
    await switch_keys(path, plugins, now=now)
    before = certificate(path, "ca-2/ocsp.pem")
    clock = VirtualClock(now + timedelta(days=100))
    async with serving(load_configuration(path, plugins), plugins, clock=clock) as (base,):
        new = certificate(path, "ca-2/ocsp.pem")
        assert new != before
        for folder, asked in (("ca-2/", new), ("", certificate(path, "signer.pem"))):
            authority = certificate(path, f"{folder}issuing.pem")
            assert await answered(base, authority, asked, clock(), plugins) == "good"


async def foreign_signer(directory: Path, plugins: Plugins) -> None:
    """A signer of OCSP responses for another CA of the same name."""
    now = datetime.now(UTC)
    root_key, issuing_key, key = (generate_key("p256", plugins) for _ in range(3))
    other = await make_hierarchy(parse_name("CN=Example CA"), root_key=root_key, issuing_key=issuing_key, now=now)
    record = await make_ocsp_signer(other.issuing, issuing_key, key=key, now=now)
    (directory / "other.pem").write_bytes(to_pem(record.der))
    (directory / "keys/other.key.pem").write_bytes(key_to_pem(key))


async def test_a_road_for_messages_only_publishes_nothing(write: Write, plugins: Plugins) -> None:
    class Road:
        name, schemes = "road", ("road",)

        def check(self, url: str) -> None:
            """Every address is good."""

    class Roads:
        @staticmethod
        @hookimpl
        def cmpkit_server_transports() -> list[Any]:
            return [Road()]

    path = write(more='\n[[listen]]\nurl = "road://x"\nserves = ["publication"]\n')
    with pytest.raises(ConfigurationError, match=r"\[\[listen\]\] serves: road://x: the road road carries messages"):
        load_configuration(path, load_plugins([("roads", Roads())]))
