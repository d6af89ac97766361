"""Confusion matrices as text files.

``assess`` writes CSV: the header is an empty or any cell and the codes of the predicted classes; each line the code of
a reference class and its counts. The Orfeo ToolBox writes two lines of labels, then the counts:

    #Reference labels (rows):1,2,3
    #Produced labels (columns):1,2,3
    40,2,1
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .errors import LandloomError
from .files import write_text
from .language import tr

_ADVICE = "give the MATRIX of 'Assess' or the matrix of otbcli_ComputeConfusionMatrix."


def read_matrix(path: str | os.PathLike[str]) -> tuple[list[int], np.ndarray]:
    """The codes of a matrix, ascending, and its counts ``[K, K]``, rows the reference, columns the prediction.

    Classes that stand only in the rows or only in the columns get a column or a row of zeros.

    Raises:
        LandloomError: naming file and line, if it is no confusion matrix.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise LandloomError(
            tr("The confusion matrix {path} does not exist; check the path.").format(path=path)
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LandloomError(
            tr("Cannot read the confusion matrix {path}: {error}; {advice}").format(
                path=path, error=error, advice=_ADVICE
            )
        ) from error
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].lstrip().startswith("#"):
        rows, columns, cells, start = _read_otb(path, lines)
    else:
        rows, columns, cells, start = _read_csv(path, lines)
    for what, codes in (("rows", rows), ("columns", columns)):
        if len(set(codes)) < len(codes):
            raise LandloomError(
                tr("The {what} of the confusion matrix {path} name a class twice; {advice}").format(
                    what=what, path=path, advice=_ADVICE
                )
            )
    codes = sorted({*rows, *columns})
    matrix = np.zeros((len(codes), len(codes)))
    for number, (row, line) in enumerate(zip(rows, cells, strict=True), start=start):
        if len(line) != len(columns):
            raise LandloomError(
                tr(
                    "Line {number} of the confusion matrix {path} has {n_line} counts for {n_columns} classes; {advice}"
                ).format(number=number, path=path, n_line=len(line), n_columns=len(columns), advice=_ADVICE)
            )
        for column, cell in zip(columns, line, strict=True):
            matrix[codes.index(row), codes.index(column)] = _count(cell, path, number)
    if not matrix.sum():
        raise LandloomError(
            tr("The confusion matrix {path} holds no counts; {advice}").format(path=path, advice=_ADVICE)
        )
    return codes, matrix


def write_matrix(path: str | os.PathLike[str], codes: Sequence[int], matrix: np.ndarray) -> None:
    """Write ``[K, K]`` counts, rows the reference, in the form that :func:`read_matrix` and ``fuse`` take.

    Raises:
        LandloomError: if it cannot be written.
    """
    lines = [["reference", *(str(int(code)) for code in codes)]]
    for code, row in zip(codes, np.asarray(matrix).tolist(), strict=True):
        lines.append([str(int(code)), *(f"{value:.10g}" for value in row)])
    write_text(path, "".join(f"{','.join(line)}\n" for line in lines))


def _read_otb(path: Path, lines: list[str]) -> tuple[list[int], list[int], list[list[str]], int]:
    if len(lines) < 2 or not lines[1].lstrip().startswith("#"):
        raise LandloomError(
            tr("The confusion matrix {path} has one line of labels where two are due; {advice}").format(
                path=path, advice=_ADVICE
            )
        )
    labels = [_codes(line.partition(":")[2].split(","), path, number) for number, line in enumerate(lines[:2], 1)]
    cells = [line.split(",") for line in lines[2:]]
    if len(cells) != len(labels[0]):
        raise LandloomError(
            tr("The confusion matrix {path} has {n_cells} lines of counts for {n_labels} classes; {advice}").format(
                path=path, n_cells=len(cells), n_labels=len(labels[0]), advice=_ADVICE
            )
        )
    return labels[0], labels[1], cells, 3


def _read_csv(path: Path, lines: list[str]) -> tuple[list[int], list[int], list[list[str]], int]:
    if len(lines) < 2:
        raise LandloomError(tr("{path} holds no confusion matrix; {advice}").format(path=path, advice=_ADVICE))
    delimiter = max(",;\t", key=lines[0].count)
    try:
        table = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter))
    except csv.Error as error:
        raise LandloomError(
            tr("Cannot read the confusion matrix {path}: {error}; {advice}").format(
                path=path, error=error, advice=_ADVICE
            )
        ) from error
    columns = _codes(table[0][1:], path, 1)
    rows = [_codes(line[:1], path, number)[0] for number, line in enumerate(table[1:], start=2)]
    return rows, columns, [line[1:] for line in table[1:]], 2


def _codes(cells: Sequence[str], path: Path, number: int) -> list[int]:
    try:
        return [int(cell.strip()) for cell in cells]
    except ValueError as error:
        raise LandloomError(
            tr(
                "Line {number} of {path} names a class that is no whole number ({args}): a confusion matrix is "
                "needed; {advice}"
            ).format(number=number, path=path, args=error.args[0].split(": ")[-1], advice=_ADVICE)
        ) from None


def _count(cell: str, path: Path, number: int) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = -1.0
    if not (value >= 0 and np.isfinite(value)):
        raise LandloomError(
            tr("Line {number} of the confusion matrix {path} has '{cell}' for a count; {advice}").format(
                number=number, path=path, cell=cell, advice=_ADVICE
            )
        )
    return value
