"""What all commands share: options by group, errors as exit statuses, the plugins of the context."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from cmpkit.cli.exits import Interrupted, UnfinishedError, report
from cmpkit.errors import CMPError

if TYPE_CHECKING:
    from cmpkit.plugins import Plugins

__all__ = ["Command", "CommandGroup", "plugins_of", "with_option_groups"]


class Command(TyperCommand):
    """A command whose errors end it with the status that they have, printed as text or, with ``--json``, as JSON."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        return _ended_with_a_status(ctx, super().invoke)


class CommandGroup(TyperGroup):
    """A command that has others below it, and errors as :class:`Command`."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, or the one below it that was named."""
        return _ended_with_a_status(ctx, super().invoke)


def _ended_with_a_status(ctx: Any, invoke: Callable[[Any], Any]) -> Any:
    as_json = bool(ctx.params.get("json"))
    try:
        return invoke(ctx)
    except UnfinishedError as unfinished:
        raise typer.Exit(report(unfinished.error, as_json=as_json, saved=unfinished.saved)) from unfinished
    except CMPError as error:
        raise typer.Exit(report(error, as_json=as_json)) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(report(Interrupted(), as_json=as_json)) from error


def plugins_of(ctx: typer.Context) -> Plugins:
    """The plugins that the command line was started with, else those that are installed."""
    from cmpkit.plugins import load_plugins

    return ctx.obj if ctx.obj is not None else load_plugins()


def with_option_groups(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let each field of a parameter that is a dataclass be an option of its own; typer knows no groups of options.

    A group may hold groups.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in groups:
            parameters += _options(groups[name])
        else:
            parameters.append(parameter.replace(annotation=hints[name]))
    parameters.sort(key=lambda parameter: parameter.kind is inspect.Parameter.KEYWORD_ONLY)

    @functools.wraps(function)
    def expanded(**given: Any) -> Any:
        for name, group in groups.items():
            given[name] = _take(group, given)
        return function(**given)

    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return expanded


def _options(group: Any) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for member in fields(group):
        hint = hints[member.name]
        if is_dataclass(hint):
            yield from _options(hint)
        else:
            yield _parameter(member, hint)


def _take(group: Any, given: dict[str, Any]) -> Any:
    """The group, with the options that are its own taken out of ``given``."""
    hints = get_type_hints(group)
    names = [member.name for member in fields(group)]
    return group(
        **{name: _take(hints[name], given) if is_dataclass(hints[name]) else given.pop(name) for name in names}
    )


def _parameter(member: Field[Any], hint: Any) -> inspect.Parameter:
    default = inspect.Parameter.empty if member.default is MISSING else member.default
    return inspect.Parameter(member.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
