"""Private keys that are kept for their holders, and handed over again (RFC 4211 section 6.4, RFC 9810 section 5.3.7).

They lie sealed in the store. Who may have them back is for the policy to say.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography import x509

from cmpkit.asn1 import EnvelopedData
from cmpkit.ca.certificates import is_self_issued
from cmpkit.crypto.enveloping import KeyRecipient, OpeningKey
from cmpkit.crypto.handed_keys import open_private_key
from cmpkit.crypto.key_packages import seal_key_package
from cmpkit.crypto.keys import private_key_from
from cmpkit.crypto.names import format_name
from cmpkit.enums import PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError
from cmpkit.parts import (
    ArchivedKey,
    Authenticated,
    CertificateProfile,
    CertificateRequest,
    Issuer,
    PrivateKey,
    RandomOctets,
    Recovered,
    RecoveredKey,
    RecoveryRequest,
    Store,
)
from cmpkit.plugins import Plugins

__all__ = ["MOST_RECOVERED", "KeyArchive"]

MOST_RECOVERED: Final = 64
"""How many keys one answer brings, at most; a message has its size."""

_ARCHIVE_RULE: Final = "RFC 4211 section 6.4"


@dataclass(frozen=True)
class KeyArchive:
    """Takes private keys that are to be kept, and gives them back.

    :param profiles: those under which keys are kept, see :class:`cmpkit.parts.CertificateProfile`.
    :param opening_key: what requesters encrypt their keys to; ``None`` leaves it to those with a shared secret.
    :param signer: the key that signs what is handed over; ``None`` hands over nothing.
    :param certificates: DER, that of the signer first, then its chain.
    :param random: where content keys and salts come from.
    """

    profiles: Mapping[str, CertificateProfile] = field(default_factory=dict)
    opening_key: PrivateKey | None = None
    signer: PrivateKey | None = None
    certificates: Sequence[bytes] = ()
    random: RandomOctets = secrets.token_bytes

    def keeps(self, request: CertificateRequest) -> bool:
        """Whether the private key for a request is kept.

        :param request: as the policy allowed it.
        :raises CMPError: badRequest if the requester and the profile want different things.
        """
        profile: Any = self.profiles.get(request.profile or "")
        generated, asked = not request.public_key_info, request.archive
        if not asked:
            if profile is None or profile.archive != "always":
                return False
            if generated and asked is None:
                return True
            raise _unfit(
                f"the profile {request.profile} has every private key archived, and this one is not handed over",
                "hand it over: pkiArchiveOptions with encryptedPrivKey",
            )
        if profile is None:
            raise _unfit(
                f"the private key is to be archived, and the profile {request.profile} archives none",
                'leave pkiArchiveOptions out, or set archive = "requested" of the profile',
            )
        if generated is isinstance(asked, EnvelopedData):
            raise _unfit(
                "pkiArchiveOptions has a private key, and one is to be generated"
                if generated
                else "archiveRemGenPrivKey is for keys that are generated here",
                "hand over the key to certify by encryptedPrivKey, or say archiveRemGenPrivKey for one to generate",
            )
        return True

    async def take(self, request: CertificateRequest, auth: Authenticated, plugins: Plugins) -> bytes:
        """DER of PrivateKeyInfo that a requester hands over, to be kept; empty if none is, or it is generated here.

        :param request: as the policy allowed it.
        :raises CMPError: badRequest, badAlg, badDataFormat or badPOP if it cannot be had, or is another key.
        """
        if not self.keeps(request) or not isinstance(request.archive, EnvelopedData):
            return b""
        proving = request.proof is ProofMethod.ENCRYPTED_KEY
        key = await open_private_key(
            request.archive,
            self._opening_key(request.archive, auth),
            public_key_info=request.public_key_info,
            plugins=plugins,
            owners=(request.subject, auth.subject, auth.identity) if proving else (),
        )
        return key.to_pkcs8()

    def _opening_key(self, enveloped: EnvelopedData, auth: Authenticated) -> OpeningKey:
        by_password = any(recipient.tag == "pwri" for recipient in enveloped.recipient_infos.as_list())
        key = auth.credential.secret if by_password else self.opening_key
        if key is None:
            raise _unfit(
                "the private key to archive is encrypted for nobody here",
                "encrypt it under the shared secret, or to the certificate that caProtEncCert names",
            )
        return key

    async def recover(
        self,
        request: RecoveryRequest,
        sources: Mapping[str, x509.Name],
        store: Store,
        issuers: Mapping[str, Issuer],
        plugins: Plugins,
    ) -> Recovered:
        """Archived keys, encrypted for who asks for them.

        :param sources: the profiles, and of each the subject, whose keys the policy allows.
        :param issuers: who issued the certificates, by :attr:`cmpkit.parts.CertificateRecord.issuer_key`.
        :raises CMPError: badCertId if there are none, badAlg if nothing can be encrypted to the requester's key.
        """
        found = [
            key
            for profile, subject in sources.items()
            for key in await store.archived_keys(
                subject=format_name(subject), profile=profile, limit=MOST_RECOVERED + 1
            )
        ]
        if not found:
            raise CMPError(
                f"there are no archived keys of {' or '.join({format_name(name) for name in sources.values()})}",
                PKIFailureInfo.BAD_CERT_ID,
                rule="RFC 9810 section 5.3.8",
                hint="keys are archived from then on that archive of the profile says so",
            )
        found.sort(key=lambda key: key.certificate.not_before, reverse=True)
        chosen = found[:MOST_RECOVERED]
        recipient = KeyRecipient.of_key(request.encryption_key)
        keys = [await self._seal(key, recipient, plugins) for key in chosen]
        chain = await _chain(chosen, issuers)
        return Recovered(tuple(keys), chain, is_complete=len(chosen) == len(found))

    async def _seal(self, archived: ArchivedKey, recipient: KeyRecipient, plugins: Plugins) -> RecoveredKey:
        assert self.signer is not None
        key = private_key_from(archived.private_key, None, plugins.key_algorithm)
        package = await seal_key_package(
            key, recipient, signer=self.signer, certificates=self.certificates, plugins=plugins, random=self.random
        )
        return RecoveredKey(archived.certificate, package)


async def _chain(keys: Sequence[ArchivedKey], issuers: Mapping[str, Issuer]) -> tuple[bytes, ...]:
    """DER certificates of the CAs that issued these, without roots."""
    named = dict.fromkeys(key.certificate.issuer_key for key in keys)
    ders = [der for key in named if key in issuers for der in await issuers[key].ca_certificates()]
    return tuple(dict.fromkeys(der for der in ders if not is_self_issued(der)))


def _unfit(detail: str, hint: str) -> CMPError:
    return CMPError(detail, rule=_ARCHIVE_RULE, hint=hint)
