"""The set-ups that several files of this folder share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.command_line import CommandLine, daemon
from tests.integration.operations_double import FakeOperations


@pytest.fixture
def operations() -> FakeOperations:
    """What a daemon knows and is asked, without the daemon."""
    return FakeOperations()


@pytest.fixture
def kintsugi(tmp_path: Path, operations: FakeOperations, capsys: pytest.CaptureFixture[str]) -> Iterator[CommandLine]:
    """The command line of Ana, whose daemon has these operations."""
    with daemon(tmp_path, operations) as served:
        yield CommandLine(served, capsys)
