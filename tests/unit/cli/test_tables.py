"""Tables fit: elsewhere than on a terminal a long free text is cut, on a terminal it is wrapped in its own column."""

import io
import sys

import pytest

from kintsugi.cli.output import WIDEST, plain, table
from kintsugi.cli.tables import daemon_line
from kintsugi.model.api_types import DaemonStatus
from kintsugi.model.rules import Mode
from tests.unit.factories import NOW

LONG = "the watch is interrupted " * 40
ROW = ("inc-1kqsdr2g0a3hv5mzdtp", LONG, "2026-11-24 02:58:00")


def test_a_row_is_one_line_of_bounded_width_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    table(("ID", "REASON", "OPENED"), [[plain(each) for each in ROW]])
    head, row = capsys.readouterr().out.splitlines()
    assert len(row) <= WIDEST
    assert (row.startswith(ROW[0]), "…  2026-11-24 02:58:00" in row) == (True, True)
    assert head.split() == ["ID", "REASON", "OPENED"]


class Terminal(io.StringIO):
    """A terminal of 80 columns."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def test_a_terminal_wraps_the_longest_text_and_breaks_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    table(("ID", "REASON", "OPENED"), [[plain(each) for each in ROW]])
    lines = terminal.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert ROW[0] in lines[1]
    assert terminal.getvalue().count("interrupted") == 40


@pytest.mark.parametrize(
    ("unnotified", "notifies", "said"),
    [
        (0, False, "is seen; the ledger answers"),
        (1, True, "is seen; 1 service is not healthy, and no person was notified; the ledger answers"),
        (
            2,
            False,
            "is seen; 2 services are not healthy, and no person was notified (notifications.url is not set); the ledger answers",
        ),
    ],
)
def test_the_daemon_s_line_counts_services_that_are_down_unknown_to_a_person(
    unnotified: int, notifies: bool, said: str
) -> None:
    """P11."""
    line = daemon_line(
        DaemonStatus(mode=Mode.AUTO, since=NOW, cluster="https://10.0.0.1", unnotified=unnotified, notifies=notifies)
    )
    assert line.partition("https://10.0.0.1 ")[2] == said


def test_the_daemon_s_line_says_that_the_cluster_s_names_do_not_resolve() -> None:
    status = DaemonStatus(mode=Mode.AUTO, since=NOW, cluster="https://10.0.0.1", unresolved="no such host")
    assert "is seen; checks by the cluster's names are unknown: no such host; the ledger" in daemon_line(status)
