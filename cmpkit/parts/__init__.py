"""The contract of every kind of part, and the values that pass between parts and the core.

A part is any object with the attributes and methods of its Protocol here; nothing is inherited. Plugins register parts
under an id (:mod:`cmpkit.hookspecs`), objects decide. Everything that may take time or live elsewhere is ``async``.
Every value is immutable. Times are aware datetimes in UTC; durations are seconds; sizes are octets.
"""

from cmpkit.parts.approval import Decision, Held, HeldRequest, HeldState
from cmpkit.parts.examining import Check, Examination, Layer, RoadExaminer, Verdict
from cmpkit.parts.identity import (
    Authenticated,
    CertificateRecord,
    CertificateState,
    Credential,
    Grant,
    SecretRecord,
    SecretSource,
)
from cmpkit.parts.info import (
    Event,
    InfoContext,
    InfoType,
    Observer,
)
from cmpkit.parts.issuing import (
    CertificateChange,
    CertificateProfile,
    CertificateRequest,
    Issued,
    Issuer,
    Pending,
    Policy,
    Rejected,
    RequestTemplate,
    RevocationRequest,
    Revoked,
    RootKeyUpdate,
)
from cmpkit.parts.keys import (
    KeyAlgorithm,
    KeyProvider,
    NeedsExchange,
    PrivateKey,
    Protection,
    ProtectionKind,
    RandomOctets,
    SecretProtection,
    SharedSecret,
)
from cmpkit.parts.opening import (
    IssuerFactory,
    OpenContext,
    PolicyFactory,
    SecretSourceFactory,
)
from cmpkit.parts.revocation import IssuedCRL, Revocation
from cmpkit.parts.store import (
    AuditEntry,
    Intent,
    Store,
    StoredAnswer,
    StoreFactory,
    Transaction,
    TransactionState,
    UnitOfWork,
)
from cmpkit.parts.transform import Transform
from cmpkit.parts.transports import (
    Answer,
    ClientTransport,
    ClientTransportFactory,
    Disposition,
    Handler,
    Peer,
    ServerTransport,
    TransportOptions,
)

__all__ = [
    "Answer",
    "AuditEntry",
    "Authenticated",
    "CertificateChange",
    "CertificateProfile",
    "CertificateRecord",
    "CertificateRequest",
    "CertificateState",
    "Check",
    "ClientTransport",
    "ClientTransportFactory",
    "Credential",
    "Decision",
    "Disposition",
    "Event",
    "Examination",
    "Grant",
    "Handler",
    "Held",
    "HeldRequest",
    "HeldState",
    "InfoContext",
    "InfoType",
    "Intent",
    "Issued",
    "IssuedCRL",
    "Issuer",
    "IssuerFactory",
    "KeyAlgorithm",
    "KeyProvider",
    "Layer",
    "NeedsExchange",
    "Observer",
    "OpenContext",
    "Peer",
    "Pending",
    "Policy",
    "PolicyFactory",
    "PrivateKey",
    "Protection",
    "ProtectionKind",
    "RandomOctets",
    "Rejected",
    "RequestTemplate",
    "Revocation",
    "RevocationRequest",
    "Revoked",
    "RoadExaminer",
    "RootKeyUpdate",
    "SecretProtection",
    "SecretRecord",
    "SecretSource",
    "SecretSourceFactory",
    "ServerTransport",
    "SharedSecret",
    "Store",
    "StoreFactory",
    "StoredAnswer",
    "Transaction",
    "TransactionState",
    "Transform",
    "TransportOptions",
    "UnitOfWork",
    "Verdict",
]
