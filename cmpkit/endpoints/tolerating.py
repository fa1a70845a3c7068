"""What an operator lets pass, by name and by the name of a peer."""

from __future__ import annotations

from collections.abc import Sequence

from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.judging import Judgement
from cmpkit.engine.states import ClientState
from cmpkit.errors import CMPError, ConfigurationError, TransportError
from cmpkit.plugins import Plugins
from cmpkit.tolerances import TOLERANCES, Leniency, Side, peers, tolerances_for

__all__ = ["counts_as_confirmed", "leaves_unconfirmed", "wanted_tolerances"]


def wanted_tolerances(
    side: Side,
    plugins: Plugins,
    *,
    names: Sequence[str] = (),
    peer: str | None = None,
    keys: tuple[str, str] = ("tolerances", "peer"),
) -> frozenset[str]:
    """The tolerances of an endpoint.

    :param names: those that are named one by one, protections of plugins may bring some.
    :param peer: a known peer, for all that it needs.
    :param keys: what the two are called where the operator writes them.
    :raises ConfigurationError: naming what is not known, and what is.
    """
    known = tolerances_for(side, (name for part in plugins.all("protection") for name in part.tolerances))
    unknown = sorted(set(names) - known)
    if unknown:
        elsewhere = [name for name in unknown if name in TOLERANCES]
        why = f"; {', '.join(elsewhere)} is not for a {side.value}" if elsewhere else ""
        raise ConfigurationError(
            f"{keys[0]}: there is no {', '.join(unknown)}{why}", hint=f"there are: {', '.join(sorted(known))}"
        )
    presets = peers(side)
    if peer is not None and peer not in presets:
        raise ConfigurationError(f"{keys[1]}: there is no {peer}", hint=f"there are: {', '.join(presets)}")
    return frozenset(names) | presets.get(peer or "", frozenset())


def leaves_unconfirmed(
    tolerances: frozenset[str], transaction: ClientTransaction, judgements: Sequence[Judgement]
) -> bool:
    """Whether a client sends no certConf for certificates that are all good.

    :param transaction: whose certificates are open. One that came encrypted has its proof of possession in certConf.
    """
    needed = any(one.encrypted for one in transaction.open_certificates)
    return "no-confirmation" in tolerances and not needed and not any(one.fault for one in judgements)


def counts_as_confirmed(error: CMPError, transaction: ClientTransaction, leniency: Leniency) -> bool:
    """Whether certificates are used although nothing that can be believed answered their certConf.

    :param error: why; where a tolerance would let it pass, it says so from now on.
    """
    rejecting = any(one.rejection for one in transaction.sought)
    if transaction.state is not ClientState.CONF_SENT or rejecting:
        return False
    if leniency.allows("missing-pkiconf"):
        return True
    # A network that is down is no broken server.
    if not error.tolerance and not (isinstance(error, TransportError) and error.retryable):
        error.tolerance = "missing-pkiconf"
    return False
