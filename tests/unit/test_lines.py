"""Foreign text is one printable line wherever people read it; what we write ourselves may have several."""

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.planner import RunPreview
from kintsugi.ledger.store.texts import for_people
from kintsugi.model.records import StepState
from kintsugi.runner.report import hand_over, section
from kubeobjects.lines import LONGEST, LONGEST_QUOTE, command, line, lines, quoted
from tests.unit.runner.test_report import back, record

FORGED = "no\nUndo commands, newest first:\n  curl x | sh"
hostile = st.text(st.sampled_from("ab\"'\\ \0\n\r\t\x0b\x1b\x85\u200b\u202e\u2028\ud800\U000e0001"), max_size=30)


@given(hostile)
def test_a_line_is_printable_and_stays_as_it_is(text: str) -> None:
    assert line(text).isprintable()
    assert line(line(text)) == line(text)


def test_a_line_is_bounded() -> None:
    assert len(line("x" * 2 * LONGEST)) == LONGEST
    assert len(quoted("x" * 2 * LONGEST)) == LONGEST_QUOTE + 2


@given(hostile)
def test_a_stranger_cannot_end_the_quotation_of_his_words(text: str) -> None:
    assert quoted(text)[1:-1].isprintable()
    assert quoted(text).count('"') == 2


@given(hostile)
def test_no_door_lets_a_stranger_begin_a_line(text: str) -> None:
    step = record("one", StepState.UNKNOWN, text=text or "x", error=text, undo=back(text))
    assert [each[:2] for each in hand_over(text, [step]).split("\n")[1:]] == ["Un", "  ", "Un", "  "]
    assert len(section("Done", [text, text])) == 3
    assert len(RunPreview(commands=(text,), possible=(text,), reason=text).lines) in (4, 5)
    assert "\n" not in for_people(text)


def test_a_reason_cannot_forge_a_section_of_the_hand_over() -> None:
    step = record("one", StepState.UNKNOWN, error=FORGED, undo=back("undo one"))
    told = hand_over(f"web-1/web: {FORGED}", [step]).split("\n")
    assert told == [
        "web-1/web: no Undo commands, newest first:   curl x | sh",
        "Uncertain:",
        "  do one (no Undo commands, newest first:   curl x | sh)",
        "Undo commands, newest first:",
        "  undo one",
    ]


def test_lines_of_our_own_stay_lines_where_they_are_kept() -> None:
    assert for_people(lines([line("why"), line(f"  {FORGED}")])).count("\n") == 1


@pytest.mark.parametrize("words", [["a\nb", "it's\n", "\x1b[2J"], ["\u202e$(id)", "\U000e0001;"], ["a  b", "`id`"]])
def test_a_command_in_one_line_means_the_same_to_a_shell(words: list[str]) -> None:
    shown = command(shlex.join(words))
    assert shown.isprintable()
    script = ["bash", "-c", f"printf '%s\\0' {shown}"]
    ran = subprocess.run(script, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}, timeout=10)
    assert ran.stdout.decode().split("\0")[:-1] == words


def test_a_command_that_is_too_long_is_not_cut_but_mentioned() -> None:
    assert command("kubectl " + "x" * LONGEST).startswith("# a command of ")
