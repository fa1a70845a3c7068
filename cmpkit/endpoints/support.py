"""Support messages at a client: questions, answers, and whether those are believed (RFC 9483 section 4.3)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    TLV,
    AlgorithmIdentifier,
    CertReqTemplateContent,
    InfoTypeAndValue,
    RootCaKeyUpdateContent,
    encode,
    encode_list,
    parse_tlv,
    to_tlv,
)
from cmpkit.crypto.crls import crl_status, load_crl
from cmpkit.crypto.enveloping import KeyRecipient, PasswordRecipient, Recipient
from cmpkit.crypto.key_specs import algorithms_of
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.root_update import check_root_update, is_update_of
from cmpkit.crypto.x509 import outline
from cmpkit.endpoints.credentials import Credentials
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.passphrases import check_passphrase_kept, passphrase_question
from cmpkit.errors import CMPError, ConfigurationError, TrustError
from cmpkit.parts import RequestTemplate, RootKeyUpdate, SharedSecret
from cmpkit.plugins import Plugins

__all__ = [
    "SupportMessages",
    "ask_for_crl",
    "ask_for_root_update",
    "believe_root_update",
    "check_newer_crl",
    "read_ca_certificates",
    "read_crls",
    "read_encryption_certificate",
    "read_key_pair_parameters",
    "read_request_template",
    "read_root_update",
]

T = TypeVar("T")


def ask_for_crl(certificate: bytes | None, crl: bytes | None) -> InfoTypeAndValue:
    """crlStatusList: the CRL about a certificate, or the next one after a CRL.

    :param certificate: DER.
    :param crl: the CRL that is there already, DER or PEM: only a newer one is wanted.
    :raises ConfigurationError: if neither is given, or one cannot be read.
    """
    status = crl_status(certificate, None if crl is None else load_crl(crl))
    return InfoTypeAndValue(oids.CRL_STATUS_LIST, to_tlv(encode_list([status])))


def ask_for_root_update(old_root: bytes | None, anchors: Sequence[bytes]) -> InfoTypeAndValue:
    """rootCaCert, for the root that is named, else for the only one that is trusted (RFC 9810 section 5.3.19.15).

    :param old_root: DER.
    :param anchors: DER of the trust anchors.
    """
    roots = [old_root] if old_root is not None else [anchor for anchor in anchors if _is_self_issued(anchor)]
    return InfoTypeAndValue(oids.ROOT_CA_CERT, to_tlv(roots[0]) if len(roots) == 1 else None)


def _is_self_issued(certificate: bytes) -> bool:
    found = outline(certificate)
    return found.subject_der == found.issuer_der


def read_ca_certificates(answer: InfoTypeAndValue) -> tuple[bytes, ...]:
    """DER of the certificates in caCerts.

    :raises TrustError: if they cannot be read.
    """
    with _reading(answer):
        ders = tuple(encode(element) for element in answer.parse_list(TLV))
        for der in ders:
            outline(der)
        return ders


def read_crls(answer: InfoTypeAndValue) -> tuple[x509.CertificateRevocationList, ...]:
    """The CRLs in currentCRL or crls.

    :raises TrustError: if they cannot be read.
    """
    with _reading(answer):
        elements = [answer.parse(TLV)] if answer.info_type == oids.CURRENT_CRL else answer.parse_list(TLV)
        if not elements:
            raise ValueError("an empty list where at least one element is needed")
        return tuple(x509.load_der_x509_crl(encode(element)) for element in elements)


def read_root_update(answer: InfoTypeAndValue) -> RootKeyUpdate:
    """The certificates in rootCaKeyUpdate; whether they are believed is another question.

    :raises TrustError: if they cannot be read.
    """
    with _reading(answer):
        content = answer.parse(RootCaKeyUpdateContent)
        links = (content.new_with_old, content.old_with_new)
        new_with_old, old_with_new = (None if link is None else encode(link) for link in links)
        return RootKeyUpdate(encode(content.new_with_new), new_with_old, old_with_new)


def read_key_pair_parameters(
    answer: InfoTypeAndValue, asked: ObjectIdentifier, plugins: Plugins
) -> AlgorithmIdentifier:
    """The algorithm with its parameters in keyPairParamRep, which must be of a kind of keys that is known (R-182).

    :raises TrustError: if it is of another algorithm, or the parameters are not known.
    """
    with _reading(answer):
        given = answer.parse(AlgorithmIdentifier)
    if given.algorithm != asked or all(given not in algorithms_of(part) for part in plugins.all("key algorithm")):
        raise TrustError(
            f"the parameters that came for keys of {asked.dotted_string} are of none that is known",
            rule="RFC 9810 section 5.3.19.8",
        )
    return given


def read_encryption_certificate(answer: InfoTypeAndValue) -> bytes:
    """DER of the certificate in caProtEncCert.

    :raises TrustError: if it cannot be read.
    """
    with _reading(answer):
        der = encode(answer.parse(TLV))
        outline(der)
        return der


def read_request_template(answer: InfoTypeAndValue) -> RequestTemplate:
    """What certReqTemplate says; controls that are not about keys are left out.

    :raises TrustError: if it cannot be read.
    """
    with _reading(answer):
        content = answer.parse(CertReqTemplateContent)
        subject, controls = content.cert_template.subject, content.key_spec or ()
        return RequestTemplate(
            subject=None if subject is None else subject.name,
            extensions=tuple(content.cert_template.extensions or ()),
            key_algorithms=tuple(
                parse_tlv(control.value, AlgorithmIdentifier) for control in controls if control.type == oids.ALG_ID
            ),
            rsa_key_lengths=tuple(
                parse_tlv(control.value, int) for control in controls if control.type == oids.RSA_KEY_LEN
            ),
        )


def believe_root_update(
    update: RootKeyUpdate, old_roots: Iterable[bytes], *, plugins: Plugins, now: datetime
) -> RootKeyUpdate:
    """The same update, once an old root vouches for it.

    :param old_roots: DER of the root certificates that are trusted so far.
    :param now: when everything must be valid.
    :raises TrustError: if none of them does, saying what is wrong.
    """
    fault: CMPError | None = None
    for old_root in old_roots:
        try:
            if is_update_of(update, old_root):
                check_root_update(update, old_root, plugins=plugins, now=now)
                return update
        except CMPError as error:
            fault = fault or error
    if fault is None:
        raise TrustError(
            "the new root CA certificate is not linked to one that is trusted",
            rule="RFC 9810 section 4.4",
            hint="name the root whose key was replaced: --oldwithold FILE, or as trust anchor",
        )
    raise TrustError(
        f"the new root CA certificate is not believed: {fault.detail}",
        fault.fail_info,
        rule=fault.rule,
        hint=fault.hint,
    ) from fault


@contextmanager
def _reading(answer: InfoTypeAndValue) -> Iterator[None]:
    try:
        yield
    except (CMPError, ValueError) as error:
        raise TrustError(
            f"the answer to {answer.info_type.dotted_string} cannot be read: {error}", rule="RFC 9810 section 5.3.19"
        ) from error


class SupportMessages(ABC):
    """The questions of RFC 9483 section 4.3, each a transaction of its own, and passphrases for revocation.

    Several are asked in one message by :meth:`info`.
    """

    credentials: Credentials
    options: ClientOptions
    plugins: Plugins
    trust: tuple[bytes, ...]

    @abstractmethod
    async def info(self, *questions: ObjectIdentifier | InfoTypeAndValue) -> tuple[InfoTypeAndValue, ...]:
        """Ask for information (genm)."""

    async def ca_certificates(self) -> tuple[bytes, ...]:
        """The certificates of the CA and of those above it, as DER (caCerts).

        They are no trust anchors by themselves (RFC 9810 section 8.9).
        """
        return await self._ask(InfoTypeAndValue(oids.CA_CERTS), oids.CA_CERTS, read_ca_certificates) or ()

    async def current_crl(self) -> bytes | None:
        """DER of the newest CRL (currentCRL), or ``None`` if the server has none to give."""
        crls = await self._ask(InfoTypeAndValue(oids.CURRENT_CRL), oids.CURRENT_CRL, read_crls)
        return crls[0].public_bytes(Encoding.DER) if crls else None

    async def crl_update(self, *, certificate: bytes | None = None, crl: bytes | None = None) -> bytes | None:
        """DER of the CRL about a certificate, or of the next one after a CRL (crlStatusList).

        :param certificate: DER; its distribution point, else its issuer, names the CRL.
        :param crl: the CRL that is there already, DER or PEM.
        :returns: ``None`` if there is none, or none that is newer.
        :raises ConfigurationError: if neither is given, or one cannot be read.
        :raises TrustError: if the CRL that comes is not newer, or of another issuer.
        """
        crls = await self._ask(ask_for_crl(certificate, crl), oids.CRLS, read_crls)
        if not crls:
            return None
        if crl is not None:
            check_newer_crl(crls[0], load_crl(crl))
        return crls[0].public_bytes(Encoding.DER)

    async def root_update(self, old_root: bytes | None = None) -> RootKeyUpdate | None:
        """The new certificate of a root CA whose key was replaced (rootCaCert), if the old root vouches for it.

        :param old_root: DER of the root that is trusted so far; ``None`` looks among the trust anchors.
        :returns: ``None`` if the server knows of no newer key.
        :raises TrustError: if the new root is not to be believed.
        """
        question = ask_for_root_update(old_root, self.trust)
        update = await self._ask(question, oids.ROOT_CA_KEY_UPDATE, read_root_update)
        if update is None:
            return None
        old_roots = self.trust if old_root is None else (old_root,)
        return believe_root_update(update, old_roots, plugins=self.plugins, now=self.options.clock())

    async def key_pair_parameters(self, algorithm: ObjectIdentifier) -> AlgorithmIdentifier | None:
        """The parameters for a new key of an algorithm (keyPairParamReq): of EC keys, the curve.

        :param algorithm: as a SubjectPublicKeyInfo names it.
        :returns: ``None`` if the server certifies no such keys.
        :raises TrustError: if they are of no kind that is known.
        """
        question = InfoTypeAndValue(oids.KEY_PAIR_PARAM_REQ, to_tlv(algorithm))

        def read(answer: InfoTypeAndValue) -> AlgorithmIdentifier:
            return read_key_pair_parameters(answer, algorithm, self.plugins)

        return await self._ask(question, oids.KEY_PAIR_PARAM_REP, read)

    async def request_template(self) -> RequestTemplate | None:
        """What a request should ask for under the profile that ``options.profile`` names (certReqTemplate).

        :returns: ``None`` if the server has nothing to say about it.
        """
        question = InfoTypeAndValue(oids.CERT_REQ_TEMPLATE)
        return await self._ask(question, oids.CERT_REQ_TEMPLATE, read_request_template)

    async def choose_passphrase(self, passphrase: SharedSecret) -> None:
        """Have the server keep a passphrase that revokes the certificates of this client (revPassphrase).

        Whoever has it revokes these, and does nothing else, with ``Client(url, credentials=passphrase)`` and
        :meth:`~cmpkit.endpoints.client.Client.revoke`. It takes the place of the one that was chosen before.

        :param passphrase: with the reference under which it is to be used.
        :raises ConfigurationError: if it is too short, or nothing can be encrypted for the server.
        """
        check_passphrase_kept(await self.info(await self.passphrase_question(passphrase)))

    async def passphrase_question(self, passphrase: SharedSecret) -> InfoTypeAndValue:
        """revPassphrase for :meth:`info`, encrypted under the shared secret, else to what the server names for that.

        :param passphrase: with the reference under which it is to be used.
        :raises ConfigurationError: if it is too short, or nothing can be encrypted for the server.
        """
        recipient: Recipient
        if isinstance(self.credentials, SharedSecret):
            recipient = PasswordRecipient(self.credentials)
        else:
            question = InfoTypeAndValue(oids.CA_PROT_ENC_CERT)
            certificate = await self._ask(question, oids.CA_PROT_ENC_CERT, read_encryption_certificate)
            if certificate is None:
                raise ConfigurationError(
                    "the server names no certificate to encrypt the passphrase to",
                    hint="set [encryption] there, or choose the passphrase under the shared secret of the enrolment",
                )
            recipient = KeyRecipient.of_certificate(certificate)
        return await passphrase_question(passphrase, recipient, plugins=self.plugins, random=self.options.random)

    async def _ask(
        self, question: InfoTypeAndValue, oid: ObjectIdentifier, read: Callable[[InfoTypeAndValue], T]
    ) -> T | None:
        """The answer of that type, read; ``None`` if it has no value, or the server does not know the question."""
        answers = await self.info(question)
        given = next((item for item in answers if item.info_type == oid and item.info_value is not None), None)
        return None if given is None else read(given)


def check_newer_crl(new: x509.CertificateRevocationList, old: x509.CertificateRevocationList) -> None:
    """Whether a CRL follows another of the same issuer.

    :raises TrustError: if it does not.
    """
    if not names_match(new.issuer, old.issuer):
        raise TrustError(
            f"the CRL that came is of {format_name(new.issuer)}, not of {format_name(old.issuer)}",
            rule="RFC 9810 section 5.3.19.17",
        )
    if new.last_update_utc <= old.last_update_utc:
        raise TrustError("the CRL that came is not newer", rule="RFC 9810 section 5.3.19.17")
