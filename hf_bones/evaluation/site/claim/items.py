"""What CLAIM asks for: its 44 items as of the 2024 update, in our own words.

The checklist: Tejani et al., "Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update", Radiology: Artificial
Intelligence 6(4), e240300, 2024. Whoever submits a paper fills in the journal's own form; numbers are the same.
"""

from __future__ import annotations

from typing import NamedTuple


class Item(NamedTuple):
    """One item: its number, the part of a paper that it belongs to, and what it asks for."""

    number: int
    part: str
    asks: str


_PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Title and abstract", (
        "The title or first lines say that this is a study of an AI method, and of which kind",
        "A short summary: design, methods, results, what follows",
    )),
    ("Introduction", (
        "Why the question matters, and what the model is meant to be used for",
        "Aims, and hypotheses where there are any",
    )),
    ("Study design", (
        "Whether films were gathered before or after the study was planned",
        "What kind of study it is: development, validation, feasibility",
    )),
    ("Data", (
        "Where the films come from",
        "Which patients and films were taken and which were not",
        "What was done to the images before the model saw them",
        "Which parts of the data or of each image were used",
        "How films and tables were de-identified",
        "What was done about missing data",
        "How the films were taken: devices, settings, views",
    )),
    ("Reference standard", (
        "What counts as the truth, defined so that others could label alike",
        "Why this reference standard was chosen",
        "Who gave the labels, and with what training",
        "How the films of the test were labelled",
        "How far those who label agree with each other and with themselves",
    )),
    ("Partitions", (
        "How films were dealt out to training, tuning and test",
        "At which level the parts share nothing: patient, study, film",
    )),
    ("Test films", ("How many films were intended, and why that many",)),
    ("Model", (
        "The model: input, layers, output",
        "Software and versions",
        "What its weights started from",
    )),
    ("Training", (
        "How it was trained: augmentation, settings, when it stopped",
        "How the final model was chosen",
        "Whether several models were combined",
    )),
    ("Evaluation", (
        "Which figures measure it",
        "How uncertainty and significance were worked out",
        "How robust the figures are to what one might have done otherwise",
        "How its answers are explained",
        "How it does on films of the kind it was made with",
        "How it does on films from elsewhere",
        "Registration, where it is a clinical trial",
    )),
    ("Results: films", (
        "How many patients and films were included and excluded",
        "Who the patients are: age, sex, findings, in each part of the data",
    )),
    ("Results: performance", (
        "The figures, with their uncertainty",
        "Diagnostic accuracy, with its precision",
        "What was got wrong, and how",
    )),
    ("Discussion", (
        "Limits of the study",
        "What follows for practice",
    )),
    ("Other", (
        "Where the full protocol or technical detail is",
        "Whether code, model and films can be had",
        "Who paid, and what part they took",
    )),
)  # fmt: skip
ITEMS: tuple[Item, ...] = tuple(
    Item(number, part, asks) for number, (part, asks) in enumerate(((part, asks) for part, every in _PARTS for asks in every), start=1)
)
