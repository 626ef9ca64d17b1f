"""Every figure has a plain name: `python -m pytest tests/metrics/test_names.py`."""

from __future__ import annotations

import numpy as np
import pytest

from hf_bones.labels import THREE_CLASS, TWO_CLASS, LabelScheme
from hf_bones.metrics import classification_metrics
from hf_bones.metrics.headlines import CARD, DISTILLATION, TABLE, TITLES, TRAINING, figure_name


@pytest.mark.parametrize(("scheme", "specificity"), [(THREE_CLASS, 0.85), (TWO_CLASS, 0.975)])
def test_every_figure_has_a_plain_name_of_its_own(scheme: LabelScheme, specificity: float) -> None:
    count = len(scheme.names)
    keys = classification_metrics(np.arange(count), np.eye(count), scheme.names, specificity=specificity)
    names = {key: figure_name(key) for key in keys}
    assert len(set(names.values())) == len(names)
    for key, name in names.items():
        rest = name.replace("beyond_repair", "")
        assert key == name == "accuracy" or ("_" not in rest and rest != key), f"{key} is still a key: {name}"


def test_names_read_as_a_person_would_say_them() -> None:
    assert figure_name("auroc_ovr_macro") == "AUROC, one against rest, mean"
    assert figure_name("auroc_ovr_beyond_repair") == "AUROC, beyond_repair against rest"
    assert figure_name("sensitivity_fractured_at_specificity_97.5") == "sensitivity, fractured, at specificity 0.975"
    assert figure_name("sensitivity_abnormal_at_specificity_85") == "sensitivity, any abnormal class, at specificity 0.85"


def test_a_figure_without_a_name_is_an_error_that_says_where_to_add_it() -> None:
    for key in ("new_figure", "sensitivity_"):
        with pytest.raises(ValueError, match=rf"'{key}' has no plain name; add one in hf_bones/metrics/headlines\.py"):
            figure_name(key)


def test_what_is_shown_first_has_a_title() -> None:
    assert {*TABLE, *CARD, *TRAINING, *DISTILLATION} <= set(TITLES)
