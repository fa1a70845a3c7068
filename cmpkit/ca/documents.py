"""What ``cmpkit init`` writes for people to read: the configuration file, and a note beside the root key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

__all__ = ["DEFAULT_LISTEN", "configuration_text", "root_note", "tls_keys"]

DEFAULT_LISTEN = "http://127.0.0.1:8829/.well-known/cmp"

_CONFIGURATION = """\
# The configuration of a cmpkit server. Relative paths start in the directory of this file.
# A key that does not exist is an error, which names it. Start the server with: cmpkit serve --config FILE

[store]
url = "sqlite:///cmpkit.db"
# Shared secrets are encrypted in the store with this key. Keep a copy, apart from the backups of the store.
sealing_key_file = "keys/store.key"

[issuer]
kind = "local"
# The certificate of the CA, then those above it.
certificate = "issuing.pem"
key = "file:keys/issuing.key.pem"
# key_password = "file:PATH"           # or "env:NAME", if the key is encrypted
crl_validity = "7d"
# Where clients find the status of certificates and the CA: goes into every certificate. The server publishes at the
# paths of these addresses, see [publication].
# crl_urls = ["http://pki.example/crl/ca.crl"]
# delta_crl_validity = "1d"            # makes delta CRLs; from thisUpdate to nextUpdate
# delta_crl_urls = ["http://pki.example/crl/ca-delta.crl"]
# ocsp_urls = ["http://pki.example/ocsp"]
# ca_issuers_urls = ["http://pki.example/ca/ca.cer"]
# The new key of the root CA, once it was replaced: tells those who trust the old one.
# new_with_new = "new-with-new.pem"
# new_with_old = "new-with-old.pem"
# old_with_new = "old-with-new.pem"
# earlier_root_updates = [{{new_with_new = "new-2.pem", new_with_old = "new-2-with-old.pem"}}]
# Certificates that other CAs gave its key: see cmpkit ca cross-certify, which writes them.
# cross_certificates = ["cross/partner.pem"]
# Keys that it issued with before: see cmpkit ca rollover, which writes them.
# former = [{{certificate = "old-issuing.pem", key = "file:keys/old-issuing.key.pem"}}]

# Signs the answers to requests that are not protected by a shared secret.
[signer]
certificate = "signer.pem"
key = "file:keys/signer.key.pem"
# key_password = "file:PATH"
# former = [{{certificate = "old-signer.pem", key = "file:keys/old-signer.key.pem"}}]

# What signs OCSP responses. Without this table there is no OCSP responder.
[ocsp]
certificate = "ocsp.pem"
key = "file:keys/ocsp.key.pem"
# key_password = "file:PATH"           # or "env:NAME", if the key is encrypted
# validity = "1h"                      # from thisUpdate to nextUpdate; as long, an answer is given from memory
# signer_validity = "90d"              # the server renews its certificate by itself
# never_issued = "unknown"             # or "revoked", or "good": what is said of serial numbers that do not exist
# nonces = true                        # whether the nonce of a request is in the answer
# max_certificates = 16                # how many a request may be about

# What is published beside CMP: the CRL, the certificate of the CA, OCSP. Without this table nothing is.
[publication]
{crl_files}             # more CRLs, each under /crl/

{listen}
[server]
# tolerances = ["hmac-sha1"]           # what is accepted although a rule forbids it; openssl cmp needs this one
# peer = "openssl-3.0"                 # all that this kind of client needs
# trusted = ["other-root.pem"]         # more trust anchors; what their people may do is for the policy to say
# intermediates = ["other-ca.pem"]     # certificates that lead to them, if requests leave them out
# registration_authorities = ["ra.pem"] # of other CAs: they may forward messages and vouch for requesters
ca_pubs = ["trust.pem"]                # handed over with a first certificate, to whoever has a shared secret
implicit_confirm = true                # dispense with certConf for those who ask
confirm_wait_time = "15m"              # how long a certificate may wait for its confirmation
# unconfirmed = "revoke"               # what happens to one that was not confirmed by then; or "keep"
# max_requests = 1                     # how many certificates one message may ask for, or ask to revoke
# pending_time = "30d"                 # a request that takes time is given up so long after it was last polled for
# check_after = "60s"                  # how soon whoever waits for a person may ask again
# max_message_size = 1048576           # octets
# max_nested = 1000                    # how many messages a registration authority may put into one
# max_nesting = 4                      # how many such messages may be inside one another
# message_time_window = "300s"         # how far the clock of a client may be off; "off" does not look
# answer_retention = "7d"              # how long an answer is kept for the same request
# same_road = false                    # whether a transaction must go on over the road on which it began
# max_open = 100000                    # how many transactions may be open at once
# max_open_per_peer = 1000             # how many of them may be of one requester
# housekeeping_interval = "60s"

# Who may do what. The default: a shared secret enrols what it was made for (see: cmpkit secret add); a certificate of
# this CA may be updated and revoked with its own key, and get others of the same name; nobody else may do anything.
[policy]
kind = "default"
default_profile = "device"             # of requests that name none
allow_key_reuse = true                 # whether an update may keep its key
# revocation_by_secret = false         # whether a shared secret may revoke what was enrolled with it
# revocation_by_passphrase = false     # whether requesters may choose passphrases that revoke their certificates
# Which other CAs may have a cross certificate, under a profile of the kind "cross-certificate".
# cross_certification = [{{authority = "partner.pem", profile = "partner"}}]

# Where shared secrets are looked up.
[[secrets]]
kind = "store"

# What certificates get. {{identity}} is the reference of the shared secret, or the commonName of the certificate.
# A profile is asked for by its name: /p/NAME in the address, or certProfile in the request.
[profiles.device]
# key_types = ["p256", "rsa3072"]      # absent: every key type that is strong enough
# subject = "CN={{identity}}, O=Example" # absent: the one asked for, as far as the policy allows it
# subject_alt_names = ["dns:{{identity}}.devices.example"]
# allow_requested_names = false        # whether others may be asked for
key_usage = ["digitalSignature"]
extended_key_usage = ["clientAuth"]
validity = "365d"
approval = "none"                      # or "manual": a person has to agree, see: cmpkit request
# proofs = ["signature"]               # or "encrCert", "challengeResp", "agreeMAC", "DHBasedMac"
# publish = false                      # whether repositories are told of its certificates, see [[announce]]
# key_generation = "central"           # keys are generated here for those who ask; absent: by requesters alone
# archive = "never"                    # or "requested", "always": private keys are kept, encrypted
# recovery = []                        # who may have them back: "certificate", "secret", "ra"
# special = false                      # whether it may have cmcCA, cmcRA and the like: authority over others
"""

_LISTENING = """\
# serves = ["cmp", "publication"]       # what is served at this address; absent: all that it can
# message_time_window = "30d"          # at this address; absent: as below, or what suits mail and directories
# confirm_wait_time = "30d"            # likewise
# check_after = "1h"                   # how soon at best whoever has to wait may ask again
"""

_TLS = """\
# The TLS certificate of the server: this CA issues it, and renews it.
{keys}
# tls_client = "required"              # or "optional": whether clients need one, too, from these:
# tls_trusted = "trust.pem"
"""
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with

_TLS_PROFILE = """
[profiles.tls-server]
key_usage = ["digitalSignature"]
extended_key_usage = ["serverAuth"]
allow_requested_names = true
validity = "90d"
approval = "manual"                    # of requests; the server itself needs none
"""

_ROOT_NOTE = """\
This directory holds the root of the CA: whoever has it can make certificates that everybody trusts.

  root.pem          its certificate (the same as trust.pem)
  root.key.pem      its private key, encrypted (PKCS#8)
  root.passphrase   what decrypts the key

The server never needs them. Carry the key and the passphrase away, to two places that are safe and are not the same,
and delete this directory. You will need both to make a new issuing CA before the present one ends.
"""


def configuration_text(listen: Sequence[str], *, crl_files: Sequence[str] = ()) -> str:
    """The configuration file of a new server.

    :param listen: the URLs to listen on; none means :data:`DEFAULT_LISTEN`.
    :param crl_files: CRLs to publish beside that of the CA.
    """
    # A JSON string is a TOML basic string.
    tables = (
        f"[[listen]]\nurl = {json.dumps(url, ensure_ascii=False)}\n{_tls(url, listen)}{_LISTENING}"
        for url in listen or (DEFAULT_LISTEN,)
    )
    published = f"crl_files = {json.dumps(list(crl_files))}" if crl_files else '# crl_files = ["root.crl"]'
    text = _CONFIGURATION.format(listen="\n".join(tables), crl_files=published)
    return f"{text}{_TLS_PROFILE}" if any(tls_keys(url, listen) for url in listen) else text


def tls_keys(url: str, listen: Sequence[str]) -> dict[str, str | list[str]]:
    """The keys about TLS of an address; there are none if it has no TLS.

    :param listen: all addresses: they have one certificate.
    """
    secured = [parts for parts in map(urlsplit, listen) if parts.scheme in ("https", "tcps")]
    if urlsplit(url) not in secured:
        return {}
    names = dict.fromkeys(parts.hostname or "" for parts in secured if parts.hostname not in _ANY_ADDRESS)
    return {
        "tls_profile": "tls-server",
        "tls_names": list(names),
        "tls_cert": "tls.pem",
        "tls_key": "keys/tls.key.pem",
    }


def _tls(url: str, listen: Sequence[str]) -> str:
    keys = tls_keys(url, listen).items()
    lines = (f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in keys)
    return _TLS.format(keys="\n".join(lines)) if keys else ""


def root_note() -> str:
    """What to do with the root key."""
    return _ROOT_NOTE
