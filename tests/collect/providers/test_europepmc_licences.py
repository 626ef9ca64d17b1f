"""Which licence a figure of Europe PMC is under. Run: pytest tests/collect/providers/test_europepmc_licences.py"""

import pytest
from jats_library import BY, LICENCE, fig, jats, only_figure

BY_NC = "http://creativecommons.org/licenses/by-nc/4.0/"


ALI = f"<ali:license_ref>{BY_NC}</ali:license_ref>"
WORDS = "distributed under the Creative Commons Attribution License"


@pytest.mark.parametrize(
    ("permissions", "identifier"),
    [
        (f"<permissions>{LICENCE}</permissions>", "CC-BY-4.0"),
        (f"<permissions><license>{ALI}<license-p>Open.</license-p></license></permissions>", "CC-BY-NC-4.0"),
        (
            f'<permissions><license><license-p>See <ext-link xlink:href="{BY}">here</ext-link>.</license-p></license></permissions>',
            "CC-BY-4.0",
        ),
        (f"<permissions><license><license-p>{WORDS}.</license-p></license></permissions>", "LicenseRef-CC-BY"),
        (f"<permissions><copyright-statement>{WORDS} ({BY})</copyright-statement></permissions>", "CC-BY-4.0"),
        (f'<permissions>{LICENCE}<license xlink:href="{BY_NC}"/></permissions>', "unknown"),
        (f'<permissions><license xlink:href="{BY}">{ALI}</license></permissions>', "unknown"),
        ('<permissions><license xlink:href="https://www.elsevier.com/userlicense/1.0/"/></permissions>', "unknown"),
        ("<permissions><copyright-year>2019</copyright-year></permissions>", "LicenseRef-CC-BY"),
        ("", "LicenseRef-CC-BY"),
    ],
)
def test_the_licence_is_the_articles_own_else_the_one_of_the_search(httpserver, api, permissions, identifier):
    assert only_figure(httpserver, api, jats(permissions=permissions)).licence == identifier


def test_a_waiver_for_the_data_does_not_make_the_licence_doubtful(httpserver, api):
    waiver = (
        f'<permissions><license xlink:href="{BY}"><license-p>Open access. The Creative Commons Public Domain Dedication waiver'
        ' (<ext-link xlink:href="http://creativecommons.org/publicdomain/zero/1.0/">zero</ext-link>) applies to the data made available'
        " in this article.</license-p></license></permissions>"
    )
    assert only_figure(httpserver, api, jats(permissions=waiver)).licence == "CC-BY-4.0"


def test_without_any_statement_the_licence_is_unknown(httpserver, api):
    assert only_figure(httpserver, api, jats(permissions=""), license=None).licence == "unknown"


@pytest.mark.parametrize(
    ("more", "identifier"),
    [
        (f'<permissions><license xlink:href="{BY_NC}"/></permissions>', "CC-BY-NC-4.0"),
        ("<permissions><copyright-statement>© 2001 Elsevier, with permission</copyright-statement></permissions>", "unknown"),
        ("<attrib>Reprinted with permission from Wiley.</attrib>", "unknown"),
        ("<attrib>By J. Heilman, CC BY-SA 3.0</attrib>", "CC-BY-SA-3.0"),
        ("<attrib>Source: the authors.</attrib>", "CC-BY-4.0"),
    ],
)
def test_what_a_figure_says_of_itself_wins_over_the_articles_licence(httpserver, api, more, identifier):
    assert only_figure(httpserver, api, jats(fig(more=more))).licence == identifier


@pytest.mark.parametrize(
    ("note", "identifier"),
    [
        ("Reproduced from Smith et al.", "unknown"),
        ("Adapted, with permission of the publisher.", "unknown"),
        ("Image courtesy of Dr Jones.", "unknown"),
        ("© Springer 2009", "unknown"),
        ("Image by J. Heilman (CC BY-SA 3.0).", "CC-BY-SA-3.0"),
        ("Taken with the patient standing; written consent was obtained.", "CC-BY-4.0"),
    ],
)
def test_a_caption_that_names_another_owner_takes_the_figure_out_of_the_articles_licence(httpserver, api, note, identifier):
    caption = f"Radiograph of a comminuted fracture of the tibia. {note}"
    assert only_figure(httpserver, api, jats(fig(caption=caption))).licence == identifier
