"""Reading iota2's configuration files: every notation its examples use, and nothing is ever evaluated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.base.iota2config import read_config

EXAMPLE = """
# a comment
chain :
{
  output_path : '/data/out'   # where
  remove_output_path : True
  list_tile : 'T31TCJ T31TDJ'
  s2_path : "/data/S2"
  ground_truth : '/data/it''s/ref.shp'
  runs : 3
  ratio : 0.7
  region_path:None,
  spatial_resolution : [10, 10]
}
arg_train :
{
  classifier : 'sharkrf'
  sample_selection : {'sampler':'random', 'strategy':'all'}
  sample_augmentation : {'target_models':['1', '2'],
                         'strategy' : 'jitter',}
}
GlobChain : { proj : 'EPSG:2154' features : ["NDVI", "NDWI"] }
external : { path : $chain.output_path }
"""


def _write(tmp_path, text):
    path = tmp_path / "config.cfg"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_file_is_read_with_its_types(tmp_path) -> None:
    found = read_config(_write(tmp_path, EXAMPLE))
    chain = found["chain"]
    assert chain["output_path"] == "/data/out"
    assert chain["remove_output_path"] is True
    assert chain["runs"] == 3
    assert chain["ratio"] == 0.7
    assert chain["region_path"] is None
    assert chain["spatial_resolution"] == [10, 10]
    assert found["arg_train"]["sample_augmentation"] == {"target_models": ["1", "2"], "strategy": "jitter"}
    assert found["GlobChain"] == {"proj": "EPSG:2154", "features": ["NDVI", "NDWI"]}
    # A reference is text: following it would be the user's surprise, evaluating it a hole.
    assert found["external"] == {"path": "$chain.output_path"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("chain : { runs : 3", "'}' is missing"),
        ("chain : { runs 3 }", "no ':'"),
        ("chain : { runs : }", "where a value should"),
        ("chain : { runs : [1, 2 }", "line 1"),
        ("just words", "no ':'"),
        ("runs : 3", "no section"),
        ("a : {" * 50, "too deep"),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_line(tmp_path, text, sentence) -> None:
    with pytest.raises(LandloomError, match=sentence.replace("(", r"\(")):
        read_config(_write(tmp_path, text))


@given(st.text(alphabet=" \n{}[]:,'\"#ab1.", max_size=60))
def test_any_text_is_read_or_refused_in_one_sentence(tmp_path_factory, text) -> None:
    try:
        read_config(_write(tmp_path_factory.mktemp("cfg"), text))
    except LandloomError as error:
        assert "\n" not in str(error)
