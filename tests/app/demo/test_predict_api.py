"""The demo for programs: `/predict`, by gradio's client and by plain HTTP. Run: `python -m pytest tests/app/demo/test_predict_api.py`"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from grey_images import dicom
from PIL import Image
from small_demo import BAD_FILES, save_checkpoint
from tiny import grey

from hf_bones.app.demo.examples import example_names
from hf_bones.app.demo.models.shelf import ModelEntry
from hf_bones.app.demo.page import CLEAN_EVERY, KEEP_FOR, build_demo, serve
from hf_bones.app.no_fetching import REFUSAL, upload_here
from hf_bones.images.opening import Refusal
from hf_bones.inference.predictor import BonePredictor


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("models") / "other-model", calibrated=False)


@pytest.fixture(scope="module")
def client(checkpoint: Path, second: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        patch.setenv("GRADIO_ALLOWED_PATHS", str(checkpoint))
        demo = build_demo(ModelEntry(checkpoint), ModelEntry(second))
        address = serve(demo, wait=False)
        yield Client(address, verbose=False)
        demo.close(verbose=False)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "wrist.png"
    grey().save(path)
    return path


def by_hand(client: Client, film: dict[str, Any]) -> str:
    """What the server answers to a call by plain HTTP, as from curl: its events as text."""
    call = f"{client.src}gradio_api/call/v2/predict"
    with httpx.Client(timeout=60) as http:
        event = http.post(call, json={"film": film}).raise_for_status().json()["event_id"]
        return http.get(f"{call}/{event}").text


def uploaded(client: Client, path: Path) -> str:
    """Where the server has put an upload."""
    (there,) = httpx.post(f"{client.src}gradio_api/upload", files={"files": (path.name, path.read_bytes())}).raise_for_status().json()
    return str(there)


def test_predict_gives_the_finding_of_the_predictor(client: Client, predictor: BonePredictor, second: Path, film: Path) -> None:
    finding = client.predict(handle_file(film), api_name="/predict")
    (expected,) = predictor.predict(film)
    assert finding == {**expected.to_dict(), "source": "wrist.png", "checkpoint": "my-model"}
    other = client.predict(handle_file(film), "other-model", api_name="/predict")
    assert other["checkpoint"] == "other-model" and other["probabilities"] != finding["probabilities"]


def test_predict_by_plain_http(client: Client, predictor: BonePredictor, film: Path) -> None:
    answered = by_hand(client, {"path": uploaded(client, film), "meta": {"_type": "gradio.FileData"}})
    assert answered.startswith("event: complete")
    (finding,) = json.loads(answered.partition("data: ")[2])
    assert finding["probabilities"] == pytest.approx(predictor.predict(film)[0].probabilities, abs=1e-6)


@pytest.mark.parametrize("kind", ["deep.png", "deep.tiff", "film.dcm", "no-name"])
def test_any_kind_of_film_reaches_the_model_as_it_is(client: Client, predictor: BonePredictor, tmp_path: Path, kind: str) -> None:
    deep = np.asarray(grey(seed=1)).astype(np.uint16) * 16
    path = tmp_path / kind
    if kind.startswith("deep"):
        Image.fromarray(deep).save(path)
    else:
        path.write_bytes(dicom(deep, bits=12))
    finding = client.predict(handle_file(path), api_name="/predict")
    assert finding["raw_probabilities"] == pytest.approx(predictor.predict(path)[0].raw_probabilities, abs=1e-6)
    assert "Doe" not in json.dumps(finding)


@pytest.mark.parametrize(("content", "reason"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_gets_a_finding_that_says_why(client: Client, tmp_path: Path, content: bytes, reason: Refusal) -> None:
    path = tmp_path / "wrist.jpg"
    path.write_bytes(content)
    finding = client.predict(handle_file(path), api_name="/predict")
    assert finding["verdict"] == "unreadable" and finding["reasons"][0] == reason and finding["source"] == "wrist.jpg"
    assert str(tmp_path) not in json.dumps(finding) and "/gradio" not in json.dumps(finding)


def test_a_model_that_is_not_offered_is_refused_with_those_that_are(client: Client, film: Path) -> None:
    with pytest.raises(Exception, match="choose one of my-model, other-model"):
        client.predict(handle_file(film), "me/else", api_name="/predict")


def test_predict_is_the_only_public_way_in_and_is_described(client: Client) -> None:
    described = client.view_api(return_format="dict", print_info=False)
    assert list(described["named_endpoints"]) == ["/predict"] and not described["unnamed_endpoints"]
    endpoint = described["named_endpoints"]["/predict"]
    film, model = endpoint["parameters"]
    assert (film["parameter_name"], film["example_input"]["path"]) == ("film", example_names()[0])
    assert (model["parameter_name"], model["parameter_default"]) == ("model", "my-model")
    text = json.dumps(endpoint)
    assert "verdict" in text and "probabilities" in text and "bus.png" not in text and "sample_file" not in text
    assert client.config["mcp_server"] is False and httpx.get(f"{client.src}gradio_api/mcp").status_code == 404


def test_a_file_of_the_server_cannot_be_asked_for(client: Client, checkpoint: Path) -> None:
    answered = by_hand(client, {"path": str(checkpoint / "config.json"), "meta": {"_type": "gradio.FileData"}})
    assert "event: error" in answered and "verdict" not in answered
    assert httpx.get(f"{client.src}gradio_api/file={checkpoint / 'config.json'}").status_code == 403, "though GRADIO_ALLOWED_PATHS has it"


@pytest.mark.parametrize("field", ["path", "url"])
def test_no_address_is_fetched_for_a_visitor(client: Client, film: Path, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []

    async def fetch(url: str, *_: Any, **__: Any) -> str:
        fetched.append(url)
        return str(film)

    for name in ("async_ssrf_protected_download", "async_ssrf_protected_get"):  # as if what they guard against were no obstacle
        monkeypatch.setattr(f"gradio.processing_utils.{name}", fetch)
    told = {"path": uploaded(client, film), "meta": {"_type": "gradio.FileData"}, field: "http://films.example/wrist.png"}
    answered = by_hand(client, told)
    assert not fetched
    if field == "path":
        assert "event: error" in answered and REFUSAL in answered
    else:
        assert "event: complete" in answered, "the address is ignored, the upload beside it is read"


@pytest.mark.parametrize(
    "path",
    ["file=http://films.example/a.png", "file=HTTPS:%2F%2Ffilms.example/a.png", "proxy=https://me-bones.hf.space/a.png", "file=ftp://a/b"],
)
def test_nothing_of_another_server_is_handed_on(client: Client, path: str) -> None:
    for prefix in ("gradio_api/", ""):
        answer = httpx.get(f"{client.src}{prefix}{path}")
        assert answer.status_code in (403, 404) and len(answer.content) < 200


def test_an_upload_may_be_named_by_its_address_here(client: Client, film: Path, tmp_path: Path) -> None:
    place = uploaded(client, film)
    answered = by_hand(client, {"path": f"{client.src}gradio_api/file={place}", "meta": {"_type": "gradio.FileData"}})
    assert "event: complete" in answered and '"source": "wrist.png"' in answered
    folder = str(Path(place).parent)
    assert upload_here(f"{client.src}gradio_api/file={place}", folder) == Path(place)
    for other in (str(film), f"{client.src}gradio_api/file={film}", f"{client.src}gradio_api/file={folder}/../../x", "film", folder):
        assert upload_here(other, folder) is None


@pytest.mark.parametrize("headers", [{"Host": "films.example"}, {"Origin": "http://films.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_another_site_gets_no_answer(client: Client, headers: dict[str, str]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(urllib.request.Request(f"{client.src}config", headers=headers))


def test_nothing_is_recorded_or_reported_and_uploads_are_deleted(client: Client) -> None:
    config = client.config
    assert config["run_history"] is False and config["analytics_enabled"] is False
    assert 0 < CLEAN_EVERY + KEEP_FOR <= 20 * 60, "the page promises 20 minutes"


def test_uploads_are_gone_in_time_and_all_when_the_server_stops(
    checkpoint: Path, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(cache))
    monkeypatch.setattr("hf_bones.app.demo.page.CLEAN_EVERY", 1)
    monkeypatch.setattr("hf_bones.app.demo.page.KEEP_FOR", 1)

    def files() -> list[Path]:
        return [path for path in cache.rglob("*") if path.is_file()]

    demo = build_demo(checkpoint)
    client = Client(serve(demo, wait=False), verbose=False, download_files=False)
    client.predict(handle_file(film), api_name="/predict")
    assert len(files()) <= 1, "a finding needs no file beside its upload"
    until = time.monotonic() + 20
    while files() and time.monotonic() < until:
        time.sleep(0.1)
    assert not files()
    client.predict(handle_file(film), api_name="/predict")
    demo.close(verbose=False)
    assert not files()


def test_a_server_with_a_password_gives_nothing_without_it(checkpoint: Path, film: Path) -> None:
    demo = build_demo(checkpoint)
    address = serve(demo, wait=False, auth=("ada", "a secret"))
    try:
        for path in ("config", "gradio_api/info", "gradio_api/queue/data?session_hash=a"):
            assert httpx.get(f"{address}{path}").status_code == 401
        assert httpx.post(f"{address}gradio_api/call/predict", json={"data": []}).status_code == 401
        assert httpx.post(f"{address}gradio_api/upload", files={"files": b"a"}).status_code == 401
        client = Client(address, auth=("ada", "a secret"), verbose=False)
        assert client.predict(handle_file(film), api_name="/predict")["source"] == "wrist.png"
    finally:
        demo.close(verbose=False)
