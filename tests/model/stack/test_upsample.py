"""Bilinear values of coarser pixels against GDAL's resampling."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from landloom.model.stack.upsample import bilinear, source_span
from osgeo import gdal, gdal_array


def by_gdal(values, ratio, nodata=None):
    source = gdal_array.OpenArray(values)
    if nodata is not None:
        source.GetRasterBand(1).SetNoDataValue(nodata)
    height, width = values.shape
    return source.ReadAsArray(buf_xsize=width * ratio, buf_ysize=height * ratio, resample_alg=gdal.GRIORA_Bilinear)


def ours(values, ratio, nodata, row, column, height, width):
    left, wide = source_span(column, width, ratio, values.shape[1])
    top, tall = source_span(row, height, ratio, values.shape[0])
    out = np.empty((height, width), values.dtype)
    bilinear(values[top : top + tall, left : left + wide], (top, left), (row, column), ratio, nodata, out)
    return out


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([2, 3, 4, 6]), st.sampled_from(["int16", "uint16", "uint8", "float32", "int32"]))
def test_any_window_equals_gdal(data, ratio, dtype):
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    values = (rng.random((9, 11)) * (250 if dtype == "uint8" else 9000) + 1).astype(dtype)
    nodata = data.draw(st.sampled_from([None, 0]))
    if nodata == 0:
        values[rng.random(values.shape) < 0.15] = 0
    row, column = data.draw(st.integers(0, 9 * ratio - 1)), data.draw(st.integers(0, 11 * ratio - 1))
    height, width = data.draw(st.integers(1, 9 * ratio - row)), data.draw(st.integers(1, 11 * ratio - column))
    kind = None if nodata is None else values.dtype.type(nodata)
    got = ours(values, ratio, kind, row, column, height, width)
    want = by_gdal(values, ratio, nodata)[row : row + height, column : column + width]
    if dtype == "float32":
        np.testing.assert_allclose(got, want, rtol=1e-4)
    else:
        np.testing.assert_allclose(got.astype(float), want, atol=1)
        np.testing.assert_array_equal(got == nodata, want == nodata)


def test_pixels_that_are_not_finite_have_no_weight():
    values = np.arange(30, dtype=np.float32).reshape(5, 6) + 1
    values[2, 3] = np.nan
    marked = np.where(np.isnan(values), -1, values).astype(np.float32)
    got = ours(values, 2, None, 0, 0, 10, 12)
    want = by_gdal(marked, 2, -1)
    np.testing.assert_allclose(np.nan_to_num(got, nan=-1), want, rtol=1e-5)
    assert np.isnan(ours(np.full((2, 2), np.nan, np.float32), 2, None, 0, 0, 4, 4)).all()
