"""The command that was typed: how it is read, and how records state it. Run: pytest tests/cli/test_command_line.py"""

import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from command_line import parse_recipe
from typer.testing import CliRunner

import hf_bones.cli.commands
from hf_bones.cli.commands import SEVERAL, spelled
from hf_bones.cli.main import app
from hf_bones.config.recipe import RecipeError
from hf_bones.record import command_line, public_words

ROOT = Path(__file__).parents[2]


def commands(group=None, path=()):
    group = group or typer.main.get_command(app)
    for name in group.list_commands(None):
        found = group.get_command(None, name)
        if hasattr(found, "commands"):
            yield from commands(found, (*path, name))
        else:
            yield (*path, name), found


ALL = dict(commands())


def params(path):
    with typer.Context(ALL[path]) as context:
        return [param for param in ALL[path].get_params(context) if param.name != "help"]


def all_words(path):
    """Every argument and option of a command, each with a value."""
    words = list(path)
    for param in params(path):
        if param.param_type_name == "argument":
            words.append("100")
        elif param.is_flag:
            words.append(param.opts[0])
        else:
            words += [param.opts[0], *["100"] * max(param.nargs, 1), *(["200"] if (param.metavar or "").endswith(SEVERAL) else [])]
    return words


@pytest.fixture
def stated(monkeypatch):
    """What `command_line` was when a command began, which then does nothing."""
    found = []

    @contextmanager
    def nothing_is_done(as_json, quiet):
        found.append(command_line())
        raise typer.Exit
        yield

    monkeypatch.setattr(hf_bones.cli.commands, "printing", nothing_is_done)
    return found


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_states_every_option_as_it_was_typed(path, stated):
    words = all_words(path)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert stated == [shlex.join(["hf-bones", *words])]
    assert command_line() == ""


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_takes_json_quiet_and_short_help_and_shows_its_options_whole(path):
    done = CliRunner().invoke(app, [*path, "-h"], env={"COLUMNS": "80"}, terminal_width=80)
    assert done.exit_code == 0
    for param in params(path):
        if param.param_type_name == "option":
            assert all(name in done.output.split() or f"{name}," in done.output for name in param.opts[:1]), param.opts
            assert param.is_flag is False or param.secondary_opts or param.opts[0] in ("--json", "--quiet", "--list"), param.opts
    assert "--json" in done.output and "--quiet" in done.output


def test_help_tells_range_and_choices_of_a_recipes_key():
    said = {param.name: param for param in params(("train",))}
    assert " Range: [0, 1)." in said["drop_path"].help and " Range: [1, ∞)." in said["max_steps"].help
    assert (said["sampling"].metavar, said["max_steps"].metavar) == ("uniform|sqrt|balanced|source", "-1")


def test_the_command_names_no_folder_of_this_machine_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path.parent / "elsewhere" / "films"
    words = ["build", "a folder/films", f"{tmp_path}/in/here", f"--out={elsewhere}", f"mine={elsewhere}", "../there", "zoom=2"]
    assert public_words(words) == ["build", "a folder/films", "in/here", "--out=films", "mine=films", "../there", "zoom=2"]
    assert public_words(["https://ada:pass@example.org/a", "hf_abcdefghijklmnopqrstuv"]) == ["https://***@example.org/a", "***"]


def test_underscores_truth_values_lists_and_other_names_are_taken():
    compare, train = params(("compare",)), params(("train",))
    assert spelled(["a", "--seeds", "0", "1", "2", "--out", "x"], compare) == [
        "a",
        *["--seeds", "0", "--seeds", "1", "--seeds", "2"],
        "--out",
        "x",
    ]
    assert spelled(["--seeds", "0,1", "b"], compare) == ["--seeds", "0", "--seeds", "1", "b"]
    assert spelled(["--seeds", "one"], compare) == ["--seeds", "one"]
    assert spelled(["--learning_rate", "1", "--output_dir", "o"], train) == ["--learning-rate", "1", "--out", "o"]
    assert spelled(["--output=o", "--cpu", "true", "--resume=false"], train) == ["--out=o", "--cpu", "--no-resume"]
    assert spelled(["--teacher", "a", "b", "--attribution", "--seed", "1"], params(("distill",))) == [
        "--teacher", "a", "--teacher", "b", "--attribution", "", "--seed", "1",
    ]  # fmt: skip
    assert spelled(["--message", "--no_such", "--", "--a_b"], params(("push",))) == ["--message", "--no_such", "--", "--a_b"]


def test_keys_of_a_recipe_are_read_from_any_spelling():
    for words in (
        ["--learning-rate", "3e-4", "--no-resume", "--extra-heads", "subtype", "region", "--out", "here"],
        ["--learning_rate=3e-4", "--resume", "false", "--extra_heads", "subtype", "--extra_heads", "region", "--output_dir", "here"],
    ):
        recipe = parse_recipe(words)
        assert (recipe.training.learning_rate, recipe.training.resume, recipe.training.output_dir) == (3e-4, False, "here")
        assert recipe.model.extra_heads == ["subtype", "region"]
    with pytest.raises(RecipeError, match="did you mean 'quickstart'"):
        parse_recipe(["--recipe", "quikstart"])


def test_wrong_use_is_its_reason_and_a_hint_and_a_bare_train_says_what_it_needs():
    for words, reason in ((["train", "--epochz", "3"], "--epochs"), (["evaluate", "bundled"], "Missing argument"), (["trian"], "'train'")):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2 and reason in done.stderr and len(done.stderr.splitlines()) <= 5 and not done.stdout
    for name in ("train", "distill"):
        done = CliRunner().invoke(app, [name])
        assert done.exit_code == 2 and "needs a " in done.stderr and "--dataset" in done.stderr


def test_the_version_is_printed():
    assert CliRunner().invoke(app, ["--version"]).stdout.startswith("hf-bones ")


@pytest.mark.parametrize("words", [["train", "--help"], ["distill", "--help"], ["compare", "--help"], ["--help"]])
def test_help_needs_neither_torch_nor_transformers_nor_rich(words):
    lines = ["import sys", "from hf_bones.cli.main import run", f"run(*{words!r})"]
    lines += ["print(sorted({'torch', 'transformers', 'datasets', 'gradio', 'rich', 'numpy'} & set(sys.modules)))"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"
