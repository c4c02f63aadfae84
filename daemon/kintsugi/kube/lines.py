"""A byte stream cut into lines, whatever their size: objects may be larger than any read buffer."""

from collections.abc import Sequence

# etcd takes 1.5 MiB an object by default; as JSON it may be several times that. Beyond this it is no event.
LONGEST_LINE = 64 * 1024 * 1024


class GarbledLineError(ValueError):
    """What the stream carries is no line of the API server's: endless, torn, or something else altogether."""


class Lines:
    """The lines of one stream; what follows the last newline waits for its end."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Sequence[bytes]:
        """Take a chunk and give the lines that it completes. Raises GarbledLineError when a line never ends."""
        if b"\n" not in chunk:
            self._keep(chunk)
            return ()
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if self._parts:
            lines[0] = b"".join([*self._parts, lines[0]])
        self._parts = []
        self._size = 0
        self._keep(rest)
        return lines

    @property
    def torn(self) -> bool:
        """Tell whether the stream, if it ended now, would end inside a line."""
        return self._size > 0

    def _keep(self, part: bytes) -> None:
        if part:
            self._parts.append(part)
            self._size += len(part)
        if self._size > self._longest:
            raise GarbledLineError(f"a line of the stream is longer than {self._longest} bytes")
