"""searchproducts through Processing, against a service on loopback, and preparestack on what it finds."""

from __future__ import annotations

import json
import socket

import pytest
from landloom.model.stack.stac import search as searching
from qgis.core import QgsProcessingException, QgsProcessingFeedback, QgsVectorLayer

pytest.importorskip("pystac_client", reason="pystac-client is not installed")
AREA = "500000,504000,7996000,8000000 [EPSG:32738]"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(searching, "BACKOFF", 0.01)


def run(tmp_path, address, feedback=None, **parameters):
    import processing

    asked = {
        "EXTENT": AREA, "START": "2021-01-01", "END": "2021-12-31", "ENDPOINT": address,
        "OUTPUT": str(tmp_path / "été" / "items.json"), "FOOTPRINTS": str(tmp_path / "f.gpkg"),
    }  # fmt: skip
    return processing.run("landloom:searchproducts", {**asked, **parameters}, feedback=feedback)


def test_all_pages_and_footprints(landloom_provider, tmp_path, stac_api):
    stac_api.busy_searches = 2
    results = run(tmp_path, stac_api.address)
    content = json.loads((tmp_path / "été" / "items.json").read_text("utf-8"))
    assert results["COUNT"] == 5 and len(content["features"]) == 5 and len(stac_api.searches) == 3
    west, south, east, north = stac_api.searches[0]["bbox"]
    assert 44.9 < west < east < 45.1 and -18.2 < south < north < -18
    layer = QgsVectorLayer(results["FOOTPRINTS"])
    assert layer.isValid() and layer.featureCount() == 5 and layer.crs().authid() == "EPSG:4326"
    assert sorted(one["date"].toString("yyyy-MM-dd") for one in layer.getFeatures())[0] == "2021-01-03"


def test_cloud_dates_and_the_way_to_a_copied_stack(landloom_provider, tmp_path, stac_api):
    import processing

    results = run(tmp_path, stac_api.address, MAX_CLOUD=50, START="20210110", FOOTPRINTS=None)
    assert results["COUNT"] == 2 and stac_api.searches[0]["query"]["eo:cloud_cover"]["lte"] == 50
    processing.run(
        "landloom:preparestack",
        {
            "INPUT": results["OUTPUT"], "OUTPUT": str(tmp_path / "stack.json"), "COPY": str(tmp_path / "copie"),
            "EXTENT": "501000,502000,7998000,7999000 [EPSG:32738]",
        },
    )  # fmt: skip
    content = json.loads((tmp_path / "stack.json").read_text("utf-8"))
    part = content["sensors"][0]["acquisitions"][1]["parts"][0]
    assert content["grid"]["width"] == 100 and part["sources"][0]["path"] == "copie/S2.tif"
    assert len(content["sensors"][0]["acquisitions"]) == 2


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"START": "2021-12-31", "END": "2021-01-01"}, "after END"),
        ({"START": "soon"}, "not a date"),
        ({"END": ""}, "END"),
        ({"ENDPOINT": "ftp://x"}, "planetary-computer, earth-search"),
        ({"ENDPOINT": "earth-search", "SENSORS": "S1"}, "choose ENDPOINT planetary-computer"),
        ({"START": "1999-01-01", "END": "1999-02-01"}, "Nothing is found"),
        ({"SENSORS": "other-collection"}, "other-collection"),
        ({"FOOTPRINTS": "f.xyz"}, None),
    ],
)
def test_bad_searches_say_why(landloom_provider, tmp_path, stac_api, parameters, message):
    with pytest.raises(QgsProcessingException, match=message):
        run(tmp_path, stac_api.address, **parameters)
    assert not list((tmp_path / "été").glob("*")) if (tmp_path / "été").exists() else True


def test_no_service(landloom_provider, tmp_path, stac_api, monkeypatch):
    monkeypatch.setattr(searching, "RETRIES", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(QgsProcessingException, match="cannot be reached"):
        run(tmp_path, closed)
    with pytest.raises(QgsProcessingException, match="ENDPOINT"):
        run(tmp_path, f"{stac_api.address}/nothing/here")
    with pytest.raises(QgsProcessingException, match="does not answer as a STAC API"):
        run(tmp_path, f"{stac_api.address}/token/x")
    stac_api.busy_searches = 99
    with pytest.raises(QgsProcessingException, match=r"refuses|reached"):
        run(tmp_path, stac_api.address)


def test_cancelling(landloom_provider, tmp_path, stac_api):
    class Cancelled(QgsProcessingFeedback):
        def isCanceled(self):  # noqa: N802
            return True

    with pytest.raises(QgsProcessingException, match="Cancelled"):
        run(tmp_path, stac_api.address, Cancelled())
    assert not (tmp_path / "f.gpkg").exists()


def test_without_the_package_one_sentence_says_how_to_get_it(landloom_provider, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pystac_client", None)
    with pytest.raises(QgsProcessingException, match="pip install pystac-client"):
        run(tmp_path, "earth-search")
