"""Options that several client commands share, in groups; the names are those of ``openssl cmp`` where it has them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar

import typer

__all__ = [
    "CertificateOptions",
    "CredentialOptions",
    "InfoOptions",
    "IssuanceOptions",
    "KeepingOptions",
    "OutputOptions",
    "RequestOptions",
    "RoadOptions",
    "ServerURL",
    "ShowingOptions",
    "StatusOptions",
    "TransferOptions",
    "TrustOptions",
    "UpdateOptions",
]

_SOURCE = "file:PATH|env:NAME|fd:N"

ServerURL = Annotated[str, typer.Argument(metavar="URL", help="Where the server is; the scheme chooses the road.")]


def _option(name: str, text: str, panel: str, metavar: str | None = None) -> typer.models.OptionInfo:
    found: typer.models.OptionInfo = typer.Option(name, help=text, metavar=metavar, rich_help_panel=panel)
    return found


_WHO = "Who asks"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialOptions:
    """What requests are protected with."""

    ref: Annotated[str | None, _option("--ref", "Reference of the shared secret.", _WHO, "REF")] = None
    secret: Annotated[str | None, _option("--secret", "Where the shared secret is.", _WHO, _SOURCE)] = None
    mac: Annotated[
        str | None,
        _option(
            "--mac",
            "MAC under the shared secret: hmac-sha512, aes256-gmac, kmac256, pbmac1-hmac-sha256 ...; "
            "default: hmac-sha256.",
            _WHO,
            "NAME",
        ),
    ] = None
    cert: Annotated[
        Path | None,
        _option("--cert", "Certificate that protects requests, then those above it (PEM or DER).", _WHO, "FILE"),
    ] = None
    key: Annotated[str | None, _option("--key", "Its private key: a file, or a URI like file:PATH.", _WHO, "KEY")] = (
        None
    )
    keypass: Annotated[str | None, _option("--keypass", "Where the password of the key is.", _WHO, _SOURCE)] = None
    extracerts: Annotated[list[Path] | None, _option("--extracerts", "Certificates to send along.", _WHO, "FILE")] = (
        None
    )


_STATUS = "Who says what is revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusOptions:
    """How to know whether certificates are revoked."""

    crl: Annotated[list[str] | None, _option("--crl", "A CRL or delta CRL; may be repeated.", _STATUS, "FILE|URL")] = (
        None
    )
    ocsp: Annotated[str | None, _option("--ocsp", "An OCSP responder.", _STATUS, "URL")] = None
    crl_download: Annotated[
        bool,
        _option("--crl-download", "Fetch CRLs from where the certificates say that they are.", _STATUS),
    ] = False


_WHOM = "Whom to believe"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustOptions(StatusOptions):
    """Which answers and certificates are believed."""

    trusted: Annotated[
        list[Path] | None, _option("--trusted", "Trust anchors (PEM or DER); may be repeated.", _WHOM, "FILE")
    ] = None
    untrusted: Annotated[
        list[Path] | None,
        _option("--untrusted", "Intermediate CA certificates that paths may go through.", _WHOM, "FILE"),
    ] = None
    srvcert: Annotated[
        Path | None, _option("--srvcert", "The one certificate that signs the server's answers.", _WHOM, "FILE")
    ] = None
    expect_sender: Annotated[
        str | None, _option("--expect-sender", "The name that signs the server's answers.", _WHOM, "DN")
    ] = None
    unprotected_errors: Annotated[
        bool,
        _option("--unprotected-errors", "Take refusals without good protection as they are; may be forged.", _WHOM),
    ] = False
    tolerate: Annotated[
        list[str] | None,
        _option("--tolerate", "What to accept although a rule forbids it, such as hmac-sha1.", _WHOM, "NAME"),
    ] = None
    peer: Annotated[
        str | None, _option("--peer", "Accept what this kind of server needs, such as openssl-3.0.", _WHOM, "NAME")
    ] = None


_WHAT = "The certificate"

_NewKeyPass = Annotated[str | None, _option("--newkeypass", "Where the password of the new key is.", _WHAT, _SOURCE)]
_Popo = Annotated[
    int | None,
    typer.Option(
        "--popo",
        help="Proof of possession: 0 raVerified, 1 signature, 2 encrypted certificate, 3 challenge, 4 agreeMAC, "
        "5 DHBasedMac; absent: as the key can.",
        min=0,
        max=5,
        rich_help_panel=_WHAT,
    ),
]
_AgreeWith = Annotated[
    Path | None,
    _option("--agree-with", "The server's certificate (caProtEncCert) that --popo 4 and 5 need.", _WHAT, "FILE"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """What a request for a certificate says besides subject and key."""

    profile: Annotated[
        str | None, _option("--profile", "Certificate profile to ask for (certProfile).", _WHAT, "NAME")
    ] = None
    implicit_confirm: Annotated[bool, _option("--implicit-confirm", "Ask that certConf be dispensed with.", _WHAT)] = (
        False
    )
    adopt_ca_pubs: Annotated[
        bool,
        _option(
            "--adopt-ca-pubs",
            "Trust the CA certificates that the server offers under the shared secret; shows their fingerprints.",
            _WHAT,
        ),
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateOptions:
    """The certificate that is asked for."""

    newkey: Annotated[
        Path | None, _option("--newkey", "Private key to certify; it is made if the file is absent.", _WHAT, "FILE")
    ] = None
    newkey_type: Annotated[
        str | None, _option("--newkey-type", "Type of a key that is made: p256, rsa3072, mldsa65 ...", _WHAT, "TYPE")
    ] = None
    centralkeygen: Annotated[
        bool, _option("--centralkeygen", "Have the server generate the key, in place of --newkey.", _WHAT)
    ] = False
    newkeyout: Annotated[
        Path | None, _option("--newkeyout", "Where to write the key that the server generates.", _WHAT, "FILE")
    ] = None
    newkeypass: _NewKeyPass = None
    archive: Annotated[
        bool, _option("--archive", "Have the server keep the private key, encrypted, for cmpkit recover.", _WHAT)
    ] = False
    popo: _Popo = None
    agree_with: _AgreeWith = None
    subject: Annotated[
        str | None,
        _option("--subject", "Its subject, as CN=y,O=x or /O=x/CN=y; absent: up to the server.", _WHAT, "DN"),
    ] = None
    sans: Annotated[
        str | None,
        _option("--sans", "Its alternative names by comma: DNS, IP address, URI, mail address.", _WHAT, "NAMES"),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateOptions:
    """The certificate that takes the place of the one that protects the request."""

    newkey: Annotated[
        Path | None,
        _option("--newkey", "Its private key, made if the file is absent; without it the key stays.", _WHAT, "FILE"),
    ] = None
    subject: Annotated[str | None, _option("--subject", "Its subject, if it is not to stay as it is.", _WHAT, "DN")] = (
        None
    )
    sans: Annotated[
        str | None,
        _option("--sans", "Its alternative names by comma, in place of those of the old one.", _WHAT, "NAMES"),
    ] = None
    san_nodefault: Annotated[
        bool, _option("--san-nodefault", "Do not ask for the alternative names of the old one.", _WHAT)
    ] = False
    newkey_type: Annotated[
        str | None, _option("--newkey-type", "Type of a key that is made; default: as the old one.", _WHAT, "TYPE")
    ] = None
    newkeypass: _NewKeyPass = None
    popo: _Popo = None
    agree_with: _AgreeWith = None


_FILES = "Files to write"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Where certificates go."""

    certout: Annotated[Path, _option("--certout", "The new certificate (PEM).", _FILES, "FILE")]
    chainout: Annotated[
        Path | None, _option("--chainout", "The certificates above it, as far as they are known.", _FILES, "FILE")
    ] = None
    cacertsout: Annotated[
        Path | None, _option("--cacertsout", "The CA certificates that the server offers (caPubs).", _FILES, "FILE")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowingOptions:
    """What is shown of the operation."""

    reqout: Annotated[
        list[str] | None,
        _option("--reqout", "Save the messages that are sent: a file for each, by comma or repeated.", _FILES, "FILE"),
    ] = None
    rspout: Annotated[
        list[str] | None,
        _option("--rspout", "Save the messages that are received, likewise.", _FILES, "FILE"),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingOptions(ShowingOptions):
    """What is kept and shown of the operation."""

    state: Annotated[
        Path | None,
        _option(
            "--state",
            "Folder of unfinished transactions (default: $XDG_STATE_HOME/cmpkit or ~/.local/state/cmpkit).",
            _FILES,
            "DIR",
        ),
    ] = None


_ABOUT = "What is asked about"


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoOptions:
    """What questions are about, and where the answers go."""

    INPUTS: ClassVar[tuple[str, ...]] = ("oldwithold", "crlcert", "oldcrl", "passphrase", "passref")

    oldwithold: Annotated[
        Path | None,
        _option("--oldwithold", "The root CA certificate that is trusted so far (rootCaCert).", _ABOUT, "FILE"),
    ] = None
    crlcert: Annotated[
        Path | None, _option("--crlcert", "The certificate whose CRL is wanted (crlStatusList).", _ABOUT, "FILE")
    ] = None
    oldcrl: Annotated[
        Path | None, _option("--oldcrl", "The CRL that is there already (crlStatusList).", _ABOUT, "FILE")
    ] = None
    passphrase: Annotated[
        str | None,
        _option(
            "--passphrase",
            "The passphrase that is to revoke your certificates (revPassphrase): file:PATH, env:NAME or fd:N.",
            _ABOUT,
            "SOURCE",
        ),
    ] = None
    passref: Annotated[
        str | None,
        _option("--passref", "The reference under which it is to be used (revPassphrase).", _ABOUT, "NAME"),
    ] = None
    cacertsout: Annotated[
        Path | None, _option("--cacertsout", "The CA certificates (caCerts), as PEM.", _FILES, "FILE")
    ] = None
    crlout: Annotated[
        Path | None, _option("--crlout", "The CRL (currentCRL, crlStatusList), as PEM.", _FILES, "FILE")
    ] = None
    newwithnew: Annotated[
        Path | None, _option("--newwithnew", "The new root CA certificate (rootCaCert), as PEM.", _FILES, "FILE")
    ] = None
    newwithold: Annotated[
        Path | None, _option("--newwithold", "The new key signed by the old one (rootCaCert), as PEM.", _FILES, "FILE")
    ] = None
    oldwithnew: Annotated[
        Path | None, _option("--oldwithnew", "The old key signed by the new one (rootCaCert), as PEM.", _FILES, "FILE")
    ] = None
    adopt: Annotated[
        Path | None,
        _option(
            "--adopt",
            "Trust the new root, too: add it to this file of trust anchors, and show the fingerprints (rootCaCert).",
            _FILES,
            "FILE",
        ),
    ] = None
    template: Annotated[
        Path | None, _option("--template", "The CertTemplate (certReqTemplate), as DER.", _FILES, "FILE")
    ] = None
    keyspec: Annotated[
        Path | None, _option("--keyspec", "The controls about keys (certReqTemplate), as DER.", _FILES, "FILE")
    ] = None

    @property
    def outputs(self) -> dict[str, Path]:
        """The files to write, by the names of their options."""
        names = (member.name for member in fields(self) if member.name not in self.INPUTS)
        named = ((name, getattr(self, name)) for name in names)
        return {name: path for name, path in named if path is not None}


_ROAD = "The road"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoadOptions:
    """How messages get to the server, and how long that may take."""

    total_timeout: Annotated[
        float,
        typer.Option("--total-timeout", help="Seconds for it all; 0 waits for ever.", min=0, rich_help_panel=_ROAD),
    ] = 120.0
    msg_timeout: Annotated[
        float, typer.Option("--msg-timeout", help="Seconds for one exchange.", min=0.001, rich_help_panel=_ROAD)
    ] = 60.0
    proxy: Annotated[str | None, _option("--proxy", "URL of a proxy.", _ROAD, "URL")] = None
    no_proxy: Annotated[
        str | None, _option("--no-proxy", "Hosts that are reached without a proxy, by comma.", _ROAD, "HOSTS")
    ] = None
    tls_trusted: Annotated[
        Path | None, _option("--tls-trusted", "Trust anchors for TLS; default: the system's.", _ROAD, "FILE")
    ] = None
    tls_cert: Annotated[
        Path | None, _option("--tls-cert", "The client's TLS certificate and chain.", _ROAD, "FILE")
    ] = None
    tls_key: Annotated[Path | None, _option("--tls-key", "Its private key.", _ROAD, "FILE")] = None
    tls_keypass: Annotated[
        str | None, _option("--tls-keypass", "Where the password of that key is.", _ROAD, "file:PATH|env:NAME")
    ] = None
    tls_host: Annotated[
        str | None, _option("--tls-host", "Name in the server's TLS certificate, if not that of the URL.", _ROAD)
    ] = None
    road_option: Annotated[
        list[str] | None,
        _option("--road-option", "An option that only this road knows; may be repeated.", _ROAD, "NAME=VALUE"),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOptions(RoadOptions):
    """How messages get to the server, and whose name they bear."""

    recipient: Annotated[str | None, _option("--recipient", "Name of the server.", _ROAD, "DN")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuanceOptions:
    """What the commands that get a certificate share, but for who asks and for what."""

    request: RequestOptions
    trust: TrustOptions
    outputs: OutputOptions
    keeping: KeepingOptions
    transfer: TransferOptions
