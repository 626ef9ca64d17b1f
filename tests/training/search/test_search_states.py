"""Searches side by side, and those that cannot be made or finished. Run: pytest tests/training/search/test_search_states.py"""

import importlib.util

import pytest
from command_line import main
from small_search import recipe_file, row, study_of

from hf_bones.config.recipe import RecipeError, load_recipe, recipe_from_dict
from hf_bones.training.errors import DamagedImageError
from hf_bones.training.run.checkpoints import comparable
from hf_bones.training.search.report import best_of, best_recipe, table_text
from hf_bones.training.search.run import prepare_search, run_claimed, search


@pytest.fixture
def small(ground, tmp_path):
    """A study whose folder is ready to be searched in."""
    recipe = load_recipe(recipe_file(ground, tmp_path / "small", trials=3))
    prepare_search(comparable(recipe.as_dict()), tmp_path / "small", resume=True)
    return study_of(recipe, tmp_path / "small")


def test_two_searches_at_once_take_different_trials_and_a_dropped_one_is_taken_up(small):
    first, first_lock = small.claim()
    second, second_lock = small.claim()
    assert {first.user_attrs["folder"], second.user_attrs["folder"]} == {"trial-000", "trial-001"}
    first.report(0.7, 1)
    first_lock.release()  # as when its process was killed
    again, again_lock = small.claim()
    assert again.user_attrs["folder"] == "trial-000" and again.params == first.params
    third, third_lock = small.claim()
    assert third.user_attrs["folder"] not in ("trial-000", "trial-001")
    assert small.claim() is None
    assert len(small.rows()) == 3
    for lock in (second_lock, again_lock, third_lock):
        lock.release()


def failing(error):
    def run_trial(callbacks):
        raise error

    return run_trial


def test_keys_that_do_not_go_together_end_the_search_at_first_and_later_only_the_trial(small, capsys):
    trial, lock = small.claim()
    with pytest.raises(RecipeError, match="no such dataset"):
        run_claimed(trial, failing(RecipeError("dataset: no such dataset")))
    lock.release()
    assert small.rows() == []
    trial, lock = small.claim()
    trial.study.tell(trial, 0.9)
    lock.release()
    trial, lock = small.claim()
    run_claimed(trial, failing(RecipeError("keep_blocks: the network has 3")))
    lock.release()
    row = small.rows()[-1]
    assert (row.state, row.reason) == ("ended", "keep_blocks: the network has 3")


def test_what_is_wrong_with_the_data_or_the_machine_ends_the_search_and_leaves_the_trial_open(small):
    trial, lock = small.claim()
    with pytest.raises(DamagedImageError):
        run_claimed(trial, failing(DamagedImageError("dataset: image 'a' cannot be read")))
    lock.release()
    again, lock = small.claim()
    lock.release()
    assert again.user_attrs["folder"] == trial.user_attrs["folder"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--push_to_hub", "me/bones"], "push_to_hub: me/bones: a search pushes nothing"),
        (["--trials", "0"], "--trials: expected 1 or more"),
        (["--recipe", "vit-tiny-nowhere"], "neither a file nor"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused_by_key(ground, tmp_path, capsys, more, message):
    assert main(["--recipe", str(recipe_file(ground, tmp_path / "refused")), "--search", "optuna", *more]) == 2
    assert message in capsys.readouterr().err


def test_several_processes_a_missing_optuna_and_a_missing_space_are_named(ground, tmp_path, capsys, monkeypatch):
    command = ["--recipe", str(recipe_file(ground, tmp_path / "refused")), "--search", "optuna"]
    assert main(["--recipe", "quickstart", "--search", "optuna", "--output_dir", str(tmp_path / "quick")]) == 2
    assert "space: {}: a search needs keys" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        assert main(command) == 2
    assert "2 were started" in capsys.readouterr().err
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "optuna" else find(name, *more))
    assert main(command) == 2
    assert "pip install 'hf-bones[search]'" in capsys.readouterr().err


def test_a_search_in_which_nothing_could_be_finished_says_where_the_reasons_are(ground, tmp_path, capsys):
    output = tmp_path / "hopeless"
    recipe = load_recipe(recipe_file(ground, output, trials=1, space={"learning_rate": {"choices": [1e30, 1e29]}}))
    from hf_bones.finetune import fit

    with pytest.raises(RecipeError, match=r"none of 1 trials could be finished; .*trials\.md says why"):
        search(recipe, lambda own, callbacks: fit(own, callbacks))
    assert "NaN or infinite" in (output / "trials.md").read_text() or "the loss is" in (output / "trials.md").read_text()


def test_the_table_says_which_trials_the_best_cannot_be_told_from(ground, tmp_path):
    recipe = load_recipe(recipe_file(ground, tmp_path / "x"))
    rows = [
        row(0, "complete", 0.88),
        row(1, "pruned", 0.95),
        row(2, "complete", 0.885),
        row(3, "complete", 0.80),
        row(4, "complete", 0.885),
    ]
    best = best_of(rows)
    assert best is not None and best.number == 2  # a pruned trial is no winner, and the earlier of equals is
    text = table_text(rows, ["learning_rate"], recipe.name)
    assert "Best: trial 2, 0.8850 ± 0.0100. Within one standard error of it: trial 0, trial 4." in text
    assert [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ") and "trial" not in line] == list("24031")


def test_the_best_recipe_holds_no_path_of_this_machine(ground, tmp_path):
    recipe = load_recipe(recipe_file(ground, tmp_path / "x"))
    recipe.data.dataset_id, recipe.data.arrays_dir = "me/bones", "arrays"
    data, left_out = best_recipe(recipe.as_dict(), row(3, "complete", 0.9, params={"learning_rate": 1e-4}), 20)
    found = recipe_from_dict(data)
    assert (found.data.dataset, found.model.model, found.data.arrays_dir, found.training.output_dir) == (
        "me/bones",
        "start",
        "arrays",
        "runs/bars-best",
    )
    assert found.training.learning_rate == 1e-4 and found.search is None and "The best of 20 trials" in found.description
    assert left_out == {"dataset": str(ground / "dataset"), "model": str(ground / "start")}
