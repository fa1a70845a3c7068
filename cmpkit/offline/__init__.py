"""The air gap: CMP messages of many devices in one file that somebody carries, to a CA and back.

:mod:`~cmpkit.offline.road` is the road of a device, ``offline:``, on which messages wait in their saved transactions.
:mod:`~cmpkit.offline.packing` writes what waits into a bundle, :mod:`~cmpkit.offline.submitting` has bundles answered,
and :mod:`~cmpkit.offline.overview` tells what is where. Who carries bundles needs no keys. Each module is imported by
its own name.
"""

__all__: list[str] = []
