"""The policy of kind ``rules``: the first rule of the configuration file that fits decides, and without one nothing is
allowed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from cmpkit.ca.cross_policy import read_cross_rules
from cmpkit.ca.deciding_policy import DecidingPolicy
from cmpkit.ca.extensions import read_alternative_names
from cmpkit.ca.limits import refuse_request
from cmpkit.ca.own_names import named_by_policy
from cmpkit.ca.policy import DefaultPolicy, check_default_profile
from cmpkit.ca.rule_settings import RuleSettings, RulesSettings
from cmpkit.ca.rules import Rule
from cmpkit.ca.settings import read_settings
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import (
    Asked,
    Authenticated,
    CertificateProfile,
    CertificateRecord,
    CertificateRequest,
    OpenContext,
    RequestTemplate,
    RevocationRequest,
    RuleFinding,
)

__all__ = ["RulesPolicy", "load_rules_policy", "open_policy"]

_log = logging.getLogger("cmpkit.policy")
_ENROLMENTS = (BodyType.IR, BodyType.CR, BodyType.P10CR, BodyType.KUR)


def load_rules_policy(table: Mapping[str, Any], profiles: Mapping[str, CertificateProfile]) -> RulesPolicy:
    """The policy of a table ``[policy]`` that names no files.

    :raises ConfigurationError: naming every key that is wrong.
    """
    settings = _read(table, profiles)
    if settings.cross_certification:
        raise ConfigurationError("[policy] cross_certification: names files, which only a server opens")
    return RulesPolicy(DefaultPolicy(settings, profiles), settings.rule)


async def open_policy(table: Mapping[str, Any], context: OpenContext) -> RulesPolicy:
    """The policy of a table ``[policy]``, with the certificates that it names.

    :raises ConfigurationError: naming every key that is wrong, or the file that cannot be used.
    """
    settings = _read(table, context.profiles)
    cross_rules = await read_cross_rules(settings.cross_certification, context)
    return RulesPolicy(DefaultPolicy(settings, context.profiles, cross_rules), settings.rule)


def _read(table: Mapping[str, Any], profiles: Mapping[str, CertificateProfile]) -> RulesSettings:
    settings = read_settings(RulesSettings, table, "policy")
    check_default_profile(settings, profiles)
    for number, rule in enumerate(settings.rule):
        for key, name in (
            ("profile", rule.profile),
            ("change.profile", rule.change.profile),
            ("fill.profile", rule.fill.profile),
        ):
            if name is not None and name not in profiles:
                raise ConfigurationError(
                    f"[policy] rule.{number}.{key}: there is no profile {name!r}; "
                    f"there are: {', '.join(sorted(profiles)) or 'none'}"
                )
    return settings


class RulesPolicy(DecidingPolicy):
    """A :class:`~cmpkit.parts.Policy` by rules.

    :param default: decides where a rule has the action ``default``, and on what is not for rules to say.
    :param rules: the first one that fits decides.
    :ivar paths: the labels of addresses that rules go by.
    """

    name = "rules"

    def __init__(self, default: DefaultPolicy, rules: Sequence[RuleSettings]) -> None:
        super().__init__(default)
        self._rules = tuple(Rule.of(settings, number) for number, settings in enumerate(rules, start=1))
        self.paths = frozenset(rule.path for rule in rules if rule.path is not None)

    def explain(self, asked: Asked) -> tuple[RuleFinding, ...]:
        """The rules that are looked at; see :meth:`cmpkit.parts.ExplainingPolicy.explain`."""
        found: list[RuleFinding] = []
        profile = self._profile_in_question(asked)
        for rule in self._rules:
            reason = rule.mismatch(asked, profile)
            if not reason and asked.is_opening and rule.looks_inside:
                reason = "it depends on what is asked for, and lets nothing in here"
            found.append(RuleFinding(rule.name, reason))
            if not reason:
                break
        return tuple(found)

    async def _open(self, asked: Asked) -> None:
        refusal: CMPError | None = None
        for rule in self._rules:
            if rule.sender_mismatch(asked.body_type, asked.auth):
                continue
            if not rule.looks_inside:
                return await self._open_by(rule, asked)
            # Whether it fits is only known once the request is read: until then, what it allows may be opened.
            if rule.settings.action != "refuse":
                try:
                    return await self._open_by(rule, asked)
                except CMPError as error:
                    refusal = refusal or error
        raise refusal or _no_rule(asked)

    async def _open_by(self, rule: Rule, asked: Asked) -> None:
        if rule.settings.action == "refuse":
            raise rule.refusal()
        if rule.settings.action == "default":
            await self._default.authorize(asked.body_type, asked.auth, now=asked.now)
        else:
            await self._check_opening(asked)

    async def _decide(self, asked: Asked, request: CertificateRequest) -> CertificateRequest:
        rule = self._find(asked)
        auth, now = asked.auth, asked.now
        if rule.settings.action == "refuse":
            raise rule.refusal()
        if rule.settings.action == "default":
            return await self._default.authorize_request(request, auth, now=now)
        if request.profile is None and rule.fill.profile is not None:
            request = request.under(rule.fill.profile)
        _check_names(rule, request, auth)
        # What is asked for in vain need not be one's own.
        own = rule.subjects is None and rule.change.subject is None
        decided = await self._accept(asked, request, own=own)
        if rule.settings.changes:
            identity = rule.identity_of(auth) or ""
            decided = rule.change.replaced(rule.fill.filled(decided, identity, now), identity, now)
        return replace(decided, approval=True) if rule.settings.action == "hold" else decided

    async def _decide_revocation(self, asked: Asked, revocation: RevocationRequest, of: CertificateRecord) -> None:
        rule = self._find(asked)
        if rule.settings.action == "refuse":
            raise rule.refusal()
        if rule.settings.action == "default":
            await self._default.authorize_revocation(revocation, of, asked.auth, now=asked.now)
            return
        await self._check_opening(asked)
        if rule.subjects is None:
            self._check_own(asked.auth, revocation, of)

    async def request_template(self, profile: str | None, auth: Authenticated, *, now: datetime) -> RequestTemplate:
        """What the first rule allows that its requests could meet; see :meth:`cmpkit.parts.Policy.request_template`."""
        await self.authorize(BodyType.GENM, auth, now=now)
        wanted = self._profile_of_sender(profile, auth)
        for rule in self._rules:
            if any(not rule.sender_mismatch(body_type, auth) for body_type in _ENROLMENTS) and (
                rule.settings.profile in (None, wanted)
            ):
                return await self._template_by(rule, profile, auth, now)
        raise _no_rule(Asked(BodyType.GENM, auth, now))

    async def _template_by(
        self, rule: Rule, profile: str | None, auth: Authenticated, now: datetime
    ) -> RequestTemplate:
        if rule.settings.action == "refuse":
            raise rule.refusal()
        if rule.settings.action == "default":
            return await self._default.request_template(profile, auth, now=now)
        if rule.change.profile is None and rule.subjects is None:
            template = self._default.template_for(profile or rule.fill.profile, auth)
        else:
            name = rule.change.profile or profile or rule.fill.profile or self._profile_of_sender(None, auth)
            template = self._limits.find_profile(name).template(auth)
        return rule.change.in_template(template, rule.identity_of(auth) or "")

    def _find(self, asked: Asked) -> Rule:
        """The first rule that fits.

        :raises CMPError: notAuthorized if there is none.
        """
        profile = self._profile_in_question(asked)
        for rule in self._rules:
            if not rule.mismatch(asked, profile):
                _log.debug("%s of %s: %s", asked.body_type.wire_name, asked.auth.identity, rule.name)
                return rule
        raise _no_rule(asked)

    def _profile_in_question(self, asked: Asked) -> str:
        if asked.certificate is not None:
            return asked.certificate.profile
        request = asked.request
        if request is not None and request.old_certificate is not None:
            return request.profile or request.old_certificate.profile
        return self._profile_of_sender(None if request is None else request.profile, asked.auth)

    def _profile_of_sender(self, asked: str | None, auth: Authenticated) -> str:
        """The profile that is asked for, or that stands for that."""
        if asked:
            return asked
        if auth.record is not None and "ra" not in auth.roles:
            return auth.record.profile
        granted = None if auth.grant is None else auth.grant.profile
        return granted or self._limits.default_profile


def _check_names(rule: Rule, request: CertificateRequest, auth: Authenticated) -> None:
    """Whether somebody whose names profiles leave to the policy asks for some that the rule does not look at."""
    own = rule.subjects is None and auth.record is not None
    looked_at = own or rule.names is not None or rule.change.names is not None
    if looked_at or request.body_type is BodyType.KUR or not named_by_policy(auth):
        return
    if read_alternative_names(request.extensions):
        raise refuse_request(
            f"{auth.identity!r} asks for subjectAltNames, and {rule.name} says nothing of them",
            "RFC 9483 section 5.3.1",
            "add names to the rule",
        )


def _no_rule(asked: Asked) -> CMPError:
    return refuse_request(
        f"no rule of [policy] lets {asked.auth.identity!r} have this {asked.body_type.wire_name}",
        "[[policy.rule]]",
        "see why: cmpkit serve --explain MESSAGE",
    )
