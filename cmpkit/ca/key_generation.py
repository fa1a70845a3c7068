"""The key generation authority: it makes keys for requesters (RFC 9483 section 4.1.6)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from cmpkit import oids
from cmpkit.crypto.enveloping import KeyRecipient, PasswordRecipient, Recipient, can_receive
from cmpkit.crypto.key_packages import TOLERATE_BARE_KEY, seal_key_package
from cmpkit.crypto.keys import key_to_pem, load_private_key
from cmpkit.crypto.work import run_derivation
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import (
    Authenticated,
    CertificateProfile,
    CertificateRequest,
    Issued,
    Issuer,
    KeyGeneratingProfile,
    Pending,
    PrivateKey,
    RandomOctets,
    Rejected,
    Store,
    Undertaking,
    UnitOfWork,
)
from cmpkit.plugins import Plugins

__all__ = ["KeyGeneration", "check_key_generation", "forgotten_keys"]

_RULE: Final = "RFC 9483 section 4.1.6"
_KIND: Final = "generated key"


@dataclass(frozen=True)
class KeyGeneration:
    """Makes the keys that requests leave to the server, where their profile allows that.

    :param profiles: the certificate profiles that there are.
    :param signer: the key that signs what is handed over.
    :param certificates: DER, that of the signer first, then its chain.
    :param tolerances: ``openssl-central-keygen`` hands over bare keys, and wraps by id-alg-PWRI-KEK under a secret.
    :param random: where content keys and salts come from.
    """

    plugins: Plugins
    profiles: Mapping[str, CertificateProfile]
    signer: PrivateKey
    certificates: Sequence[bytes]
    tolerances: frozenset[str] = field(default_factory=frozenset)
    random: RandomOctets = secrets.token_bytes

    @property
    def _for_openssl(self) -> bool:
        return TOLERATE_BARE_KEY in self.tolerances

    def check(self, request: CertificateRequest, auth: Authenticated) -> None:
        """Whether a key can be generated and handed over: before a person is asked to agree to that.

        :param request: as the policy allowed it; it has no key.
        :raises CMPError: as for :meth:`issue`.
        """
        self._key_type(request)
        self._recipient(request, auth)

    async def issue(
        self,
        issuer: Issuer,
        request: CertificateRequest,
        auth: Authenticated,
        *,
        idempotency_key: str,
        now: datetime,
        store: Store,
        archive: bool = False,
    ) -> Issued | Pending | Rejected:
        """A certificate for a new key, with the key, encrypted for the requester.

        A request that is lost gets another key and another certificate; but of an issuer elsewhere, which gives the
        same certificate again, the same key.

        :param request: as the policy allowed it; it has no key.
        :param store: keeps the key, encrypted, as long as an issuer elsewhere may be asked again (R-175).
        :param archive: whether the key is to be kept; otherwise it is nowhere but in the answer.
        :raises CMPError: badCertTemplate if the profile leaves keys to the requester, badAlg or notAuthorized if there
            is no way to hand one over.
        """
        key_type = self._key_type(request)
        recipient = self._recipient(request, auth)
        key = await self._generate(key_type) if issuer.local else await self._kept(key_type, idempotency_key, store)
        complete = replace(request, public_key_info=key.public_key_info)
        result = await issuer.issue(complete, auth, idempotency_key=idempotency_key, now=now)
        if not isinstance(result, Issued):
            return result
        package = await seal_key_package(
            key,
            recipient,
            signer=self.signer,
            certificates=self.certificates,
            plugins=self.plugins,
            bare=self._for_openssl,
            random=self.random,
        )
        return replace(result, private_key=package, archived=key.to_pkcs8() if archive else b"")

    async def _generate(self, key_type: str) -> PrivateKey:
        return await run_derivation(self.plugins.key_algorithm(key_type).generate, key_type)

    async def _kept(self, key_type: str, idempotency_key: str, store: Store) -> PrivateKey:
        """The key for a request, the same one whichever process asks."""
        kept = await store.undertaking(_KIND, idempotency_key)
        if kept is not None:
            return load_private_key(kept.state, None, self.plugins)
        key = await self._generate(key_type)
        # Another process may have been faster: its conflict has the message put again.
        await store.commit(UnitOfWork(undertakings=(Undertaking(_KIND, idempotency_key, key_to_pem(key)),)))
        return key

    def _key_type(self, request: CertificateRequest) -> str:
        profile: Any = self.profiles.get(request.profile or "")
        if not isinstance(profile, KeyGeneratingProfile):
            raise CMPError(
                f"the template has no public key, and the profile {request.profile!r} generates none",
                PKIFailureInfo.BAD_CERT_TEMPLATE,
                rule=_RULE,
                hint="put a public key into the template",
            )
        return profile.generated_key_type(request)

    def _recipient(self, request: CertificateRequest, auth: Authenticated) -> Recipient:
        """Whom the key is encrypted for: who protected the request (R-172), or the key that it names besides.

        :raises CMPError: badAlg if nothing can be encrypted to that key.
        """
        if request.encryption_key:
            return self._able(KeyRecipient.of_key(request.encryption_key), "the protocolEncrKey of the request")
        if auth.credential.secret is not None:
            return PasswordRecipient(auth.credential.secret, by_pwri_kek=self._for_openssl)
        assert auth.credential.certificate is not None
        return self._able(KeyRecipient.of_certificate(auth.credential.certificate), "the signer's certificate")

    def _able(self, recipient: KeyRecipient, what: str) -> KeyRecipient:
        if can_receive(recipient, self.plugins):
            return recipient
        raise CMPError(
            f"a private key is asked for, and cannot be encrypted for {what}",
            PKIFailureInfo.BAD_ALG,
            rule=_RULE,
            hint="use a certificate with keyAgreement or keyEncipherment, or name a key by the control protocolEncrKey",
        )


def forgotten_keys(idempotency_keys: Iterable[str]) -> tuple[Undertaking, ...]:
    """What forgets the keys that were generated for requests: they are answered, or given up (R-175)."""
    return tuple(Undertaking(_KIND, key, b"") for key in idempotency_keys)


def check_key_generation(profiles: Iterable[CertificateProfile], certificate: bytes) -> None:
    """Whether what profiles hand over can be signed.

    :param certificate: DER of the signer's certificate.
    :raises ConfigurationError: if there is a profile that generates keys or lets them be recovered, and the signer is
        no authority for that.
    """
    names = [
        profile.name
        for profile in profiles
        if getattr(profile, "key_generation", "") == "central" or getattr(profile, "recovery", ())
    ]
    if names and not _is_authority(x509.load_der_x509_certificate(certificate)):
        raise ConfigurationError(
            f"the profile {names[0]} hands over keys, but the signer's certificate has no extended key usage cmKGA",
            hint="sign with one that has it, or with the CA itself; cmpkit init makes one",
        )


def _is_authority(certificate: x509.Certificate) -> bool:
    """Whether clients may believe its holder that a key is theirs (RFC 9483 section 4.1.6)."""
    for kind, test in (
        (x509.ExtendedKeyUsage, lambda usage: oids.KP_CM_KGA in usage),
        (x509.BasicConstraints, lambda constraints: constraints.ca),
    ):
        try:
            if test(certificate.extensions.get_extension_for_class(kind).value):
                return True
        except x509.ExtensionNotFound:
            continue
    return False
