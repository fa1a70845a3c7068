"""The steps of ``cmpkit demo``, with the commands that a person would type, the messages, and what each side checks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cmpkit import oids
from cmpkit.asn1 import encode
from cmpkit.cli.stage import LISTEN, Stage
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.enums import CRLReason
from cmpkit.errors import PeerRefusal, TrustError
from cmpkit.parts import SharedSecret

__all__ = ["Tour"]

_REFERENCE = "dev-42"
_SUBJECT = "CN=dev-42"


class Tour(Stage):
    """Goes with one device through everything that becomes of a certificate, over HTTP on a loopback port."""

    async def run(self) -> None:
        """Go through all steps.

        :raises CMPError: if one of them does not end as it should.
        """
        await self.make_ca(LISTEN)
        self.begin("Let a device in", f"cmpkit secret add {_REFERENCE} --config ca/cmpkit.toml > {_REFERENCE}.secret")
        secret = await self.add_secret(_REFERENCE)
        self.say(f"Nothing is allowed unless a rule allows it: this secret is good for one certificate for {_SUBJECT}.")
        await self.serve_while(partial(self._be_a_client, secret))
        self.end()

    async def _be_a_client(self, secret: SharedSecret, urls: Sequence[str]) -> None:
        (self._url,) = urls
        self.begin("Serve", "cmpkit serve --config ca/cmpkit.toml")
        typer.echo(f"listening on {self._url}")
        first = await self._enroll(secret)
        await self._overreach(secret)
        second = await self._update(first)
        await self._revoke(second)
        await self._look_into_crl(first, second)

    async def _enroll(self, secret: SharedSecret) -> Enrolled:
        self.begin(
            "Enrol by the secret",
            f"cmpkit enroll {self._url} --ref {_REFERENCE} --secret file:{_REFERENCE}.secret --subject {_SUBJECT} "
            "--newkey dev-42.key --trusted ca/trust.pem --certout dev-42.pem",
        )
        key = self.make_key("dev-42.key")
        async with self.client(self._url, secret) as client:
            enrolled = await client.enroll(_SUBJECT, key)
        self.show_certificate(enrolled, "dev-42.pem")
        self.say(
            "The server checked the MAC with the secret, the signature by the new key (proof of possession), and that "
            f"the secret grants {_SUBJECT}. The client checked the MAC, transactionID and nonces of the answers, and "
            "that the certificate has its key and subject and leads to the root; its certConf says so, and the server "
            "answers pkiconf."
        )
        return enrolled

    async def _overreach(self, secret: SharedSecret) -> None:
        self.begin("Ask for more than is granted", f"cmpkit enroll … --ref {_REFERENCE} --subject CN=admin …")
        try:
            async with self.client(self._url, secret) as client:
                await client.enroll("CN=admin")
        except PeerRefusal as refusal:
            typer.echo(f"  {refusal.detail}")
        else:
            raise TrustError("the server gave what the secret does not grant")
        self.say("The secret grants another subject, and it is used up. The command would end with exit status 6.")

    async def _update(self, first: Enrolled) -> Enrolled:
        self.begin(
            "Update, by the certificate",
            f"cmpkit update {self._url} --cert dev-42.pem --key dev-42.key --newkey dev-42-2.key "
            "--trusted ca/trust.pem --certout dev-42-2.pem",
        )
        key = self.make_key("dev-42-2.key")
        async with self.client(self._url, first.credentials) as client:
            second = await client.update(first, key)
        self.show_certificate(second, "dev-42-2.pem")
        self.say(
            "No secret this time: the old key signed the request. The server checked the signature, that the "
            "certificate is its own and neither revoked nor expired, and that the subject stays. The answer is signed "
            "by a certificate that the CA authorised for that (extended key usage cmcCA), which the client checked."
        )
        return second

    async def _revoke(self, second: Enrolled) -> None:
        self.begin(
            "Revoke",
            f"cmpkit revoke {self._url} --cert dev-42-2.pem --key dev-42-2.key --oldcert dev-42-2.pem "
            "--revreason keyCompromise --trusted ca/trust.pem",
        )
        async with self.client(self._url, second.credentials) as client:
            await client.revoke(second, CRLReason.KEY_COMPROMISE)
        self.say("A certificate may revoke itself. From now on the server refuses whatever it protects (certRevoked).")

    async def _look_into_crl(self, first: Enrolled, second: Enrolled) -> None:
        self.begin(
            "Fetch the CRL",
            f"cmpkit info {self._url} currentCRL --cert dev-42.pem --key dev-42.key --trusted ca/trust.pem "
            "--crlout crl.pem",
        )
        async with self.client(self._url, first.credentials) as client:
            (answer,) = await client.info(oids.CURRENT_CRL)
        assert answer.info_value is not None
        crl = x509.load_der_x509_crl(encode(answer.info_value))
        issuer = x509.load_der_x509_certificate(first.chain[0]).public_key()
        revoked = x509.load_der_x509_certificate(second.certificate).serial_number
        entry = crl.get_revoked_certificate_by_serial_number(revoked)
        if entry is None or not crl.is_signature_valid(issuer):  # type: ignore[arg-type]
            raise TrustError("the CRL does not have the certificate, or its signature is wrong")
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
        self.write("crl.pem", crl.public_bytes(Encoding.PEM))
        typer.echo(f"  serial number {revoked:x} revoked {entry.revocation_date_utc:%Y-%m-%d %H:%M:%SZ}: {reason}")
        self.say("The CA signed the CRL, and the certificate is in it.")
