"""
`python -m tests.structure.traced FILE ARGUMENTS…` is `kintsugi ARGUMENTS…`, which writes its calls to FILE at its end.

A function counts once in a course, where it is first called: that is where a reader reads it. A call belongs to the effect or
the step in whose course it was made, as its stack and its task tell. Only the thread of the event loop is traced.
"""

import json
import opcode
import sys
from contextvars import ContextVar
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from kintsugi.cli import main

PACKAGE = str(Path(__file__).parents[2] / "daemon" / "kintsugi") + "/"
ROOTS = {"executor.py:Executor.execute": "effect", "runner/interpreter.py:Interpreter.execute_step": "step"}
"""Where an effect and a step of a runbook begin."""

ALERT = "server/webhook.py:WebhookHandler.receive"
"""Where an alert comes in: what was called before it is no part of its way."""

_AROUND: ContextVar[tuple[int, ...]] = ContextVar("the courses that a task was started in", default=())
_RESUME, _AT_START, _RETURN = opcode.opmap["RESUME"], 0, opcode.opmap["RETURN_VALUE"]


class Tracer:
    """Keeps the functions that one thread calls, in the order of their first calls, and each course of a root by itself."""

    def __init__(self) -> None:
        self.calls: dict[str, None] = {}
        self.courses: dict[int, tuple[str, dict[str, None]]] = {}
        self._roots: list[FrameType] = []  # kept, so that the number of none is given to another frame
        self._codes: dict[CodeType, tuple[str, bytes]] = {}

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        """Note a call at its start, and the end of a root."""
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return
        name, instructions = self._read(frame.f_code)
        instruction, argument = instructions[frame.f_lasti], instructions[frame.f_lasti + 1]
        if event == "return" and id(frame) in self.courses and instruction == _RETURN:
            _AROUND.set(tuple(each for each in _AROUND.get() if each != id(frame)))
        if event != "call" or (instruction == _RESUME and argument != _AT_START):
            return
        if name == ALERT:
            self.calls.clear()
        self.calls[name] = None
        if name in ROOTS:
            self._roots.append(frame)
            self.courses[id(frame)] = (ROOTS[name], {})
            _AROUND.set((*_AROUND.get(), id(frame)))
        for course in _AROUND.get():
            self.courses[course][1][name] = None

    def _read(self, code: CodeType) -> tuple[str, bytes]:
        if code not in self._codes:
            self._codes[code] = f"{code.co_filename.removeprefix(PACKAGE)}:{code.co_qualname}", code.co_code
        return self._codes[code]


if __name__ == "__main__":
    file = Path(sys.argv[1])
    sys.argv = ["kintsugi", *sys.argv[2:]]
    tracer = Tracer()
    sys.setprofile(tracer)
    try:
        main()
    finally:
        sys.setprofile(None)
        file.write_text(
            json.dumps(
                {"calls": [*tracer.calls], "courses": [(kind, [*names]) for kind, names in tracer.courses.values()]}
            )
        )
