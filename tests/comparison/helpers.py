"""A small comparison to look at from all sides, and backends that break."""

from functools import cache

from nonlocal_ref.comparison import compare

SIZE = (2, 6, 5, 4, 3)


@cache
def small_report():
    """Every variant on NumPy in both precisions; not to be changed."""
    return compare(sizes=[SIZE, 8], backends=["numpy"], quick=True)


def one_row(report, **wanted):
    (row,) = [row for row in report["rows"] if all(row[key] == value for key, value in wanted.items())]
    return row
