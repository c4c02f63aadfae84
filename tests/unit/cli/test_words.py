"""How durations, results, tables and strangers' texts are written."""

import io
import sys
from datetime import timedelta

import pytest

from kintsugi.cli.output import plain, table, took
from kintsugi.cli.story import found
from kintsugi.cli.tables import daemon_line
from kintsugi.model.api_types import DaemonStatus
from kintsugi.model.rules import Mode
from kubeobjects.lines import printable
from tests.unit.factories import NOW


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0.24, "0.2s"),
        (9.96, "10s"),
        (12.4, "12s"),
        (59.6, "1m00s"),
        (252, "4m12s"),
        (3599.6, "1h00m"),
        (7390, "2h03m"),
        (86400 * 3 + 3600 * 4, "3d04h"),
    ],
)
def test_durations_have_the_two_units_that_matter(seconds: float, text: str) -> None:
    assert took(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({}, ""),
        ({"status": 200, "open": True, "ratio": 0.5}, "status 200, open yes, ratio 0.5"),
        ({"items": []}, "items none"),
        ({"rows": [1, 2, 3]}, "rows 3"),
        ({"addresses": ["10.0.0.1", "10.0.0.2"]}, "addresses 2 (10.0.0.1, 10.0.0.2)"),
        ({"items": [{"metadata": {"name": f"p{n}"}} for n in range(7)]}, "items 7 (p0, p1, p2, p3, p4 and 2 more)"),
        ({"item": {"kind": "Service", "metadata": {"name": "web"}}}, "item web"),
        (
            {"age": {"@seconds": 90.0}, "since": {"@time": "2026-11-24T00:00:00+00:00"}},
            "age 90.0s, since 2026-11-24T00:00:00+00:00",
        ),
        ({"headers": {"Content-Type": "text/html"}, "nothing": None}, ""),
        ({"body": "a\n" * 100}, f"body {('a ' * 40)}…"),
    ],
)
def test_a_result_is_told_in_a_line(result: dict[str, object], text: str) -> None:
    assert found(result, empty=True) == text


def test_an_empty_list_of_a_change_is_not_told() -> None:
    assert found({"items": [], "name": "web"}, empty=False) == "name web"


def test_a_strangers_text_is_one_harmless_line() -> None:
    assert plain("[bold]a\nb\x1b[2J\u202ec").plain == "[bold]a b\\x1b[2J\\u202ec"
    assert printable("Zoë 金継ぎ") == "Zoë 金継ぎ"


LONG = "the watch is interrupted " * 40
ROW = ("inc-1kqsdr2g0a3hv5mzdtp", LONG, "2026-11-24 02:58:00")


def test_a_row_is_one_line_of_which_nothing_is_cut_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    table(("ID", "REASON", "OPENED"), [[plain(each) for each in ROW]])
    head, row = capsys.readouterr().out.splitlines()
    assert [each.strip() for each in row.split("  ") if each] == [ROW[0], LONG.strip(), ROW[2]]
    assert head.split() == ["ID", "REASON", "OPENED"]


class Terminal(io.StringIO):
    """A terminal, of as many columns as the environment says."""

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
