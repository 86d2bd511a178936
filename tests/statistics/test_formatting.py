"""Numbers with errors, as people write them."""

import math

import pytest

from nnqmc.statistics import format_with_error

TABLE = (
    (-8.07039, 0.00021, "-8.0704(2)"),
    (-8.07039, 0.00096, "-8.070(1)"),
    (-8.07039, -0.00021, "-8.0704(2)"),
    (9.96, 0.096, "10.0(1)"),
    (-2.9037243, 1e-6, "-2.903724(1)"),
    (0.6, 1.4, "1(1)"),
    (12.3, 3.2, "12(3)"),
    (12.3, 12.0, "10(10)"),
    (1234.0, 56.0, "1230(60)"),
    (-0.001, 0.2, "0.0(2)"),
    (-0.5, 0.0, "-0.5(0)"),
    (-0.0, 0.0, "0(0)"),
    (-8.07039, math.nan, "-8.070390(nan)"),
    (1.0, math.inf, "1.000000(inf)"),
    (math.nan, 0.1, "nan"),
    (-math.inf, 0.1, "-inf"),
    (1.79e15, 3e14, "2e+15(3e+14)"),
    (1.79e308, 1e308, "2e+308(1e+308)"),
    (-1.0, 1e308, "-1e+00(1e+308)"),
    (0.5, 1e-15, "0.500000000000(0)"),
)


@pytest.mark.parametrize(("value", "error", "text"), TABLE)
def test_the_error_stands_in_units_of_the_last_digit(value, error, text):
    assert format_with_error(value, error) == text
