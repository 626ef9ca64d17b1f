"""Label schemes. Run: pytest tests/test_labels.py"""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hf_bones.labels import THREE_CLASS, TWO_CLASS, UnknownLabelError, load_scheme, normalise_name, scheme_from_dict


def test_three_classes_come_in_the_order_of_the_models_outputs():
    assert THREE_CLASS.names == ("healthy", "fractured", "beyond_repair")
    assert THREE_CLASS.label2id == {"healthy": 0, "fractured": 1, "beyond_repair": 2}
    assert THREE_CLASS.normal_id == 0


def test_two_class_scheme_is_what_the_three_class_one_grows_from():
    assert TWO_CLASS.names == THREE_CLASS.names[:2]


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("Healthy", "healthy"),
        ("not fractured", "healthy"),
        ("Non_fractured", "healthy"),
        ("Fractured", "fractured"),
        ("hairline", "fractured"),
        ("fracture-dislocation", "fractured"),
        ("Beyond Repair", "beyond_repair"),
        ("COMMINUTED", "beyond_repair"),
        ("non-union", "beyond_repair"),
    ],
)
def test_aliases_and_subtypes_resolve_whatever_their_case_and_punctuation(word, label):
    assert THREE_CLASS.resolve(word) == label


@pytest.mark.parametrize("word", ["positive", "abnormal", "Negative"])
def test_vague_words_are_refused_and_the_error_says_how_to_map_them(word):
    with pytest.raises(UnknownLabelError, match=r"--label-map"):
        THREE_CLASS.resolve(word)
    assert THREE_CLASS.resolve(word, {word.upper(): "fractured"}) == "fractured"


def test_a_misspelt_label_names_the_nearest_one():
    with pytest.raises(UnknownLabelError, match="'fractured'"):
        THREE_CLASS.resolve("fractred")


def test_a_map_by_hand_must_lead_to_a_class():
    with pytest.raises(UnknownLabelError, match="not one of"):
        THREE_CLASS.resolve("positive", {"positive": "broken bones"})


def test_two_class_scheme_does_not_know_beyond_repair():
    with pytest.raises(UnknownLabelError):
        TWO_CLASS.resolve("comminuted")


@given(st.sampled_from([w for c in THREE_CLASS.classes for w in (c.name, *c.subtypes, *c.aliases)]), st.sampled_from(["", " ", "-", "__"]))
def test_every_known_word_resolves_with_any_padding(word, padding):
    owner = next(c.name for c in THREE_CLASS.classes if word in (c.name, *c.subtypes, *c.aliases))
    assert THREE_CLASS.resolve(padding + word.upper() + padding) == owner


def test_a_scheme_from_a_file_has_more_bones_and_finer_classes(tmp_path):
    path = tmp_path / "wrist.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "name": "wrist",
                "normal": "intact",
                "classes": [
                    {"name": "intact", "definition": "No break."},
                    {"name": "colles", "definition": "Dorsal tilt of the distal radius.", "aliases": ["Colles fracture"]},
                    {"name": "scaphoid", "definition": "A break of the scaphoid.", "subtypes": ["waist", "pole"]},
                ],
            }
        )
    )
    scheme = load_scheme(path)
    assert scheme.names == ("intact", "colles", "scaphoid")
    assert scheme.resolve("Pole") == "scaphoid"
    assert scheme.subtype("pole") == "pole"
    assert load_scheme(path).as_dict() == scheme_from_dict(scheme.as_dict()).as_dict()


def test_the_shipped_schemes_survive_a_round_trip_through_plain_data():
    for scheme in (THREE_CLASS, TWO_CLASS):
        assert scheme_from_dict(scheme.as_dict()) == scheme


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"clases": []}, "did you mean 'classes'"),
        ({"classes": [{"name": "a", "definition": "x"}]}, "two or more"),
        ({"classes": [{"name": "a", "definition": "x"}, {"name": "b"}]}, r"classes\[1\]"),
        ({"classes": [{"name": "a", "definition": "x"}, {"name": "b", "definition": "y", "aliases": ["A"]}]}, "stands for both"),
        ({"normal": "c", "classes": [{"name": "a", "definition": "x"}, {"name": "b", "definition": "y"}]}, "normal class"),
    ],
)
def test_a_malformed_scheme_says_what_is_wrong(data, message):
    with pytest.raises(ValueError, match=message):
        scheme_from_dict(data)


def test_an_unknown_scheme_names_the_shipped_ones():
    with pytest.raises(ValueError, match="three-class"):
        load_scheme("four-class")


@given(st.text())
def test_normalised_names_are_stable(text):
    assert normalise_name(normalise_name(text)) == normalise_name(text)
