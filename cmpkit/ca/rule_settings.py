"""The tables ``[[policy.rule]]``: who may ask for what, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StrictStr, model_validator

from cmpkit.asn1 import KEY_USAGES
from cmpkit.ca.approval import REJECTIONS
from cmpkit.ca.extensions import key_usage_extension
from cmpkit.ca.patterns import AlternativeNamePattern, SubjectPattern
from cmpkit.ca.policy import PolicySettings
from cmpkit.ca.purposes import read_purpose
from cmpkit.ca.settings import Duration, Settings
from cmpkit.ca.templates import AlternativeNameTemplate, SubjectTemplate
from cmpkit.crypto.names import attribute_type

__all__ = ["FAILURES", "ChangeSettings", "RuleSettings", "RulesSettings"]

FAILURES: Final = {name: failure for failure in REJECTIONS for name in failure.wire_names}
"""What a rule may refuse with, by the names of RFC 9810 section 5.2.3."""

_FAILURE: Final = "notAuthorized"
_CHANGEABLE: Final = frozenset({"ir", "cr", "p10cr", "kur"})


def _each(read: Callable[[str], Any]) -> AfterValidator:
    """Each text of a list must be one that ``read`` can read."""

    def check(texts: Iterable[str] | None) -> Iterable[str] | None:
        for text in texts or ():
            read(text)
        return texts

    return AfterValidator(check)


def _one(read: Callable[[str], Any]) -> AfterValidator:
    return AfterValidator(lambda text: text if text is None else (read(text), text)[1])


def _read_failure(name: str) -> None:
    if name not in FAILURES:
        raise ValueError(f"{name!r} is none of {', '.join(FAILURES)}")


class ChangeSettings(Settings):
    """What a rule makes of a request: the keys ``change`` and ``fill`` of ``[[policy.rule]]``.

    ``{identity}`` stands for the requester. What the profile does not allow is refused in the end.

    :param profile: the profile that it gets.
    :param subject: the subject.
    :param subject_alt_names: the subjectAltNames, in place of all others.
    :param key_usage: keyUsage.
    :param extended_key_usage: extKeyUsage.
    :param validity: how long the certificate is to be valid from now on.
    """

    profile: StrictStr | None = None
    subject: Annotated[StrictStr | None, _one(SubjectTemplate.parse)] = None
    subject_alt_names: Annotated[tuple[StrictStr, ...] | None, _each(AlternativeNameTemplate.parse)] = None
    key_usage: Annotated[tuple[StrictStr, ...] | None, Field(min_length=1)] = None
    extended_key_usage: Annotated[tuple[StrictStr, ...] | None, Field(min_length=1), _each(read_purpose)] = None
    validity: Duration | None = None

    @model_validator(mode="after")
    def _check_key_usage(self) -> ChangeSettings:
        if self.key_usage is not None:
            unknown = [name for name in self.key_usage if name not in KEY_USAGES]
            if unknown:
                raise ValueError(f"key_usage: {', '.join(unknown)}: is none of {', '.join(KEY_USAGES)}")
            key_usage_extension(self.key_usage)
        return self

    @property
    def names_somebody(self) -> bool:
        """Whether it says what the certificate is for."""
        return self.subject is not None or self.subject_alt_names is not None


class RuleSettings(Settings):
    """A table ``[[policy.rule]]``. What is left out fits everything; the first rule that fits all of it decides.

    :param name: for logs and ``cmpkit serve --explain``; absent, its number.
    :param path: the label of the address, the NAME of ``/p/NAME``.
    :param profile: the profile that is asked for, or that a certificate to be revoked has. A request that names none
        asks for that of its certificate, of its secret, or ``default_profile``.
    :param body: the types of body.
    :param who: by what kind of credential: a shared ``secret``, a ``certificate`` of this CA, one of another PKI that
        ``trusted`` of ``[server]`` leads to, an ``ra``, or ``anyone`` of them.
    :param references: patterns of the references of shared secrets.
    :param senders: patterns of the subjects of the certificates that sign.
    :param issuers: patterns of the names of the CAs that issued these.
    :param identity: the type of attribute, of the sender's subject, that ``{identity}`` stands for in this rule;
        absent, the reference of the shared secret, or the commonName.
    :param subjects: patterns of the subjects that are asked for, or that a certificate to be revoked has; absent, only
        what is the sender's own.
    :param names: patterns that every subjectAltName fits; absent, those that the profile allows, and for the holder of
        a certificate of this CA those that it has.
    :param action: ``accept``; ``hold``, until a person agrees; ``refuse``; or ``default``, as the default policy says.
    :param change: what is put in place of what is asked for.
    :param fill: what is put where nothing is asked for.
    :param fail_info: why it is refused, for the requester.
    :param text: the same in words (statusString); absent, the usual ones.
    """

    name: StrictStr = ""
    path: StrictStr | None = None
    profile: StrictStr | None = None
    body: tuple[Literal["ir", "cr", "p10cr", "kur", "krr", "rr", "ccr", "genm"], ...] = ()
    who: tuple[Literal["secret", "certificate", "trusted", "ra", "anyone"], ...] = ()
    references: tuple[StrictStr, ...] = ()
    senders: Annotated[tuple[StrictStr, ...], _each(SubjectPattern.parse)] = ()
    issuers: Annotated[tuple[StrictStr, ...], _each(SubjectPattern.parse)] = ()
    identity: Annotated[StrictStr | None, _one(attribute_type)] = None
    subjects: Annotated[tuple[StrictStr, ...] | None, _each(SubjectPattern.parse)] = None
    names: Annotated[tuple[StrictStr, ...] | None, _each(AlternativeNamePattern.parse)] = None
    action: Literal["accept", "hold", "refuse", "default"]
    change: ChangeSettings = ChangeSettings()
    fill: ChangeSettings = ChangeSettings()
    fail_info: Annotated[StrictStr, _one(_read_failure)] = _FAILURE
    text: StrictStr = ""

    @property
    def changes(self) -> bool:
        """Whether it makes something else of requests."""
        return bool(self.change.model_fields_set or self.fill.model_fields_set)

    @property
    def for_certificates(self) -> bool:
        """Whether only requests for certificates that others than CAs have can meet it."""
        return self.action == "hold" or self.changes

    @model_validator(mode="after")
    def _check_action(self) -> RuleSettings:
        allows = self.action in ("accept", "hold")
        if allows and not (self.who or self.references or self.senders or self.issuers):
            raise ValueError('who: is missing; if anybody may, say: who = ["anyone"]')
        if self.changes and not allows:
            raise ValueError(f"change, fill: mean nothing with {self.action}")
        if (self.fail_info != _FAILURE or self.text) and self.action != "refuse":
            raise ValueError(f"fail_info, text: mean nothing with {self.action}")
        if self.for_certificates and not _CHANGEABLE.issuperset(self.body):
            raise ValueError(f"body: hold, change and fill are for {', '.join(sorted(_CHANGEABLE))} only")
        if self.change.names_somebody and (not self.body or "kur" in self.body):
            raise ValueError("body: an update keeps its names (RFC 9483 section 4.1.3), so name body, without kur")
        return self

    @model_validator(mode="after")
    def _check_who(self) -> RuleSettings:
        signers, secrets = bool(self.senders or self.issuers), bool(self.references)
        if signers and secrets:
            raise ValueError("references: shared secrets have them, senders and issuers are of certificates")
        if self.who and "anyone" not in self.who:
            if signers and set(self.who) == {"secret"}:
                raise ValueError("senders, issuers: are of certificates, and only secrets are meant")
            if secrets and "secret" not in self.who:
                raise ValueError("references: shared secrets have them, and none is meant")
        return self


class RulesSettings(PolicySettings):
    """The table ``[policy]`` of kind ``rules``: that of kind ``default``, for what rules leave to it, and the rules.

    :param rule: the tables ``[[policy.rule]]``.
    """

    rule: Annotated[tuple[RuleSettings, ...], Field(min_length=1)]
