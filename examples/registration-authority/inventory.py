"""A policy for a registration authority: devices are looked up in a CSV file (serial, owner), and named by it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from cmpkit.crypto.names import common_name, parse_name
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import Answered, Asked, Ruling

INVENTORY = Path(__file__).with_name("inventory.csv")


def decide(asked: Asked) -> Answered:
    """What may come of a request: only first certificates are asked for here."""
    if asked.body_type is not BodyType.IR:
        return None
    if asked.request is None:
        return Ruling.ACCEPT
    serial = common_name(asked.request.subject) if asked.request.subject else None
    with INVENTORY.open(newline="") as file:
        owners = {row["serial"]: row["owner"] for row in csv.DictReader(file)}
    if serial not in owners:
        raise CMPError(f"{serial} is not in the inventory", PKIFailureInfo.NOT_AUTHORIZED, status_text="unknown device")
    return replace(asked.request, subject=parse_name(f"CN={serial},OU={owners[serial]}"))
