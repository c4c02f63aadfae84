"""How durations, results and strangers' texts are written."""

from datetime import timedelta

import pytest

from kintsugi.cli.output import plain, took
from kintsugi.cli.story import found
from kubeobjects.lines import printable


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
