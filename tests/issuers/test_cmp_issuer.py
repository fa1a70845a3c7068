"""Another CMP server as issuer, on behalf of those who ask here."""

from __future__ import annotations

from cmpkit.testing import check_issuer

from .conftest import DEVICE, Landscape


async def test_it_keeps_the_contract_of_issuers(landscape: Landscape) -> None:
    await check_issuer(
        landscape.cmp_issuer(),
        landscape.request,
        DEVICE,
        plugins=landscape.plugins,
        commit=landscape.store.commit,
        clock=landscape.clock,
        wait=landscape.sleep,
    )
