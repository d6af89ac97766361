"""fuse through Processing: lists of maps and matrices keep their order, names of iota2, one sentence for bad input."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.legend import legend_of
from landloom.model.base.raster import open_raster, spatial_reference, write_raster


@pytest.fixture
def maps(tmp_path):
    folder = tmp_path / "cartes d'été"
    crs = spatial_reference("EPSG:32738").ExportToWkt()
    values = [[[1, 1, 2, 0]], [[1, 2, 3, 0]], [[2, 2, 1, 3]]]
    return [
        str(write_raster(folder / f"{name} {k}.tif", np.array(one, np.uint8), (5e5, 10, 0, 8e6, 0, -10), crs))
        for k, (name, one) in enumerate(zip("cab", values, strict=True))
    ]


def fuse(**parameters):
    import processing

    return processing.run("landloom:fuse", parameters)


def test_vote_with_names_of_iota2(landloom_provider, maps, tmp_path):
    (tmp_path / "nomenclature.txt").write_text("maïs, irrigué:1\nriz:2\nforêt:3\n", encoding="utf-8")
    (tmp_path / "colors.txt").write_text("1 255 204 0\n2 0 255 0\n3 0 100 0\n")
    output = tmp_path / "vote.tif"
    done = fuse(
        MAPS=maps,
        METHOD="majority",
        UNDECIDED=9,
        NOMENCLATURE=str(tmp_path / "nomenclature.txt"),
        OUTPUT=str(output),
        CONFIDENCE=str(tmp_path / "agreement.tif"),
    )
    assert open_raster(output).ReadAsArray().tolist() == [[1, 2, 9, 3]]
    assert open_raster(done["CONFIDENCE"]).ReadAsArray().tolist() == [[67, 67, 33, 100]]
    assert done["UNDECIDED_SHARE"] == pytest.approx(0.25)
    names, colors = legend_of(open_raster(output))
    assert names == {1: "maïs, irrigué", 2: "riz", 3: "forêt", 9: "undecided"}
    assert colors[3] == "#006400"


def test_matrices_belong_to_maps_by_their_order(landloom_provider, maps, tmp_path):
    # Only the third map is ever right, so it decides alone.
    matrices = []
    for name, right in (("z", 1), ("y", 1), ("x", 99)):
        path = tmp_path / f"{name}.csv"
        wrong = 100 - right
        path.write_text(f"reference,1,2,3\n1,{right},{wrong},0\n2,0,{right},{wrong}\n3,{wrong},0,{right}\n")
        matrices.append(str(path))
    output = tmp_path / "belief.tif"
    fuse(MAPS=maps, METHOD="dempstershafer", MATRICES=matrices, BELIEF="recall", OUTPUT=str(output))
    assert open_raster(output).ReadAsArray().tolist() == [[2, 2, 1, 3]]


def test_refuses(landloom_provider, maps, tmp_path):
    from qgis.core import QgsProcessingException

    output = str(tmp_path / "o.tif")
    for parameters, word in (
        ({"MAPS": maps[:1]}, "two or more"),
        ({"METHOD": "dempstershafer"}, "0 confusion matrices for 3 maps"),
        ({"METHOD": "mean"}, "does not tell the classes of its bands"),
        ({"METHOD": "luck"}, "METHOD"),
        ({"OUTPUT": maps[0]}, r"is also an input \(MAPS\)"),
    ):
        with pytest.raises(QgsProcessingException, match=word):
            fuse(**{"MAPS": maps, "OUTPUT": output, **parameters})
