"""Safe arithmetic over band names, such as ``(B8 - B4) / (B8 + B4)``: parsed by an allow-list, never evaluated as code.

Allowed: ``+ - * / **``, parentheses, numbers, names, and the functions ``sqrt``, ``log`` (natural), ``abs``, ``min``
and ``max`` (two arguments or more). A name may be given first: ``EVI=2.5*(B8-B4)/(B8+6*B4-7.5*B2+1)``.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr

LONGEST = 300
"""Characters of an expression; expressions come from model files too, which may be hostile."""
_MOST_NODES = 150

_OPERATORS: dict[type[ast.operator], Callable[..., np.ndarray]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., np.ndarray]]] = {  # fewest and most arguments
    "SQRT": (1, 1, np.sqrt),
    "LOG": (1, 1, np.log),
    "ABS": (1, 1, np.abs),
    "MIN": (2, 20, lambda *values: functools.reduce(np.minimum, values)),
    "MAX": (2, 20, lambda *values: functools.reduce(np.maximum, values)),
}
_KNOWN = "numbers, band names, + - * / **, parentheses, sqrt, log, abs, min and max"


@dataclass(frozen=True)
class Expression:
    """A parsed expression.

    Attributes:
        text: as given, without blanks, in capitals.
        label: its name, or the text itself.
        names: the band names, each once, in the order in which they appear.
    """

    text: str
    label: str
    names: tuple[str, ...]
    _tree: ast.expr

    def __call__(self, *values: np.ndarray) -> np.ndarray:
        """The value for the arrays of ``names``, float32; 0 where it is no finite number."""
        arrays = dict(zip(self.names, (np.asarray(one, np.float32) for one in values), strict=True))
        with np.errstate(all="ignore"):
            result = np.array(_value(self._tree, arrays), dtype=np.float32)
        result[~np.isfinite(result)] = 0
        return result


@functools.lru_cache(maxsize=256)
def parse_expression(text: str) -> Expression:
    """Parse an expression.

    Raises:
        LandloomError: if it is too long, holds anything but the allowed arithmetic, or no band.
    """
    whole = re.sub(r"\s+", " ", text.strip()).upper()
    name, equals, formula = (part.strip() for part in whole.rpartition("="))
    if len(whole) > LONGEST:
        raise LandloomError(
            tr("The index '{text}...' is longer than {longest} characters; shorten it.").format(
                text=text[:40], longest=LONGEST
            )
        )
    if equals and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
        raise LandloomError(
            tr("The index '{text}' has '{name}' as its name; write it as EVI=2.5*(B8-B4)/(B8+1).").format(
                text=text, name=name
            )
        )
    try:
        tree = ast.parse(formula, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise LandloomError(
            tr("The index '{text}' is neither known nor an expression of {known}.").format(text=text, known=_KNOWN)
        ) from error
    if sum(1 for _ in ast.walk(tree)) > _MOST_NODES:
        raise LandloomError(
            tr("The index '{text}...' has too many terms; split it into several.").format(text=text[:40])
        )
    names: dict[str, None] = {}
    _check(tree, text, names)
    if not names:
        raise LandloomError(tr("The index '{text}' names no band; use band names such as B4 and B8.").format(text=text))
    whole = whole.replace(" ", "")
    return Expression(whole, name or whole, tuple(names), tree)


def is_expression(text: str) -> bool:
    """Whether :func:`parse_expression` accepts a text."""
    try:
        parse_expression(text)
    except LandloomError:
        return False
    return True


def split_list(text: str) -> tuple[str, ...]:
    """The entries of a list of names and expressions: separated by commas or semicolons outside parentheses.

    Blanks separate names too, as in ``NDVI NDWI``, but not the terms of an expression.
    """
    entries, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == ";" or (sign == "," and depth <= 0):
            entries.append(text[start:place])
            start = place + 1
    entries.append(text[start:])
    words: list[str] = []
    for entry in entries:
        parts = entry.split()
        simple = all(re.fullmatch(r"\w+(-\w+)?", part) for part in parts)
        words.extend(parts if simple else [" ".join(parts)])
    return tuple(words)


def _check(node: ast.AST, text: str, names: dict[str, None]) -> None:
    """Refuse every node that is not on the list; collect the names of bands."""
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        _check(node.left, text, names)
        _check(node.right, text, names)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        _check(node.operand, text, names)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        few, most, _ = _FUNCTIONS.get(node.func.id, (0, -1, None))
        if not few <= len(node.args) <= most:
            known = node.func.id in _FUNCTIONS
            why = tr("has another number of values") if known else tr("is not known")
            raise LandloomError(
                tr("The index '{text}': the function {id} {why}; allowed are {known}.").format(
                    text=text, id=node.func.id.lower(), why=why, known=_KNOWN
                )
            )
        for value in node.args:
            _check(value, text, names)
    elif isinstance(node, ast.Name):
        names[node.id] = None
    elif not (isinstance(node, ast.Constant) and type(node.value) in (int, float)):
        raise LandloomError(tr("The index '{text}' holds something else than {known}.").format(text=text, known=_KNOWN))


def _value(node: ast.expr, arrays: dict[str, np.ndarray]) -> np.ndarray:
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, arrays), _value(node.right, arrays)
        return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.UnaryOp):
        value = _value(node.operand, arrays)
        return np.negative(value) if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _FUNCTIONS[node.func.id][2](*(_value(one, arrays) for one in node.args))
    if isinstance(node, ast.Name):
        return arrays[node.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return _number(node.value)
    raise TypeError(f"{type(node).__name__} passed the check of expressions")


def _number(value: int | float) -> np.ndarray:
    """A constant as float32: a huge whole number becomes infinite and takes no memory."""
    try:
        return np.asarray(np.float32(value))
    except OverflowError:
        return np.asarray(np.float32(np.inf))
