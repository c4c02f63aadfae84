"""A move of docs/faults.md is about the pod that it names, whosever the row is."""

import pytest

from tests.faults.moves import program_of


@pytest.mark.parametrize(
    ("container", "application", "program"),
    [
        ("postgres", "shop", "postgres"),
        ("redis", "shop", "redis-server"),
        ("api", "shop", "shop"),
        ("http", "parcels", "parcel"),
    ],
)
def test_the_program_that_is_hung_is_the_one_of_the_pod(container: str, application: str, program: str) -> None:
    assert program_of({"spec": {"containers": [{"name": container}]}}, application) == program
