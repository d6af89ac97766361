"""The Processing provider ``landloom``."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsApplication, QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from ..model.base.language import tr, use_language
from .addrasters import AddRasters
from .areas import Areas
from .assess import Assess
from .check import Check
from .classify import Classify
from .classifyobjects import ClassifyObjects
from .compare import Compare
from .composite import Composite
from .coregister import Coregister
from .descriptors import Descriptors
from .difference import Difference
from .examples import EXAMPLES
from .extractsamples import ExtractSamples
from .fromiota2 import FromIota2
from .fuse import Fuse
from .landcovermap import LandCoverMap
from .layout import Layout
from .mosaic import MakeMosaic
from .nomenclature import MakeNomenclature
from .objectfeatures import ObjectFeatures
from .openstack import OpenStack
from .preparestack import PrepareStack
from .regularise import Regularise
from .sampledesign import SampleDesign
from .samplescene import SampleScene
from .searchproducts import SearchProducts
from .segment import Segment
from .status import Status
from .suggestlabels import SuggestLabels
from .train import Train
from .trainobjects import TrainObjects
from .vectorise import Vectorise

ICON = Path(__file__).parents[1] / "resources" / "icons" / "landloom.svg"

ALGORITHMS = (
    SearchProducts,
    PrepareStack,
    AddRasters,
    Composite,
    OpenStack,
    MakeNomenclature,
    ExtractSamples,
    Train,
    Classify,
    LandCoverMap,
    Assess,
    Compare,
    SampleDesign,
    Areas,
    Fuse,
    MakeMosaic,
    Regularise,
    Vectorise,
    Difference,
    Segment,
    Descriptors,
    SuggestLabels,
    Layout,
    ObjectFeatures,
    TrainObjects,
    ClassifyObjects,
    SampleScene,
    Coregister,
    Check,
    FromIota2,
    Status,
)


class LandloomProvider(QgsProcessingProvider):
    """Lists every algorithm, whatever packages are missing."""

    def id(self) -> str:
        return "landloom"

    def name(self) -> str:
        return "Landloom"

    def longName(self) -> str:  # noqa: N802
        return tr("Landloom: land cover from satellite time series")

    def icon(self) -> QIcon:
        return QIcon(str(ICON))

    def svgIconPath(self) -> str:  # noqa: N802
        return str(ICON)

    def loadAlgorithms(self) -> None:  # noqa: N802
        use_language(QgsApplication.locale())  # names, labels and help
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())
        if QgsApplication.processingRegistry().providerById(self.id()) is not None:  # loaded anew
            self.load_examples()

    def load_examples(self) -> None:
        """Add the example models; to be called when the provider is registered, since they name its algorithms."""
        for example in EXAMPLES:
            self.addAlgorithm(example())
        self.algorithmsLoaded.emit()  # for a toolbox that has listed the others
