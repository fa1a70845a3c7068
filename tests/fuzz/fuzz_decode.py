"""Any octets are a message or a CMPError: atheris looks for octets that are neither.

    python tests/fuzz/fuzz_decode.py [FOLDER OF INPUTS…] [-max_total_time=SECONDS] [other options of libFuzzer]

The messages of tests/asn1 are its first inputs. What it finds is written as ``crash-…`` into the current folder.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

HERE = Path(__file__).resolve().parent
SEEDS = HERE.parent / "asn1" / "messages"
sys.path.insert(0, str(HERE.parent / "asn1"))

with atheris.instrument_imports(include=["cmpkit"]):
    from rebuilding import rebuild

    from cmpkit.asn1 import PKIMessage, decode_message, members_of
    from cmpkit.asn1.ber import decode_ber_message
    from cmpkit.asn1.codec import der_wrap
    from cmpkit.errors import CMPError

MOST_DEPTH = 40
CONSTRUCTED = 0x20
LONG_FORM = 0x80


def check(octets: bytes) -> None:
    """Read octets as DER and as BER, and look at everything in what is read.

    :raises AssertionError: if what was read is not what came, or changes when it is written again.
    """
    for read, keeps in ((decode_message, True), (decode_ber_message, False)):
        try:
            message = read(octets)
        except CMPError:
            continue
        assert not keeps or message.raw == octets
        assert rebuild(message).raw == message.raw
        assert repr(message)
        assert hash(message) == hash(message.raw)
        _walk(message, MOST_DEPTH)
        _nested(message)


def _walk(value: Any, depth: int) -> None:
    for member in members_of(value):
        assert member.name
        if depth:
            _walk(member.value, depth - 1)


def _nested(message: PKIMessage) -> None:
    try:
        inner = message.nested
    except CMPError:
        return
    for one in inner:
        assert decode_message(one.raw) == one


def mutate(octets: bytes, max_size: int, seed: int) -> bytes:
    """Change one element somewhere and mend the lengths around it; now and then change octets without regard to them.

    The decoder is strict and not instrumented: blind changes would hardly ever come past its first check.
    """
    chance = random.Random(seed)
    changed = None if chance.random() < 0.2 else _change(octets, chance)
    return atheris.Mutate(octets, max_size) if changed is None else changed[:max_size]


def _change(octets: bytes, chance: random.Random) -> bytes | None:
    elements = _split(octets)
    if not elements:
        return None
    chosen = chance.randrange(len(elements))
    tag, content = elements[chosen]
    inner = _change(content, chance) if tag & CONSTRUCTED and chance.random() < 0.85 else None
    if inner is not None:
        elements[chosen] = tag, inner
    else:
        match chance.randrange(6):
            case 0:
                del elements[chosen]
            case 1:
                elements.insert(chosen, elements[chance.randrange(len(elements))])
            case 2:
                elements[chosen] = chance.randrange(256), content
            case 3:
                chance.shuffle(elements)
            case _:
                elements[chosen] = tag, atheris.Mutate(content, len(content) + 16)
    return b"".join(der_wrap(*element) for element in elements)


def _split(octets: bytes) -> list[tuple[int, bytes]]:
    """Tags and contents of elements with definite lengths; none if the octets are something else."""
    elements, position = [], 0
    while position + 2 <= len(octets):
        start, length = position + 2, octets[position + 1]
        if length >= LONG_FORM:
            start += length - LONG_FORM
            length = int.from_bytes(octets[position + 2 : start], "big")
        elements.append((octets[position], octets[start : start + length]))
        position = start + length
    return elements if position == len(octets) else []


def main() -> None:
    """Fuzz until libFuzzer is told to stop."""
    folders = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    options = [argument for argument in sys.argv[1:] if argument.startswith("-")]
    with tempfile.TemporaryDirectory() as found:
        # libFuzzer writes the inputs that it invents into the first folder.
        atheris.Setup([sys.argv[0], *options, found, str(SEEDS), *folders], check, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
