"""A run of the quick tests has a folder of its own for its temporary files."""

import subprocess
import sys
from pathlib import Path

from tests.harness import network
from tests.unit.project.tree import ROOT

PROGRAM = "import sys, tempfile; print(tempfile.mkdtemp()); sys.exit(3)"


def test_a_run_s_temporary_files_go_with_it_and_its_exit_code_is_the_command_s() -> None:
    """They are in memory where there is room."""
    command = [sys.executable, "-m", "tests.harness.network", network.FILES_ONLY, "--", sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    folder = Path(done.stdout.strip()).parent
    assert not folder.exists()
    assert (folder.parent == Path("/dev/shm")) is network.has_shared_memory()
