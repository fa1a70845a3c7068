"""From the ``[issuer]`` table of kind ``command`` to the issuer."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StrictStr, field_validator

from cmpkit.ca.addresses import check_urls
from cmpkit.ca.settings import Duration, Settings, read_settings
from cmpkit.errors import ConfigurationError
from cmpkit.issuers.authority import Authority
from cmpkit.issuers.cmp_opening import open_authority
from cmpkit.issuers.command import CommandIssuer
from cmpkit.issuers.program import Programs
from cmpkit.issuers.task import PLACEHOLDERS, check_arguments
from cmpkit.parts import OpenContext

__all__ = ["CommandIssuerSettings", "open_command_issuer"]

_Arguments = Annotated[tuple[StrictStr, ...], Field(min_length=1)]


class CommandIssuerSettings(Settings):
    """The table ``[issuer]`` of kind ``command``: programs issue. Each is given as a list, the program first.

    :param authority: file with the certificate of the CA, then those above it.
    :param issue: what makes a certificate of a request.
    :param issue_p10: what makes one of a PKCS#10 request; absent, ``issue`` does.
    :param confirm: what is told whether the requester accepts a certificate; absent, what is rejected is revoked.
    :param revoke: what revokes; absent, nothing can be revoked.
    :param crl: what gives the CRL.
    :param crl_file: where the CRL is, if no program gives it.
    :param crl_urls: where the CRL can be fetched.
    :param environment: names of the variables that programs get besides ``PATH``, ``LANG``, ``LC_ALL`` and ``TZ``.
    :param timeout: how long a program may take; then it is ended, and asked again when the requester asks again.
    :param check_after: how soon a requester may ask again, if a program does not say.
    :param late: what happens to a certificate that comes when its requester is gone: ``revoke`` or ``keep``.
    """

    authority: StrictStr
    issue: _Arguments | None = None
    issue_p10: _Arguments | None = None
    confirm: _Arguments | None = None
    revoke: _Arguments | None = None
    crl: _Arguments | None = None
    crl_file: StrictStr | None = None
    crl_urls: tuple[StrictStr, ...] = ()
    environment: tuple[StrictStr, ...] = ()
    timeout: Duration = timedelta(seconds=30)
    check_after: Duration = timedelta(seconds=10)
    late: Literal["revoke", "keep"] = "revoke"

    @field_validator("crl_urls")
    @classmethod
    def _check_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return check_urls(urls, "http", "https", "ldap")


async def open_command_issuer(table: Mapping[str, Any], context: OpenContext) -> CommandIssuer:
    """The issuer; no program is run yet.

    :raises ConfigurationError: naming the key that is wrong, or the file.
    """
    settings = read_settings(CommandIssuerSettings, table, "issuer")
    commands = {name: arguments for name in PLACEHOLDERS if (arguments := getattr(settings, name)) is not None}
    if not {"issue", "issue_p10"} & set(commands):
        raise ConfigurationError("[issuer] issue: is missing, as is issue_p10")
    for name, arguments in commands.items():
        check_arguments(name, arguments)
        if shutil.which(Path(context.directory, arguments[0]) if "/" in arguments[0] else arguments[0]) is None:
            raise ConfigurationError(f"[issuer] {name}: there is no program {arguments[0]}")
    programs = Programs(
        {name: _placed(arguments, context.directory) for name, arguments in commands.items()},
        context.directory,
        settings.environment,
        settings.timeout,
        round(settings.check_after.total_seconds()),
    )
    return CommandIssuer(
        Authority(
            await open_authority(settings.authority, context.directory),
            context.store,
            context.plugins,
            context.profiles,
        ),
        programs,
        late=settings.late,
        crl_file=None if settings.crl_file is None else Path(context.directory, settings.crl_file),
        crl_urls=settings.crl_urls,
    )


def _placed(arguments: tuple[str, ...], directory: Path) -> tuple[str, ...]:
    """The command with the path of its program, which may start in the folder of the configuration file."""
    program = arguments[0]
    return (str(Path(directory, program).absolute()) if "/" in program else program, *arguments[1:])
