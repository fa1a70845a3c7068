"""Tables that name an address to which messages are sent."""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict, StrictStr

from cmpkit.ca.settings import Settings
from cmpkit.parts import TransportOptions

__all__ = ["RoadTable"]


class RoadTable(Settings):
    """A table that names an address to which messages are sent. Keys that are not here belong to its road.

    :param url: the address.
    :param tls_trusted: file with trust anchors for TLS; absent, those of the system.
    :param tls_cert: file with the TLS certificate to show, and its chain.
    :param tls_key: file with its key, if it is not in the same file.
    :param tls_keypass: where the password of the key is: ``file:PATH`` or ``env:NAME``.
    :param tls_host: the name that the TLS certificate of the address must have, if not its host.
    :param proxy: URL of a proxy; absent, that of the environment.
    :param no_proxy: hosts that are reached without a proxy.
    """

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    url: StrictStr
    tls_trusted: StrictStr | None = None
    tls_cert: StrictStr | None = None
    tls_key: StrictStr | None = None
    tls_keypass: StrictStr | None = None
    tls_host: StrictStr | None = None
    proxy: StrictStr | None = None
    no_proxy: StrictStr | None = None

    def options(self, directory: Path) -> TransportOptions:
        """What the road is told.

        :param directory: where relative paths start.
        """
        common = {name: getattr(self, name) for name in RoadTable.model_fields if name != "url"}
        return TransportOptions(**common, own=self.model_extra or {}, directory=directory)
