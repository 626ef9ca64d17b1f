"""How a function becomes a command of `hf-bones`: options from dataclasses, the spellings that are taken, and the look of `--help`.

Typer parses. Added to it: a parameter whose type is a dataclass is an option for each of its fields; underscores in option names;
`--flag true`; several words after an option; and help in sections that cuts no name. Without rich, whose import takes longer than all else.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from hf_bones.cli.errors import plain_errors
from hf_bones.cli.output import printing
from hf_bones.cli.preflight import check_places
from hf_bones.record import stating_command

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 120}
OTHER_NAMES = {"--output": "--out", "--output-dir": "--out", "--find-copies": "--find-near-duplicates"}
METAVARS = {
    "<str>": "TEXT", "<list[str]>": "TEXT", "<path>": "PATH", "<list[Path]>": "PATH", "<int>": "N", "<int range>": "N", "<float>": "NUMBER",
    "<float range>": "NUMBER", "<directory>": "PATH", "<float,float,float>": "NUMBER NUMBER NUMBER",
}  # fmt: skip
SEVERAL = "…"  # ends the metavar of an option that takes several words
_WHOLE = 1000  # characters: a first sentence is never cut
_TRUTH = {"true": True, "false": False}


class Command(TyperCommand):
    """A command that takes the spellings of `spelled` and shows its options in sections, which are made when it is asked for."""

    def get_params(self, ctx: Any) -> Any:
        if build := getattr(self.callback, "build", None):
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command()(build())
            made = typer.main.get_command(alone)
            self.params, self.callback = made.params, made.callback
        params: Any = super().get_params(ctx)
        for param in params:
            if param.metavar is None:
                param.metavar = param.name.upper() if param.param_type_name == "argument" else METAVARS.get(param.display_type(ctx))
        return params

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spelled(args, self.get_params(ctx)))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_sections(formatter, self.help_rows(ctx))

    def help_rows(self, ctx: Any) -> list[tuple[str, tuple[str, str]]]:
        """The section of each argument and option with its spelling and its help."""
        rows = [(_title(param), param.get_help_record(ctx)) for param in self.get_params(ctx)]
        return [(title, (row[0].split(" <")[0], row[1])) for title, row in rows if row is not None]

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        arguments = [param for param in self.get_params(ctx) if param.param_type_name == "argument"]
        named = [(param.metavar + ("..." if param.nargs != 1 else ""), param.required) for param in arguments]
        return [self.options_metavar or "", *(name if required else f"[{name}]" for name, required in named)]


class Group(TyperGroup):
    """A group that shows its commands in sections."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, command) for name in self.list_commands(ctx) if (command := self.get_command(ctx, name)) and not command.hidden]
        rows = [(getattr(command, "rich_help_panel", None) or "Commands", name, command) for name, command in commands]
        _write_sections(formatter, [(panel, (name, command.get_short_help_str(_WHOLE))) for panel, name, command in rows])


class Root(Group):
    """`hf-bones` itself: knows the words that were typed, and ends with a line and a code where a command cannot do its work."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **settings: Any) -> Any:
        words = sys.argv[1:] if args is None else list(args)
        with stating_command(words):
            return super().main(words, *rest, **settings)

    def invoke(self, ctx: Any) -> Any:
        with plain_errors(lambda: ctx.invoked_subcommand):
            return super().invoke(ctx)


def command(
    app: typer.Typer,
    function: Callable[..., None],
    *,
    panel: str | None = None,
    without: Iterable[str] = (),
    earlier_name: str | None = None,
) -> None:
    """Adds `function` to `app` under its own name, or under an `earlier_name` that no help shows. Its parameters are Typer's; one whose
    type is a dataclass stands for the fields of it that have a line of help, and one of type `RecipeKeys` for the keys of a recipe,
    `without` some of them. Options are made when the command is asked for: `hf-bones --help` needs none of them."""

    def unread() -> None: ...

    unread.__name__, unread.__doc__ = function.__name__, function.__doc__
    unread.build = functools.partial(_spread, function, frozenset(without))  # type: ignore[attr-defined]
    app.command(earlier_name, cls=Command, rich_help_panel=panel, hidden=earlier_name is not None)(unread)


class RecipeKeys(dict[str, Any]):
    """The keys of a recipe that were given on the command line with their values, and under `recipe` its name or file."""


def _spread(function: Callable[..., None], without: frozenset[str]) -> Callable[..., None]:
    """`function` with an option for each field of its dataclasses, and --json and --quiet."""
    signature = inspect.signature(function, eval_str=True)
    parameters: list[inspect.Parameter] = []
    made: dict[str, tuple[Any, list[inspect.Parameter]]] = {}
    taken = {*signature.parameters, *without}
    for parameter in signature.parameters.values():
        kind = parameter.annotation
        if kind is RecipeKeys:
            made[parameter.name] = kind, recipe_options(taken)
        elif dataclasses.is_dataclass(kind):
            made[parameter.name] = kind, options_of(kind)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        parameters += made[parameter.name][1]

    @functools.wraps(function)
    def call(as_json: bool, quiet: bool, **given: Any) -> None:
        with printing(as_json, quiet):
            for name, (kind, own) in made.items():
                values = {each.name: given.pop(each.name) for each in own}
                given[name] = _keys(values) if kind is RecipeKeys else _filled(kind, values)
            check_places(given)
            function(**given)

    call.__signature__ = signature.replace(parameters=[*parameters, *_ALWAYS])  # type: ignore[attr-defined]
    return call


def options_of(kind: Any) -> list[inspect.Parameter]:
    """An option for each field of a dataclass that has a line of help."""
    hints = typing.get_type_hints(kind)
    found = []
    for key in dataclasses.fields(kind):
        if help := key.metadata.get("help"):
            names = _names(key.metadata.get("name") or key.name, hints[key.name])
            info = typer.Option(*names, help=help, metavar=key.metadata.get("metavar"), min=key.metadata.get("least"))
            found.append(_parameter(key.name, _as_list(hints[key.name]), info, key.default))
    return found


def recipe_options(taken: Iterable[str] = ()) -> list[inspect.Parameter]:
    """`--recipe` and an option for each key of a recipe but those `taken`. None stands for what was not given: the recipe decides."""
    from hf_bones.config.fields import plain_type
    from hf_bones.config.recipe import STAGES, recipe_names

    found = []
    if "recipe" not in taken:
        help = f"A shipped recipe ({', '.join(recipe_names())}) or a YAML file."
        info = typer.Option("--recipe", metavar="NAME|FILE", help=help, autocompletion=recipe_names)
        found.append(_parameter("recipe", str | None, info, None))
    for stage, kind in STAGES.items():
        hints = typing.get_type_hints(kind)
        for key in dataclasses.fields(kind):
            if key.name in taken:
                continue
            hint, choices = plain_type(hints[key.name])[0], [str(one) for one in key.metadata.get("choices") or ()]
            help = key.metadata["help"] + (f" Range: {key.metadata['within']}." if key.metadata.get("within") else "")
            if key.default not in (dataclasses.MISSING, None, ""):
                help += f"  [default: {str(key.default).lower() if hint is bool else key.default}]"
            info = typer.Option(
                *_names(key.name, hint),
                help=help,
                metavar=f"WORD{SEVERAL}" if typing.get_origin(hint) is list else "|".join(choices) or None,
                autocompletion=_always(choices) if choices else None,
                rich_help_panel=f"{stage.capitalize()} (recipe)",
            )
            found.append(_parameter(key.name, hint | None, info, None))
    return found


def _always(choices: list[str]) -> Callable[[], list[str]]:
    """A completion that offers the same words each time; Typer reads the parameters of a function."""
    return lambda: choices


def _parameter(name: str, annotation: Any, info: Any, default: Any) -> inspect.Parameter:
    default = inspect.Parameter.empty if default is dataclasses.MISSING else list(default) if isinstance(default, tuple) else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, info])


def _names(key: str, hint: Any) -> list[str]:
    name = OTHER_NAMES.get(f"--{key.replace('_', '-')}", f"--{key.replace('_', '-')}")
    return [f"{name}/--no-{name[2:]}" if hint is bool else name]


def _as_list(hint: Any) -> Any:
    """A tuple of any length as the list that Typer makes of an option which may be repeated."""
    is_open = typing.get_origin(hint) is tuple and typing.get_args(hint)[-1] is Ellipsis
    return list[typing.get_args(hint)[0]] if is_open else hint  # type: ignore[misc]


def _filled(kind: Any, values: dict[str, Any]) -> Any:
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _keys(values: dict[str, Any]) -> RecipeKeys:
    """A list given bare came as one empty word (`spelled`)."""
    given = {name: value for name, value in values.items() if value is not None}
    return RecipeKeys({name: [word for word in value if word] if isinstance(value, list) else value for name, value in given.items()})


def spelled(words: Sequence[str], params: Sequence[Any]) -> list[str]:
    """Words of a command line as Typer wants them: `--a_b` is `--a-b`, earlier names are today's (`OTHER_NAMES`), `--flag false` is
    `--no-flag`, `--list a b` is `--list a --list b` (bare: one empty word), `--numbers 1 2` and `--numbers 1,2` likewise."""
    options = {name: param for param in params for name in (*param.opts, *param.secondary_opts) if name.startswith("-")}
    found: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*found, word, *rest]
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            name = name.replace("_", "-")
            name = name if name in options else OTHER_NAMES.get(name, name)
        param = options.get(name)
        if param is None:
            found.append(name + equals + value if word.startswith("--") else word)
        elif param.is_flag:
            said = _TRUTH.get((value if equals else rest[0] if rest else "").lower())
            if said is None or name not in param.opts or not param.secondary_opts:
                found.append(name + equals + value)
                continue
            found.append(name if said else param.secondary_opts[0])
            if not equals:
                rest.pop(0)
        elif (param.metavar or "").endswith(SEVERAL):
            numbers = param.metavar.startswith("N")
            several = [value] if equals else []
            while not equals and rest and not rest[0].startswith("-") and (not numbers or rest[0].replace(",", "").isdecimal()):
                several.append(rest.pop(0))
            if numbers and not several:
                found += [name, *rest[:1]]  # no number: Typer says so
                rest = rest[1:]
                continue
            several = [each for one in several for each in (one.split(",") if numbers else [one])]
            found += [each for one in several or [""] for each in (name, one)]
        else:
            found.append(name + equals + value)
            if not equals and rest:
                found.append(rest.pop(0))  # its value, whatever it looks like
    return found


def _title(param: Any) -> str:
    return "Arguments" if param.param_type_name == "argument" else getattr(param, "rich_help_panel", None) or "Options"


def _write_sections(formatter: Any, rows: Sequence[tuple[str, tuple[str, str]]]) -> None:
    for title in dict.fromkeys(title for title, _ in rows):
        with formatter.section(title):
            formatter.write_dl([row for own, row in rows if own == title])


_ALWAYS = [
    _parameter("as_json", bool, typer.Option("--json", help="Print the result as one JSON document; all else goes to stderr."), False),
    _parameter("quiet", bool, typer.Option("--quiet", "-q", help="Print the result alone: no progress, no notes."), False),
]
