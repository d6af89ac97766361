"""What the user chooses for an extraction, and the checks before any work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..base.errors import LandloomError
from ..base.files import check_writable
from ..base.language import tr
from ..base.values import check_choice
from .store import is_sample_folder

SPLIT_RULES = ("group", "block", "field")


@dataclass(frozen=True)
class ExtractionSettings:
    """What the user chose; see the parameters of ``extractsamples``.

    Distances are metres, shares 0 to 1, limits of 0 mean none.
    """

    class_field: str
    nomenclature: str = ""
    level: int = 0
    group_field: str = ""
    group_distance: float = 0.0
    halo: int = 2
    inner_buffer: float = 0.0
    min_share: float = 0.5
    max_per_class: int = 0
    max_per_group: int = 200
    validation: float = 0.2
    test: float = 0.2
    folds: int = 5
    split_by: str = "group"
    block_size: float = 5000.0
    split_field: str = ""
    seed: int = 0
    memory_mb: int = 1024
    reference_crs: str = ""

    def check(self) -> None:
        """Raise a :class:`LandloomError` that names the first wrong parameter."""
        check_choice("SPLIT_BY", self.split_by, SPLIT_RULES)
        if self.split_by == "field" and not self.split_field:
            raise LandloomError(
                tr("SPLIT_BY is 'field': give the SPLIT_FIELD that holds training, validation or test.")
            )
        if not 0 <= self.halo <= 64:
            raise LandloomError(tr("HALO is {halo}; give 0 to 64 pixels.").format(halo=self.halo))
        if not self.class_field:
            raise LandloomError(tr("CLASS_FIELD is empty: name the field of the reference data that holds the class."))
        for name in ("inner_buffer", "max_per_class", "max_per_group", "group_distance", "level"):
            if getattr(self, name) < 0:
                raise LandloomError(
                    tr("{name} is {getattr:g}; give 0 or more.").format(name=name.upper(), getattr=getattr(self, name))
                )
        if self.split_by != "field" and self.validation + self.test >= 1:
            raise LandloomError(
                tr("VALIDATION ({validation:g}) and TEST ({test:g}) leave nothing for training: give less.").format(
                    validation=self.validation, test=self.test
                )
            )


def check_output(folder: Path) -> None:
    """Refuse, before any work, to replace what is not a folder of samples, or to write where that is not possible.

    Raises:
        LandloomError: naming the folder.
    """
    if folder.exists():
        if not folder.is_dir():
            raise LandloomError(
                tr("OUTPUT {folder} is a file; give the name of a folder for the samples.").format(folder=folder)
            )
        if any(folder.iterdir()) and not is_sample_folder(folder):
            raise LandloomError(
                tr(
                    "OUTPUT {folder} holds something else than samples and is not replaced: choose a new folder."
                ).format(folder=folder)
            )
    check_writable(folder)
