"""Changes of a configuration file that leave the rest of it, comments included, as its owner wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table, Whitespace

from cmpkit.errors import ConfigurationError

__all__ = ["edit_table"]


def edit_table(text: str, name: str, changes: Mapping[str, Any]) -> str:
    """The text of a configuration file with some keys of a table changed.

    :param text: the file.
    :param name: the table, which must be there: ``issuer``.
    :param changes: the keys with their values: text, or sequences of text or of mappings; ``None`` or an empty sequence
        removes the key.
    :raises ConfigurationError: if the table cannot be found or changed.
    """
    try:
        document = tomlkit.parse(text)
        table = document[name]
    except (TOMLKitError, KeyError) as error:
        raise ConfigurationError(f"the table [{name}] cannot be changed: {error}") from error
    if not isinstance(table, Table):
        raise ConfigurationError(
            f"[{name}] is not written as one table", hint=f"write it as [{name}], with its keys below"
        )
    _change(table, changes)
    return tomlkit.dumps(document)


def _change(table: Table, changes: Mapping[str, Any]) -> None:
    # What stands after the last empty line, comments mostly, introduces the next table and must stay at the end.
    body = table.value.body
    end = max((index for index, (key, _) in enumerate(body) if key is not None), default=-1) + 1
    blank = [index for index in range(end, len(body)) if isinstance(body[index][1], Whitespace)]
    tail = body[blank[-1] :] if blank else []
    for key, value in changes.items():
        if value is None or value == ():
            table.pop(key, None)
        else:
            table[key] = value if isinstance(value, str) else _array(value)
    # Only the text is wanted from here on: the order of the body is that of the text.
    body[:] = [*(item for item in body if not any(item is kept for kept in tail)), *tail]


def _array(values: Sequence[Any]) -> Any:
    """An array of texts in a line, or one of mappings with a line for each."""
    array = tomlkit.array()
    for value in values:
        if not isinstance(value, Mapping):
            array.append(value)
            continue
        row = tomlkit.inline_table()
        row.update({key: item for key, item in value.items() if item is not None and item != ()})
        array.append(row)
        array.multiline(True)
    return array
