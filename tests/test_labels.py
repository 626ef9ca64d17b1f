"""Label schemes. Run: pytest tests/test_labels.py"""

import shlex

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hf_bones.dataset.command import parse_label_map
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


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("bone fracture", "fractured"),
        ("with fracture", "fractured"),
        ("Avulsion fracture", "fractured"),
        ("fractures of the distal radius", "fractured"),
        ("Hairline Fractures", "fractured"),
        ("comminuted fracture of the wrist", "beyond_repair"),
        ("crushed bone", "beyond_repair"),
        ("unbroken", "healthy"),
        ("without a fracture", "healthy"),
        ("sans fracture", "healthy"),
        ("fracture-free", "healthy"),
        ("No evidence of fractures", "healthy"),
        ("Normal bones", "healthy"),
    ],
)
def test_a_name_that_says_the_same_as_a_known_one_is_known(word, label):
    assert THREE_CLASS.resolve(word) == label


def test_every_subtype_is_known_as_a_fracture_too():
    for scheme in (THREE_CLASS, TWO_CLASS):
        for each in scheme.classes:
            for subtype in each.subtypes:
                for words in (f"{subtype} fracture", f"Fracture, {subtype}", f"{subtype} fractures of the hand"):
                    assert (scheme.resolve(words), scheme.subtype(words)) == (each.name, subtype)


NORMAL = ("healthy", "normal", "intact", "unfractured", "no_fracture", "not_fractured", "non_fractured", "no_finding")


@pytest.mark.parametrize(
    "word",
    [
        "Longitudinal fracture", "Pathological fracture", "nondisplaced fracture", "non displaced fracture", "non comminuted fracture",
        "unstable fracture", "no dislocation", "Avulsoin fracture", "fractura", "sin fractura", "healed fracture", "fractured_0",
        "comminuted spiral fracture", "not without fracture", "inpact", "wrist positive", "humerus", "fractured and normal",
    ],
)  # fmt: skip
def test_an_unsure_word_is_refused_and_never_likened_to_a_normal_one_unless_it_denies(word):
    with pytest.raises(UnknownLabelError):
        THREE_CLASS.resolve(word)
    hint = THREE_CLASS.hint(word)
    assert hint not in NORMAL or word == "sin fractura"


@pytest.mark.parametrize("word", ["unhealthy", "not normal", "notnormal", "abnromal", "abnormal bone", "no intact bone", "non-healthy"])
def test_a_denied_normal_is_never_likened_to_normal(word):
    with pytest.raises(UnknownLabelError):
        THREE_CLASS.resolve(word)
    assert THREE_CLASS.hint(word) == ""


@given(
    st.sampled_from([w for c in THREE_CLASS.classes for w in (c.name, *c.subtypes, *c.aliases)]),
    st.sampled_from(["un", "non", "not ", "no ", "without ", "ab", "dis", "", "bone ", "x", "old "]),
    st.integers(0, 30),
    st.sampled_from("aenrt "),
)
def test_no_hint_crosses_the_line(word, before, place, letter):
    """A known word, with something before it and a letter too many: what is hinted is on the word's own side, or nothing is."""
    place = min(place, len(word))
    spelled = before + word[:place] + letter + word[place:]
    normal = THREE_CLASS.resolve(word) == "healthy"
    found = THREE_CLASS.class_of(spelled) or (THREE_CLASS.class_of(THREE_CLASS.hint(spelled)) if THREE_CLASS.hint(spelled) else None)
    denies = before in ("un", "non", "not ", "no ", "without ", "ab", "dis")
    if found is not None and normal:
        assert found == "healthy" and before not in ("ab", "dis")
    if found is not None and not normal:
        assert found != "healthy" or denies


def test_a_kind_of_fracture_is_likened_to_a_fracture():
    with pytest.raises(UnknownLabelError, match="the nearest known name is 'fracture'"):
        THREE_CLASS.resolve("Longitudinal fracture")


def test_a_vague_word_is_refused_beside_words_for_bones_too():
    with pytest.raises(UnknownLabelError, match="is refused: it can mean hardware"):
        THREE_CLASS.resolve("abnormal bones")


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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+", "-"), ("1", "-1"), ("fx+", "fx-"), ("fx", "fx?"), ("?", "-"), ("\u22121", "1"), ("-1.5", "1.5"), ("?", ""),
        ("\u9aa8\u6298", "\u6b63\u5e38"),
        ("\u043f\u0435\u0440\u0435\u043b\u043e\u043c", "\u043d\u043e\u0440\u043c\u0430"),
    ],
)  # fmt: skip
def test_two_words_of_two_meanings_are_mapped_apart(one, other):
    mapping = {one: "fractured", other: "healthy"}
    assert (THREE_CLASS.resolve(one, mapping), THREE_CLASS.resolve(other, mapping)) == ("fractured", "healthy")
    with pytest.raises(ValueError, match="reads the same"):
        parse_label_map([f"{one}x=fractured", f" {one}X =healthy"])


def test_a_number_is_mapped_however_a_program_writes_it():
    assert [THREE_CLASS.resolve(word, {"1": "fractured"}) for word in ("1", "1.0", "1,0", "+1", "1.")] == ["fractured"] * 5


@pytest.mark.parametrize(
    "word",
    [
        "fracture?",
        "? fx",
        "fx -",
        "- fracture",
        "!fracture",
        "fracture / no fracture",
        "with and without fracture",
        "unfractured_fractured",
    ],
)
def test_a_doubtful_word_and_one_that_says_both_are_refused_without_a_hint(word):
    assert (THREE_CLASS.class_of(word), THREE_CLASS.hint(word)) == (None, "")


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("Fractured-Positive", "fractured"),
        ("fx+", "fractured"),
        ("fractur\u00e9", "fractured"),
        ("fractureNo", "healthy"),
        ("FractureNegative", "healthy"),
        ("non fractur\u00e9", "healthy"),
        ("fracture (-)", "healthy"),
    ],
)
def test_signs_accents_and_denials_behind_a_word_are_read(word, label):
    assert THREE_CLASS.resolve(word) == label


def test_the_advice_for_a_word_with_an_apostrophe_is_one_word_to_a_shell():
    with pytest.raises(UnknownLabelError) as error:
        THREE_CLASS.resolve("Colles' fracture")
    advised = str(error.value).split("leave its rows out: ")[1]
    assert shlex.split(advised) == ["--label-map", "Colles' fracture=unused"]
