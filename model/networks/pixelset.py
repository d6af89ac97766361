"""The set of an object's pixels as a time series: pixel-set encoder, then the temporal attention of ``ltae``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import Prediction, SensorInput, SensorShape
from .ltae import AttentionBranch, LightTemporalAttention
from .planar import PlanarLinear
from .registry import GEOMETRY

DEFAULTS = {"widths": (32, 64), "pooled": 64, "heads": 16, "descriptor": 128, "dropout": 0.1}
EPSILON = 1e-5  # under the root of the variance, whose slope at 0 has no bound


class PixelSetAttention(LightTemporalAttention):
    """A network of objects: a sample is a set of pixels, of which any may be masked at any date.

    By group of sensors (all ``S1_*`` are one) and date, a perceptron reads each pixel; what it gives is pooled over the
    object's valid pixels to mean and standard deviation; these and the object's geometry go through a second
    perceptron, and its output through the temporal attention of ``ltae``, with the same days, late fusion and
    auxiliary heads. A date on which no pixel of an object is valid is masked, as is a missing sensor. The order of
    pixels does not matter.

    Sources: V. Sainte Fare Garnot, L. Landrieu, S. Giordano, N. Chehata, "Satellite Image Time Series Classification
    with Pixel-Set Encoders and Temporal Self-Attention", CVPR 2020, arXiv 1911.07757; the attention as in
    :class:`LightTemporalAttention`.

    Args:
        sensors: name -> shape; one of the name ``GEOMETRY`` holds features of the object instead of pixels.
        classes: number of classes.
        settings: ``widths`` of the perceptron of pixels, ``pooled`` width of that after pooling, ``heads``,
            ``descriptor`` width, ``dropout`` before the classifier.
    """

    name, defaults = "pixelset", DEFAULTS

    def __init__(self, sensors: dict[str, SensorShape], classes: int, settings: dict | None = None) -> None:
        geometry = sensors.get(GEOMETRY)
        self.geometry = 0 if geometry is None else geometry.channels
        super().__init__({name: shape for name, shape in sensors.items() if name != GEOMETRY}, classes, settings)

    def branch(self, shape: SensorShape, members: int) -> AttentionBranch:
        """The branch of a group of sensors."""
        chosen = self.settings
        return PixelSetBranch(
            shape, members, chosen["widths"], chosen["pooled"], self.geometry, chosen["heads"], chosen["descriptor"]
        )

    def forward(self, inputs: dict[str, SensorInput]) -> Prediction:
        """Classify objects.

        Args:
            inputs: of each sensor ``x`` ``[B, T, C, H, W]``, whose H x W pixels are the set, as many for all sensors,
                in any order; a sensor may be absent, and any pixel masked on any date.

        Returns:
            logits ``[B, K, 1, 1]``, and so the rest.

        Raises:
            ValueError: if no sensor is there.
        """
        series = {name: one for name, one in inputs.items() if name != GEOMETRY}
        if not series:
            raise ValueError("no sensor is given")
        first = next(iter(series.values())).x
        extra = None
        if self.geometry:
            known = inputs.get(GEOMETRY)
            extra = first.new_zeros(self.geometry, len(first)) if known is None else known.x[:, 0].mean(dim=(2, 3)).T
        return self.fuse(series, len(first), 1, 1, extra)


class PixelSetBranch(AttentionBranch):
    """Pixel-set encoder, attention and descriptor of one group of sensors."""

    def __init__(
        self,
        shape: SensorShape,
        members: int,
        widths: tuple[int, ...],
        pooled: int,
        geometry: int,
        heads: int,
        descriptor: int,
    ) -> None:
        super().__init__(shape, members, widths, heads, descriptor, attended=pooled)
        self.pooled = PlanarLinear(2 * widths[-1] + geometry, pooled, norm=True)
        self.pooled_timing = nn.Linear(pooled, pooled, bias=False)

    def by_date(
        self, x: Tensor, mask: Tensor, encoding: Tensor, places: Tensor, units: int, extra: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """``[T, C, units * pixels]`` -> ``[T, pooled, units]``, and on which dates ``[T, units]`` are valid."""
        dates, pixels = mask.shape[0], mask.shape[1] // units
        used = mask.any(dim=0)
        count = int(used.sum())
        if count < 0.8 * len(used):  # sets of few pixels are mostly padding, which need not be computed
            place = used.nonzero()[:, 0]
            few = self.perceptron(x[:, :, place], mask[:, place], encoding, places)
            z = few.new_zeros(dates, few.shape[1], len(used)).index_copy(2, place, few)
        else:
            z = self.perceptron(x, mask, encoding, places)
        sets = mask.view(dates, units, pixels)
        summary = pool(z.view(dates, -1, units, pixels), sets)
        if extra is not None:
            summary = torch.cat([summary, extra.expand(dates, -1, -1)], dim=1)
        valid = sets.any(dim=2)
        weight = valid.to(z.dtype).unsqueeze(1)
        return torch.relu_(self.pooled(summary, weight, self.pooled_timing(encoding))), valid


def pool(z: Tensor, mask: Tensor) -> Tensor:
    """Mean and standard deviation of valid pixels: ``[T, C, B, S]`` -> ``[T, 2 C, B]``.

    The variance is divided by n - 1, so that it is expected to be the same of few pixels, in small objects and in the
    draws of training, as of many.

    Args:
        z: values of S pixels; what the mask hides may be anything finite.
        mask: ``[T, B, S]`` bool. Without a valid pixel both are 0; of one pixel the deviation is 0.
    """
    weight = mask.unsqueeze(1).to(z.dtype)
    count = weight.sum(dim=3)
    mean = (z * weight).sum(dim=3) / count.clamp_min(1.0)
    variance = ((z - mean.unsqueeze(3)).square() * weight).sum(dim=3) / (count - 1.0).clamp_min(1.0)
    return torch.cat([mean, (variance + EPSILON).sqrt() - EPSILON**0.5], dim=1)
