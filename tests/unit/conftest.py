"""What the tests of decisions share: the pace of virtual time."""

import pytest

from tests.unit import virtual


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let each test in virtual time move its clock as ours do."""
    if item.get_closest_marker("looptime"):
        item.add_marker(pytest.mark.looptime(noop_cycles=virtual.ROUNDS))
