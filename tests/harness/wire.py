"""A wire between a client and a server on this machine that can be cut, slowed, stalled, and whose answers can be altered."""

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

_PIECE = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


@dataclass(kw_only=True, slots=True)
class _Trigger:
    """Something to do at a moment: when so many more bytes were answered, or so many requests like one were seen."""

    do: Callable[[], None]
    answered: int | None = None
    request: bytes | None = None
    count: int = 1


@dataclass(kw_only=True, slots=True)
class Wire:
    """Passes bytes on between a port of its own and a server's, and keeps what was asked; a fault lasts until `heal`."""

    to: int
    port: int = 0
    address: str = "127.0.0.1"
    asked: list[bytes] = field(default_factory=list)
    answered: int = 0
    stalled: int = 0
    _listener: socket.socket = field(default_factory=socket.socket)
    _open: set[socket.socket] = field(default_factory=set)
    _triggers: list[_Trigger] = field(default_factory=list)
    _swaps: list[tuple[bytes, bytes]] = field(default_factory=list)
    _rate: float = 0
    _flows: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def start(self) -> None:
        """Begin to listen."""
        self._flows.set()
        self._listener.bind((self.address, self.port))
        self._listener.listen()
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Close everything."""
        self._flows.set()
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection that is open now; new ones are passed on."""
        with self._lock:
            both, self._open = self._open, set()
        for each in both:
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def stall(self) -> None:
        """Let no answer through until `heal`; connections stay open. `stalled` counts those that wait."""
        self.stalled = 0
        self._flows.clear()

    def slow(self, rate: float) -> None:
        """Let only so many bytes a second through, of each answer."""
        self._rate = rate

    def heal(self) -> None:
        """Take every fault away, those to come too."""
        with self._lock:
            self._triggers.clear()
            self._swaps.clear()
        self._rate = 0
        self._flows.set()

    def after(self, count: int, do: Callable[[], None]) -> None:
        """Do something when so many more bytes were answered; what was answered before arrives."""
        with self._lock:
            self._triggers.append(_Trigger(do=do, answered=self.answered + count))

    def at_request(self, start: bytes, do: Callable[[], None], *, number: int = 1) -> None:
        """Do something before the server sees a request that begins so, or the second, or the third of them."""
        with self._lock:
            self._triggers.append(_Trigger(do=do, request=start, count=number))

    def swap(self, old: bytes, new: bytes) -> None:
        """Alter what is answered: one text for another of the same length, within a piece."""
        if len(old) != len(new):
            raise ValueError(f"{old!r} and {new!r} must be of one length: the answer says how long it is")
        self._swaps.append((old, new))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            threading.Thread(target=self._pass, args=(client, server, self._asked), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, self._answered), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, alter: Callable[[bytes], bytes]) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                sink.sendall(alter(piece))
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _asked(self, piece: bytes) -> bytes:
        self.asked.append(piece)
        for trigger in self._reached(lambda each: each.request is not None and piece.startswith(each.request)):
            trigger.do()
        return piece

    def _answered(self, piece: bytes) -> bytes:
        if not self._flows.is_set():
            self.stalled += 1
            self._flows.wait()
        if self._rate:
            time.sleep(len(piece) / self._rate)
        for old, new in self._swaps:
            piece = piece.replace(old, new)
        with self._lock:
            self.answered += len(piece)
        for trigger in self._reached(lambda each: each.answered is not None and self.answered >= each.answered):
            trigger.do()
        return piece

    def _reached(self, is_meant: Callable[[_Trigger], bool]) -> list[_Trigger]:
        """Take those triggers out whose moment has come."""
        reached = []
        with self._lock:
            for each in [trigger for trigger in self._triggers if is_meant(trigger)]:
                each.count -= 1
                if each.count == 0:
                    self._triggers.remove(each)
                    reached.append(each)
        return reached
