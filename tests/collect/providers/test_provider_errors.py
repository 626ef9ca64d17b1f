"""Wrong answers and queries, with every provider asked over HTTP. Run: pytest tests/collect/providers/test_provider_errors.py"""

import pytest

from hf_bones.collect.candidate import ProviderError
from hf_bones.collect.providers.registry import make_provider

# A provider's endpoint on the server, the path that a search asks for, and what it says of an answer of another shape.
PROVIDERS = {
    "openverse": ("/v1", "/v1/images/", "expected a JSON object with a list of results"),
    "commons": ("/w/api.php", "/w/api.php", "expected a JSON object"),
    "openi": ("", "/api/search", "expected a JSON object with total and list"),
    "europepmc": ("/rest", "/rest/search", "expected a JSON object with resultList.result"),
    "searxng": ("/", "/search", ""),
}
OTHER_SHAPES = {
    "openverse": ["[]", '{"results": {}}', '{"detail": "x"}', "null", '"text"'],
    "commons": ["[]", "null", "{}", '{"query": []}', '{"query": {"pages": {"1": {}}}}', '{"warnings": {}}'],
    "openi": ["[]", "null", '{"total": 3}', '{"list": []}', '{"total": 3, "list": {}}', '{"total": "many", "list": []}'],
    "europepmc": ["[]", "null", "{}", '{"resultList": []}', '{"resultList": {"result": {}}}', '{"errCode": 404, "errMsg": "x"}'],
    "searxng": ["[]", '{"results": {}}'],
}
BAD_QUERIES = {
    "openverse": ("1 to 200 characters", ["", "  ", "x" * 201]),
    "commons": ("1 to 300 characters", ["", " ", "x" * 300]),
    "openi": ("the query is empty", ["  "]),
    "europepmc": ("the query is empty", ["", "  ", '""', "\\"]),
}


@pytest.fixture
def search(httpserver, api, name):
    """A search for something by the provider called `name`, or for another query."""
    provider = make_provider(name, {"endpoint": httpserver.url_for(PROVIDERS[name][0]), "pause": 0.0}, api)
    return lambda query="broken tibia": list(provider.search(query, None))


@pytest.mark.parametrize(("name", "body"), [(name, body) for name, bodies in OTHER_SHAPES.items() for body in bodies])
def test_another_shape_is_an_error_that_names_the_endpoint(httpserver, search, name, body):
    _, path, said = PROVIDERS[name]
    httpserver.expect_request(path).respond_with_data(body, content_type="application/json")
    with pytest.raises(ProviderError, match=f"{path}.*{said}"):
        search()


@pytest.mark.parametrize("body", ["<html>", '{"results": ['])
@pytest.mark.parametrize("name", PROVIDERS)
def test_malformed_json_is_an_error(httpserver, search, name, body):
    path = PROVIDERS[name][1]
    httpserver.expect_request(path).respond_with_data(body, content_type="text/html")
    with pytest.raises(ProviderError, match=f"{path}.*not JSON"):
        search()


@pytest.mark.parametrize("name", ["commons", "openi", "europepmc"])
def test_a_401_is_passed_on_and_not_asked_again(httpserver, search, name):
    httpserver.expect_request(PROVIDERS[name][1]).respond_with_data("who are you", status=401)
    with pytest.raises(ProviderError, match="answered 401: who are you"):
        search()
    assert len(httpserver.log) == 1


@pytest.mark.parametrize(("name", "query"), [(name, query) for name, (_, queries) in BAD_QUERIES.items() for query in queries])
def test_a_query_that_is_empty_or_too_long_is_refused_before_asking(httpserver, search, name, query):
    with pytest.raises(ProviderError, match=BAD_QUERIES[name][0]):
        search(query)
    assert not httpserver.log
