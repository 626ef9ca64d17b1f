"""A licence is one SPDX identifier, or it is unknown; nothing is guessed: `python -m pytest tests/collect/test_licences.py`."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hf_bones.collect.licences import LicencePolicy, attribution_text, licence_url, spdx

BY_NAME = [
    # Wikimedia Commons
    ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
    ("CC BY-SA 3.0 de", "CC-BY-SA-3.0-DE"),
    ("CC BY-SA 3.0 at", "CC-BY-SA-3.0-AT"),
    ("CC BY-SA 2.5 nl", "LicenseRef-CC-BY-SA-2.5-NL"),
    ("CC BY 2.1 jp", "LicenseRef-CC-BY-2.1-JP"),
    ("CC0", "CC0-1.0"),
    ("Public domain", "LicenseRef-Public-Domain"),
    ("PD-USGov", "LicenseRef-Public-Domain"),
    ("PD-old-70-expired", "LicenseRef-Public-Domain"),
    ("Attribution", "LicenseRef-Attribution"),
    ("Copyrighted free use", "LicenseRef-Copyrighted-Free-Use"),
    ("GFDL", "LicenseRef-GFDL"),
    ("GFDL 1.2", "GFDL-1.2"),
    ("No restrictions", "LicenseRef-No-Known-Restrictions"),
    # Openverse
    ("by-nc-sa 4.0", "CC-BY-NC-SA-4.0"),
    ("by 2.0", "CC-BY-2.0"),
    ("by-nd-nc 1.0", "CC-BY-NC-ND-1.0"),
    ("cc0 1.0", "CC0-1.0"),
    ("pdm", "CC-PDM-1.0"),
    ("pdm 1.0", "CC-PDM-1.0"),
    ("by", "LicenseRef-CC-BY"),
    # Europe PMC
    ("cc by", "LicenseRef-CC-BY"),
    ("CC BY-NC-ND", "LicenseRef-CC-BY-NC-ND"),
    ("cc-by-nc", "LicenseRef-CC-BY-NC"),
    # the Hub
    ("cc-by-4.0", "CC-BY-4.0"),
    ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0"),
    ("cc0-1.0", "CC0-1.0"),
    ("mit", "MIT"),
    ("apache-2.0", "Apache-2.0"),
    ("gpl-3.0", "GPL-3.0"),
    ("odbl", "ODbL-1.0"),
    ("odc-by", "ODC-By-1.0"),
    ("pddl", "PDDL-1.0"),
    ("etalab-2.0", "etalab-2.0"),
    ("unknown", "unknown"),
    ("other", "unknown"),
    ("cc", "unknown"),
    ("bsd", "unknown"),
    ("openrail", "unknown"),
    # plain identifiers
    ("CC-BY-3.0-IGO", "CC-BY-3.0-IGO"),
    ("bsd-3-clause", "BSD-3-Clause"),
    ("CC-PDM-1.0", "CC-PDM-1.0"),
    ("licenseref-cc-by-nc", "LicenseRef-CC-BY-NC"),
    ("LicenseRef-Hospital-Agreement.7", "LicenseRef-Hospital-Agreement.7"),
    # not one licence
    ("", "unknown"),
    ("MIT OR Apache-2.0", "unknown"),
    ("CC BY-NC-ND 4.0 or CC BY 4.0", "unknown"),
    ("CC BY 9.0", "unknown"),
    ("CC BY-ND-SA 4.0", "unknown"),
    ("© 2019 by the authors", "unknown"),
    ("and", "unknown"),
]


@pytest.mark.parametrize(("text", "identifier"), BY_NAME)
def test_the_words_of_the_sources_become_identifiers(text, identifier):
    assert spdx(text) == identifier


@pytest.mark.parametrize(
    ("url", "identifier"),
    [
        ("http://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by/4.0", "CC-BY-4.0"),
        ("https://www.creativecommons.org/licenses/by-nc-nd/4.0/legalcode", "CC-BY-NC-ND-4.0"),
        ("https://creativecommons.org/licenses/by/4.0/deed.de", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by/4.0/legalcode.fr", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by/3.0/de/deed.en", "CC-BY-3.0-DE"),
        ("https://creativecommons.org/licenses/by-sa/3.0/fr/", "LicenseRef-CC-BY-SA-3.0-FR"),
        ("https://creativecommons.org/licenses/by-nd-nc/1.0/", "CC-BY-NC-ND-1.0"),
        ("https://creativecommons.org/licenses/by/", "LicenseRef-CC-BY"),
        ("https://creativecommons.org/licenses/sa/1.0/", "CC-SA-1.0"),
        ("https://creativecommons.org/licenses/nc-sampling+/1.0/", "unknown"),
        ("https://creativecommons.org/publicdomain/zero/1.0/deed.en", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
        ("https://creativecommons.org/licenses/publicdomain/", "CC-PDDC"),
        ("https://www.elsevier.com/open-access/userlicense/1.0/", "unknown"),
        ("https://rightsstatements.org/vocab/InC/1.0/", "unknown"),
        ("http://[not a url", "unknown"),
    ],
)
def test_deeds_are_read_as_url_and_as_text(url, identifier):
    assert spdx("", url) == identifier
    assert spdx(url) == identifier


BMC = (
    "This article is licensed under a Creative Commons Attribution 4.0 International License, which permits use, sharing and adaptation. If"
    " material is not included in the article's Creative Commons licence you will need permission. To view a copy of this licence, visit"
    " http://creativecommons.org/licenses/by/4.0/. The Creative Commons Public Domain Dedication waiver"
    " (http://creativecommons.org/publicdomain/zero/1.0/) applies to the data made available in this article."
)


@pytest.mark.parametrize(
    ("statement", "identifier"),
    [
        (BMC, "CC-BY-4.0"),
        ("under the terms of the Creative Commons Attribution License, which permits use of 3 figures", "LicenseRef-CC-BY"),
        ("distributed under the Creative Commons Attribution-NonCommercial-NoDerivs 4.0 International License.", "CC-BY-NC-ND-4.0"),
        ("a Creative Commons Attribution Non Commercial (CC BY-NC 4.0) license", "CC-BY-NC-4.0"),
        ("a Creative Commons Attribution (CC BY) license (4.0)", "CC-BY-4.0"),
        ("under Creative Commons Attribution–NonCommercial 3.0 (CC BY‑NC 3.0)", "CC-BY-NC-3.0"),
        ("Creative Commons Attribution 3.0 Germany", "CC-BY-3.0-DE"),
        ("Creative Commons Attribution 3.0 in the whole world", "CC-BY-3.0"),
        ("Case 7 is CC BY 4.0, case 8 is CC BY-NC 4.0.", "unknown"),
        ("This figure is not covered by the article's CC BY 4.0 licence.", "unknown"),
        ("All rights reserved. The text is CC BY 4.0.", "unknown"),
        ("CC0 applies to the data made available in this article.", "unknown"),
        ("Free to read for research on the pandemic.", "unknown"),
    ],
)
def test_a_licence_statement_in_prose_counts_when_it_names_one_licence(statement, identifier):
    assert spdx(statement) == identifier


@pytest.mark.parametrize(
    ("text", "url", "identifier"),
    [
        ("CC BY", "https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("CC BY-SA 3.0", "https://creativecommons.org/licenses/by-sa/3.0/de/", "CC-BY-SA-3.0-DE"),
        ("Public domain", "https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
        ("some words", "https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("CC BY 4.0", "https://example.org/terms", "CC-BY-4.0"),
        ("CC BY-NC", "https://creativecommons.org/licenses/by/4.0/", "unknown"),
        ("CC BY 3.0", "https://creativecommons.org/licenses/by/4.0/", "unknown"),
        ("CC0", "https://creativecommons.org/licenses/by/4.0/", "unknown"),
        ("All rights reserved", "https://creativecommons.org/licenses/by/4.0/", "unknown"),
    ],
)
def test_text_and_link_must_agree_and_the_more_exact_one_counts(text, url, identifier):
    assert spdx(text, url) == identifier


PIECES = ["cc", "by", "nc", "nd", "sa", "-", "_", "/", "4.0", "3.0", "2.5", "9.9", "de", "fr", "igo", "creative", "commons", "attribution"]
PIECES += [
    "noncommercial",
    "license",
    "LicenseRef-",
    "pd",
    "zero",
    "or",
    "and",
    "https://",
    "with",
    "(",
    ")",
    ".",
    "+",
    "MIT",
    "data",
    "not",
]
PIECES += ["licensed", "under", "creativecommons.org/licenses/", "creativecommons.org/publicdomain/"]
WORDS = st.lists(st.sampled_from(PIECES), max_size=12)


@given(
    st.one_of(st.text(max_size=60), WORDS.map("".join), WORDS.map(" ".join), st.from_regex(r"(?i)(licenseref-)?[a-z0-9.+-]{1,20}")),
    st.text(),
)
@example("CC BY 3.0 in", "")
@example("LICENSEREF-cc-by-x", "")
@example("Licenseref-public-domain", "")
def test_what_comes_out_goes_in_unchanged_and_nothing_raises(text, url):
    once = spdx(text, url)
    assert once == "unknown" or once.strip()
    assert spdx(once) == once
    assert spdx(once, licence_url(once)) == once


@pytest.mark.parametrize(
    "text", ["cc by " * 5000, "creative commons attribution" + " license" * 5000, "by-" * 9000, "cc by (cc by nc) " * 2000]
)
def test_a_very_long_statement_is_read_in_no_time(text):
    spdx(text)


@pytest.mark.parametrize(
    ("identifier", "url"),
    [
        ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/"),
        ("CC-BY-SA-3.0-DE", "https://creativecommons.org/licenses/by-sa/3.0/de/"),
        ("LicenseRef-CC-BY-SA-3.0-FR", "https://creativecommons.org/licenses/by-sa/3.0/fr/"),
        ("CC-BY-NC-ND-1.0", "https://creativecommons.org/licenses/by-nd-nc/1.0/"),
        ("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("CC-PDM-1.0", "https://creativecommons.org/publicdomain/mark/1.0/"),
        ("MIT", "https://spdx.org/licenses/MIT.html"),
        ("LicenseRef-CC-BY", ""),
        ("LicenseRef-Public-Domain", ""),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_each_licence_has_its_deed_or_none(identifier, url):
    assert licence_url(identifier) == url


def test_an_attribution_names_title_author_source_and_licence():
    text = attribution_text(
        title="Colles  fracture", creator="A. Smith", licence="CC-BY-SA-3.0-DE", licence_url="https://x.org/d", page="https://x.org/p"
    )
    assert text == "“Colles fracture” by A. Smith (https://x.org/p), licensed under CC BY-SA 3.0 DE (https://x.org/d)."


def test_an_attribution_leaves_out_what_is_not_known():
    assert attribution_text(title="", creator="", licence="unknown", licence_url="", page="") == "Untitled image, licence unknown."
    assert attribution_text(title="X", creator="", licence="LicenseRef-CC-BY", licence_url="", page="") == "“X”, licensed under CC BY."
    assert attribution_text(title="X", creator="", licence="LicenseRef-Public-Domain", licence_url="", page="").endswith(", public domain.")
    assert "Public Domain Mark" in attribution_text(title="X", creator="", licence="CC-PDM-1.0", licence_url="", page="")


def test_a_policy_permits_by_pattern_in_any_case():
    policy = LicencePolicy(("cc0-1.0", "CC-BY-[0-9]*", "CC-BY-SA-[0-9]*", "LicenseRef-CC-BY"), unknown=False)
    permitted = ["CC0-1.0", "CC-BY-4.0", "CC-BY-3.0-DE", "CC-BY-SA-2.5", "LicenseRef-CC-BY"]
    refused = ["CC-BY-NC-4.0", "CC-BY-ND-4.0", "LicenseRef-CC-BY-NC", "LicenseRef-CC-BY-SA-3.0-FR", "MIT", "CC-PDM-1.0"]
    assert [licence for licence in permitted + refused if policy.permits(licence)] == permitted


def test_a_wide_pattern_takes_in_non_commercial_licences_but_not_unknown_ones():
    assert LicencePolicy(("CC-BY-*",), unknown=False).permits("CC-BY-NC-ND-4.0")
    assert not LicencePolicy(("*",), unknown=False).permits("unknown")
    assert not LicencePolicy(("*",), unknown=False).permits("")


def test_unknown_licences_are_a_choice_of_their_own():
    policy = LicencePolicy((), unknown=True)
    assert policy.permits("unknown")
    assert not policy.permits("CC-BY-4.0")
