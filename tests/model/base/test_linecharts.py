"""A value without neighbours is seen in every viewer: Qt draws no line without length, browsers do."""

import math
import re

from landloom.model.base.charts import lines


def test_a_lone_value_is_a_circle_and_others_are_not() -> None:
    picture = lines("dates", [0, 1, 2, 3, 4], {"valid": [0.5, math.nan, 0.2, 0.3, math.nan]}, colors=["#112233"])
    circles = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="2.4" fill="#112233"/>', picture)
    path = re.search(r'<path d="([^"]+)"', picture)[1]
    assert len(circles) == 1 and path.startswith(f"M{circles[0][0]} {circles[0][1]}M")
    assert path.count("L") == 1  # from the third to the fourth value


def test_without_lone_values_there_are_no_circles() -> None:
    assert "<circle" not in lines("curve", [0, 1, 2], {"a": [1, 2, 3], "b": ([1, 2, 3], [0, 1, 2], [2, 3, 4])})
