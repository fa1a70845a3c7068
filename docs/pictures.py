"""Draws the pictures of explanation/cmp-in-pictures.md: ``python docs/pictures.py`` writes them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from drawing import Box, Gap, Message, Note, Panel, Step, draw_boxes, draw_sequence, draw_tree

__all__ = ["FOLDER", "PICTURES"]

FOLDER = Path(__file__).parent / "explanation" / "pictures"
_ENDS = ("Device (end entity)", "CA with CMP server")


def _to(label: str, detail: str = "") -> Message:
    return Message(0, 1, label, detail)


def _back(label: str, detail: str = "") -> Message:
    return Message(1, 0, label, detail)


_CONFIRMED = (
    Note(0, ["has it my key, my subject, a path to my root?"]),
    _to("certConf", "hash of the certificate"),
    Note(1, ["is it the hash of what was issued?"]),
    _back("pkiconf", "done"),
)


def _enrolment() -> str:
    steps: list[Step] = [
        Note(0, ["makes a key pair"]),
        _to("ir", "subject, public key, proof of possession; protected by the shared secret"),
        Note(1, ["whose MAC is it? may it have this?", "issues, and stores it before it answers"]),
        _back("ip", "the certificate, protected by the shared secret"),
        *_CONFIRMED,
    ]
    return draw_sequence("Enrolment: ir, ip, certConf, pkiconf", _ENDS, steps)


def _implicit_confirm() -> str:
    steps: list[Step] = [
        _to("ir", "generalInfo: implicitConfirm"),
        Note(1, ["issues; needs no certConf"]),
        _back("ip", "the certificate; generalInfo: implicitConfirm"),
        Note(0, ["checks it as ever; if it is wrong: rr"]),
    ]
    return draw_sequence("Implicit confirmation: ir, ip", _ENDS, steps)


def _update() -> str:
    steps: list[Step] = [
        Note(0, ["makes a new key pair"]),
        _to("kur", "new public key and its proof; signed by the old key, old certificate sent along"),
        Note(1, ["one of mine, not revoked, not expired?", "the same subject?"]),
        _back("kup", "the new certificate, signed by the server"),
        *_CONFIRMED,
    ]
    return draw_sequence("Update: kur, kup, certConf, pkiconf", _ENDS, steps)


def _revocation() -> str:
    steps: list[Step] = [
        _to("rr", "issuer, serial number, reason; signed by the certificate itself"),
        Note(1, ["may this signer revoke that certificate?", "stores it"]),
        _back("rp", "accepted"),
        Gap("from now on the certificate is in each CRL, and a message that it protects is refused"),
    ]
    return draw_sequence("Revocation: rr, rp", _ENDS, steps)


def _polling() -> str:
    steps: list[Step] = [
        _to("ir"),
        Note(1, ["needs a person, or another CA"]),
        _back("ip", "status waiting, no certificate"),
        _to("pollReq", "certReqId 0"),
        _back("pollRep", "certReqId 0, checkAfter 60 s"),
        Gap("60 s later; the client may have been restarted, the server too"),
        _to("pollReq", "certReqId 0"),
        _back("ip", "status accepted, the certificate"),
        _to("certConf"),
        _back("pkiconf"),
    ]
    return draw_sequence("Polling for a certificate: ir, ip, pollReq, pollRep, certConf, pkiconf", _ENDS, steps)


def _polling_errors() -> str:
    steps: list[Step] = [
        _to("rr", "or genm, certConf: an answer that has no place to say waiting"),
        _back("error", "status waiting"),
        _to("pollReq", "certReqId -1"),
        _back("pollRep", "certReqId -1, checkAfter 60 s"),
        Gap("60 s later"),
        _to("pollReq", "certReqId -1"),
        _back("rp", "the answer that was due in the first place"),
    ]
    return draw_sequence("Polling for another answer: rr, error, pollReq, pollRep, rp", _ENDS, steps)


def _anatomy() -> str:
    header = Box(
        "header",
        "who, to whom, which transaction, protected how",
        [
            Box("pvno", "version of CMP: 2, or 3"),
            Box("sender, recipient", "names; the sender is that of the certificate that signs"),
            Box("messageTime", "when it was made"),
            Box("protectionAlg", "how protection was made"),
            Box("senderKID", "which secret (its reference), or which key"),
            Box("transactionID", "16 octets, the same in each message of one operation"),
            Box("senderNonce", "16 octets, new in each message"),
            Box("recipNonce", "senderNonce of the message that is answered"),
            Box("generalInfo", "implicitConfirm, confirmWaitTime, certProfile …"),
        ],
    )
    body = Box(
        "body",
        "one of 27 kinds; for an ir:",
        [
            Box(
                "CertReqMsg",
                "",
                [
                    Box("certReq", "certReqId and certTemplate: subject, publicKey, extensions"),
                    Box("popo", "proof of possession: certReq signed by the new key"),
                ],
            )
        ],
    )
    parts = [header, body, Box("protection", "MAC or signature over header and body"), _extra_certs()]
    return draw_boxes("What is in a PKIMessage", Box("PKIMessage", "", parts))


def _extra_certs() -> Box:
    return Box("extraCerts", "the certificate that signs first, then those above it; not protected")


def _protection() -> str:
    by_secret = [
        ["shared secret", "known to both sides"],
        ["key derivation", "salt, iterations:", "in protectionAlg"],
        ["MAC", "over DER of", "header and body"],
        ["protection", "the receiver makes", "it too, compares"],
    ]
    by_key = [
        ["private key", "only the sender has it"],
        ["signature", "over DER of", "header and body"],
        ["protection", "the receiver verifies", "by the certificate"],
        ["is it allowed?", "path to an anchor,", "and authority"],
    ]
    panels = [Panel("By a MAC", by_secret), Panel("By a signature", by_key)]
    return draw_tree("Protection of a message", panels)


def _trust() -> str:
    panels = [
        Panel(
            "A certificate for a device: the client wants its path to end in a root of its own",
            [["root", "trust.pem, its key", "is locked away"], ["issuing CA", "issuing.pem"], ["device", "dev-42.pem"]],
        ),
        Panel(
            "An answer that is signed: a path is not enough, the signer must be authorised",
            [
                ["root", "trust.pem"],
                ["issuing CA", "may sign itself"],
                ["CMP server", "signer.pem", "usage: cmcCA"],
                ["answer", "is believed"],
            ],
        ),
        Panel(
            "A certificate of the same CA without that usage: its answer is not believed",
            [["root", "trust.pem"], ["issuing CA", ""], ["another device", "dev-43.pem"], ["answer", "exit status 5"]],
        ),
    ]
    return draw_tree("Whom a client believes", panels)


def _server() -> str:
    panels = [
        Panel(
            "In",
            [
                ["server transport", "size limit"],
                ["decoding", "strict DER"],
                ["protection", "secret source,", "key algorithm"],
                ["policy", "may it?"],
            ],
        ),
        Panel(
            "Out",
            [
                ["profile", "what it gets"],
                ["issuer", "signs"],
                ["protection", "of the answer"],
                ["store", "all or nothing"],
                ["transport", "answer leaves"],
            ],
        ),
    ]
    return draw_tree("A request on its way through the parts of a server", panels)


PICTURES: dict[str, Callable[[], str]] = {
    "message": _anatomy,
    "enrolment": _enrolment,
    "implicit-confirm": _implicit_confirm,
    "update": _update,
    "revocation": _revocation,
    "polling": _polling,
    "polling-errors": _polling_errors,
    "protection": _protection,
    "trust": _trust,
    "server": _server,
}
"""How each picture is drawn, by the name of its file."""


if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(draw())
