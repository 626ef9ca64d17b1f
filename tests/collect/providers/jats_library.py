"""A small Europe PMC: entries of a search, articles in JATS XML with figures and licences, and a server of both."""

import json

from werkzeug import Request, Response

from hf_bones.collect.providers.europepmc import EuropePmc, EuropePmcOptions

BY = "http://creativecommons.org/licenses/by/4.0/"
DOCTYPE = '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving DTD v1.2//EN" "JATS-archivearticle1.dtd">'
LICENCE = f'<license xlink:href="{BY}"><license-p>This is an open access article.</license-p></license>'
QUERY = "comminuted fracture tibia"


def provider(httpserver, api, **options):
    return EuropePmc(EuropePmcOptions(endpoint=httpserver.url_for("/rest"), images="https://europepmc.org", pause=0.0, **options), api)


def entry(number, **changes):
    return {
        "id": f"3{number}", "source": "MED", "pmid": f"3{number}", "pmcid": f"PMC{number}", "title": f"Case <i>{number}</i> of a tibia",
        "authorString": "Smith A, Jones B.", "license": "cc by", "isOpenAccess": "Y", "inEPMC": "Y",
    } | changes  # fmt: skip


def fig(name="f1", caption="Lateral radiograph of a comminuted fracture of the tibia.", label="Figure 1", more=""):
    return (
        f'<fig id="{name}"><label>{label}</label><caption><p>{caption}</p></caption>'
        f'<graphic xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="{name}"/>{more}</fig>'
    )


def jats(body=None, permissions=f"<permissions>{LICENCE}</permissions>", doctype=DOCTYPE):
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{doctype}<article xmlns:xlink="http://www.w3.org/1999/xlink"'
        ' xmlns:ali="http://www.niso.org/schemas/ali/1.0/"><front><article-meta><title-group><article-title>Case</article-title></title-group>'
        f"{permissions}</article-meta></front><body><sec><p>Text</p>{fig() if body is None else body}</sec></body></article>"
    )


class Library:
    """Answers the search, pageSize articles a time by cursor, and /PMC…/fullTextXML; remembers what it was asked."""

    def __init__(self, httpserver, entries, texts):
        self.entries, self.searches = entries, []
        httpserver.expect_request("/rest/search", method="GET").respond_with_handler(self)
        for pmcid, text in texts.items():
            httpserver.expect_request(f"/rest/{pmcid}/fullTextXML").respond_with_data(text, content_type="application/xml")

    def __call__(self, request: Request) -> Response:
        self.searches.append(request.args.to_dict())
        cursor, size = request.args["cursorMark"], int(request.args["pageSize"])
        start = 0 if cursor == "*" else int(cursor.removeprefix("AoE="))
        chosen = self.entries[start : start + size]
        answer = {"version": "6.9", "hitCount": len(self.entries), "request": {}, "resultList": {"result": chosen}}
        answer["nextCursorMark"] = f"AoE={start + len(chosen)}" if chosen else cursor
        return Response(json.dumps(answer), content_type="application/json")


def only_figure(httpserver, api, text, number=7, **changes):
    httpserver.clear()
    Library(httpserver, [entry(number, **changes)], {f"PMC{number}": text})
    (found,) = provider(httpserver, api).search(QUERY, None)
    return found
