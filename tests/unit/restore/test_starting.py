"""A worker is started for one piece of work: what it does not need for that, it does not import."""

import subprocess
import sys

import pytest

MODULES = "import sys; from kintsugi_restore.worker import __main__; print(*sorted({each.partition('.')[0] for each in sys.modules}))"


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """Return the packages that a worker has imported when it begins."""
    done = subprocess.run([sys.executable, "-c", MODULES], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("package", ["aiohttp", "kubernetes_asyncio", "sqlalchemy", "pydantic", "apscheduler"])
def test_a_worker_starts_without_what_only_the_daemon_needs(imported: set[str], package: str) -> None:
    """An HTTP client alone is a third of its start."""
    assert "boto3" in imported
    assert package not in imported
