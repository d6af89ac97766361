"""Images that are none: what GDAL would read as a list of other files or addresses is refused, nothing is fetched."""

from __future__ import annotations

import json
import socket
import threading
import zipfile

import numpy as np
import pytest
import samples_scene
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.base.raster import open_raster
from landloom.model.stack.manifest import Stack
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from landloom.model.stack.products import Choice, find_products

VRT = (
    '<VRTDataset rasterXSize="24" rasterYSize="24"><SRS>EPSG:32738</SRS><GeoTransform>500000,10,0,8000000,0,-10'
    '</GeoTransform><VRTRasterBand dataType="Int16" band="1"><SimpleSource><SourceFilename>{}</SourceFilename>'
    "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
)
WMS = "<GDAL_WMS><Service name='TMS'><ServerUrl>{}/${{z}}.png</ServerUrl></Service></GDAL_WMS>"


@pytest.fixture
def trap():
    """The address of a server that notes who calls."""
    server, calls = socket.create_server(("127.0.0.1", 0)), []

    def listen():
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return
            calls.append(caller.recv(100))
            caller.close()

    threading.Thread(target=listen, daemon=True).start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", calls
    server.close()


@pytest.mark.parametrize("text", [VRT, "\ufeff \n" + VRT, WMS])
def test_a_product_whose_bands_are_lists_of_files(text, trap, tmp_path, write_product):
    address, calls = trap
    for date in ("20210105", "20210115"):
        write_product.theia(tmp_path / "in", date, cloud=np.zeros((24, 24)))
    bad = next((tmp_path / "in").glob("*20210115*/*FRE_B4.tif"))
    bad.write_text(text.format(f"/vsicurl/{address}/x.tif" if text is not WMS else address), encoding="utf-8")
    result = prepare_stack(tmp_path / "in", tmp_path / "stack.json", PrepareSettings())
    assert [one.date for one in result.stack.sensors["S2"].acquisitions] == ["2021-01-05"]
    assert any("not the image that its name promises" in line.why for line in result.lines)
    assert not calls


def test_one_in_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.tif", VRT.format("/etc/passwd"))
    with pytest.raises(LandloomError, match="not the image"):
        open_raster(f"/vsizip/{tmp_path}/a.zip/x.tif")


def test_names_in_an_archive_stay_in_it(tmp_path, write_product):
    """Entries such as ../../x.tif are no entries."""
    write_product.theia(tmp_path / "in", "20210105")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in (tmp_path / "in").rglob("*.tif"):
            archive.writestr(zipfile.ZipInfo(f"../../{path.name}"), path.read_bytes())
            archive.writestr(zipfile.ZipInfo(f"{tmp_path}/in/{path.name}"), path.read_bytes())
    with pytest.raises(LandloomError, match="No product"):
        find_products(tmp_path / "a.zip", Choice(), Progress())


@pytest.mark.parametrize(
    "path", ["/vsistdin/", "/vsimem/x.tif", "/vsizip//vsistdin/x", "/vsisparse/x.xml", "/vsicrypt/key=a,file=b"]
)
def test_a_stack_names_files_archives_and_addresses_only(path, make_stack, tmp_path):
    stack = make_stack(tmp_path, samples_scene.sensors())
    content = json.loads(stack.read_text("utf-8"))
    content["sensors"][0]["acquisitions"][0]["parts"][0]["sources"][0]["path"] = path
    stack.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(LandloomError, match="no file, archive or address"):
        Stack.read(stack)


def test_a_stack_cannot_name_a_description_as_its_own(make_stack, tmp_path):
    """What looks like a VRT or a driver's prefix is only a name of a file that does not exist."""
    stack = make_stack(tmp_path, samples_scene.sensors())
    for name in (VRT.format("/etc/passwd"), "HDF5:x.h5://a", "WMS:http://127.0.0.1/", "MEM:::DATAPOINTER=1"):
        content = json.loads(stack.read_text("utf-8"))
        content["sensors"][0]["acquisitions"][0]["parts"][0]["sources"][0]["path"] = name
        (tmp_path / "other.json").write_text(json.dumps(content), encoding="utf-8")
        source = Stack.read(tmp_path / "other.json").sensors["S2"].acquisitions[0].parts[0].sources[0]
        assert source.path.startswith(str(tmp_path))
        with pytest.raises(LandloomError, match="does not exist"):
            open_raster(source.path)
