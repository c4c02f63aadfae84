"""What `df` says, read."""

import pytest

from kintsugi.errors import ProbeFailed
from kintsugi.verbs.exec import disk_of

ANSWER = ["Filesystem     1024-blocks     Used Available Capacity Mounted on", "/dev/sda1 100 60 30 67% /data"]
LONG = [ANSWER[0], "/dev/mapper/a-name-that-is-too-long", "  100 60 30 67% /data"]


@pytest.mark.parametrize("lines", [ANSWER, LONG])
def test_a_file_system_is_read_in_bytes(lines: list[str]) -> None:
    """A long name of a device breaks the line."""
    assert disk_of(lines) == {"size": 102_400, "used": 61_440, "free": 30_720}


@pytest.mark.parametrize("lines", [[], ["df: /data: No such file"], [ANSWER[0], "/dev/sda1 a b c"]])
def test_an_answer_that_cannot_be_read_is_no_room(lines: list[str]) -> None:
    """P6: in doubt there is none."""
    with pytest.raises(ProbeFailed, match="not understood"):
        disk_of(lines)
