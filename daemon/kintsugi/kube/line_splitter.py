"""A byte stream cut into lines, whatever their size: objects may be larger than any read buffer."""

from collections.abc import Sequence

# etcd takes 1.5 MiB an object by default; as JSON it may be several times that. Beyond this it is no event.
LONGEST_LINE = 16 * 1024 * 1024


class GarbledLineError(ValueError):
    """The stream carries no valid line of the API server: it is endless, torn, or something else."""


class LineSplitter:
    """The lines of one stream; what follows the last newline waits for its end."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Sequence[bytes | bytearray]:
        """
        Take a chunk and give the lines that it completes; one that came in pieces is not copied, however large it is.

        Raises GarbledLineError when a line never ends.
        """
        if b"\n" not in chunk:
            self._keep(chunk)
            return ()
        lines: list[bytes | bytearray] = [*chunk.split(b"\n")]
        rest = lines.pop()
        if self._rest:
            self._rest += lines[0]
            lines[0] = self._rest
            self._rest = bytearray()
        self._keep(rest)
        return lines

    @property
    def torn(self) -> bool:
        """Return whether the stream, if it ended now, would end inside a line."""
        return bool(self._rest)

    def _keep(self, part: bytes | bytearray) -> None:
        self._rest += part
        if len(self._rest) > self._longest:
            raise GarbledLineError(f"a line of the stream is longer than {self._longest} bytes")
