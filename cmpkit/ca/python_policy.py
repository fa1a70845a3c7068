"""The policy of kind ``python``: a function of the operator's own decides.

From code: ``PythonPolicy(DefaultPolicy(PolicySettings(), profiles), function)``.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import anyio.to_thread
from pydantic import StrictStr

from cmpkit.ca.cross_policy import read_cross_rules
from cmpkit.ca.deciding_policy import DecidingPolicy
from cmpkit.ca.extensions import read_alternative_names
from cmpkit.ca.functions import load_function
from cmpkit.ca.limits import refuse_request
from cmpkit.ca.policy import DefaultPolicy, PolicySettings, check_default_profile
from cmpkit.ca.settings import naming, read_settings
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import (
    Answered,
    Asked,
    Authenticated,
    CertificateRecord,
    CertificateRequest,
    Decider,
    OpenContext,
    RequestTemplate,
    RevocationRequest,
    Ruling,
)

__all__ = ["PythonPolicy", "PythonPolicySettings", "open_policy"]

_log = logging.getLogger("cmpkit.policy")
_FIXED: Final = ("body_type", "cert_req_id", "public_key_info", "old_certificate")
_CHANGEABLE: Final = ("subject", "extensions", "not_before", "not_after", "profile", "approval")


class PythonPolicySettings(PolicySettings):
    """The table ``[policy]`` of kind ``python``: that of kind ``default``, for what is left to it, and the function.

    :param function: ``module:name``; the module is a file beside the configuration file, or installed.
    :param paths: labels of addresses that the function goes by, and that name no profile.
    """

    function: StrictStr
    paths: tuple[StrictStr, ...] = ()


async def open_policy(table: Mapping[str, Any], context: OpenContext) -> PythonPolicy:
    """The policy of a table ``[policy]``.

    :raises ConfigurationError: naming every key that is wrong, or why the function cannot be had.
    """
    settings = read_settings(PythonPolicySettings, table, "policy")
    check_default_profile(settings, context.profiles)
    cross_rules = await read_cross_rules(settings.cross_certification, context)
    with naming("[policy] function"):
        function = await load_function(settings.function, context.directory)
    return PythonPolicy(DefaultPolicy(settings, context.profiles, cross_rules), function, paths=settings.paths)


class PythonPolicy(DecidingPolicy):
    """A :class:`~cmpkit.parts.Policy` by a function.

    :param default: decides where the function says so, and on what is not for it to say.
    :param function: is asked when a message comes, and again about each thing that it asks for. One that is not
        ``async`` runs in a thread of its own, and may block.
    :param paths: labels of addresses that the function goes by, and that name no profile.
    """

    name = "python"

    def __init__(self, default: DefaultPolicy, function: Decider, *, paths: tuple[str, ...] = ()) -> None:
        super().__init__(default)
        self._function = function
        kinds = (function, type(function).__call__)
        self._in_thread = not any(map(inspect.iscoroutinefunction, kinds))
        self.paths = frozenset(paths)

    async def _open(self, asked: Asked) -> None:
        if await self._ask(asked) is Ruling.DEFAULT:
            await self._default.authorize(asked.body_type, asked.auth, now=asked.now)
        else:
            await self._check_opening(asked)

    async def _decide(self, asked: Asked, request: CertificateRequest) -> CertificateRequest:
        answer = await self._ask(asked)
        if answer is Ruling.DEFAULT:
            return await self._default.authorize_request(request, asked.auth, now=asked.now)
        changed = answer if isinstance(answer, CertificateRequest) else request
        accepted = await self._accept(asked, request, own=False)
        self._check_changes(request, changed)
        made = {name: getattr(changed, name) for name in _changes(request, changed, _CHANGEABLE)}
        if answer is Ruling.HOLD:
            made["approval"] = True
        return replace(accepted, **made) if made else accepted

    def _check_changes(self, request: CertificateRequest, changed: CertificateRequest) -> None:
        """Whether a function has changed only what it may.

        :raises CMPError: systemFailure if not, badCertTemplate if there is no such profile.
        """
        if changed is request:
            return
        wrong = _changes(request, changed, _FIXED)
        if request.body_type is BodyType.KUR and (
            changed.subject != request.subject
            or read_alternative_names(changed.extensions) != read_alternative_names(request.extensions)
        ):
            wrong.append("the names of an update")
        if wrong:
            raise _fault(f"the function of the policy has changed {', '.join(wrong)}")
        if changed.profile is not None:
            self._limits.find_profile(changed.profile)

    async def _decide_revocation(self, asked: Asked, revocation: RevocationRequest, of: CertificateRecord) -> None:
        if await self._ask(asked) is Ruling.DEFAULT:
            await self._default.authorize_revocation(revocation, of, asked.auth, now=asked.now)
        else:
            await self._check_opening(asked)

    async def request_template(self, profile: str | None, auth: Authenticated, *, now: datetime) -> RequestTemplate:
        """What the profile says, for who may ask; see :meth:`cmpkit.parts.Policy.request_template`."""
        await self.authorize(BodyType.GENM, auth, now=now)
        return self._default.template_for(profile, auth)

    async def _ask(self, asked: Asked) -> Ruling | CertificateRequest:
        """What the function says.

        :raises CMPError: its refusal; systemFailure if it fails, or says what makes no sense.
        """
        answer = await self._call(asked)
        if isinstance(answer, CMPError):
            raise answer
        if answer is None:
            raise refuse_request(
                f"the function of the policy does not let {asked.auth.identity!r} have this {asked.body_type.wire_name}"
            )
        about_certificate = asked.request is not None
        if answer in (Ruling.ACCEPT, Ruling.DEFAULT) or (
            about_certificate and (answer is Ruling.HOLD or isinstance(answer, CertificateRequest))
        ):
            return answer
        raise _fault(f"the function of the policy says {answer!r} to this {asked.body_type.wire_name}")

    async def _call(self, asked: Asked) -> Answered:
        try:
            called: Any = anyio.to_thread.run_sync(self._function, asked) if self._in_thread else self._function(asked)
            answered: Answered = await called
            return answered
        except CMPError as error:
            return error
        except Exception as error:
            # It is somebody's own code, which may fail with anything: whoever asks is refused.
            _log.exception("the function of the policy failed")
            raise _fault(f"the function of the policy failed: {type(error).__name__}") from error


def _changes(request: CertificateRequest, changed: CertificateRequest, names: Sequence[str]) -> list[str]:
    return [name for name in names if getattr(changed, name) != getattr(request, name)]


def _fault(detail: str) -> CMPError:
    return CMPError(detail, PKIFailureInfo.SYSTEM_FAILURE, hint="see: cmpkit.parts.Decider")
