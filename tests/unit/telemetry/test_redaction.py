"""Secrets never reach a line that is written (reliability E5): by key, by shape, by registered value."""

import time

import pytest

from kintsugi.telemetry import MASK, Redactor, is_secret_key
from kintsugi.telemetry.redaction import MOST_SECRETS


def test_a_registered_value_is_masked_wherever_it_stands() -> None:
    redactor = Redactor()
    redactor.register("correct horse/battery")

    text = redactor.text(
        "raw correct horse/battery, in base64 Y29ycmVjdCBob3JzZS9iYXR0ZXJ5, in a URL correct%20horse%2Fbattery"
    )

    assert text == f"raw {MASK}, in base64 {MASK}, in a URL {MASK}"


def test_of_two_registered_values_the_longer_is_masked_whole() -> None:
    redactor = Redactor()
    redactor.register("secret")
    redactor.register("secret-and-more")

    assert redactor.text("secret-and-more") == MASK


def test_a_value_too_short_to_be_a_secret_is_not_masked() -> None:
    redactor = Redactor()
    redactor.register("web")

    assert redactor.text("pod web-1") == "pod web-1"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Authorization: Bearer abc.def-ghi_123", "abc.def"),
        ("postgres://ana:hunter2@db:5432/x", "hunter2"),
        ("PGPASSWORD=hunter2 psql", "hunter2"),
        ('{"password": "hun\\"ter2", "a": 1}', "ter2"),
        ('{"db_password":"hunter2', "hunter2"),
        ("GET /x?api_key=hunter2&a=b", "hunter2"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIhunter2\n-----END RSA PRIVATE KEY-----", "hunter2"),
    ],
)
def test_what_looks_like_a_credential_is_masked_unregistered(text: str, hidden: str) -> None:
    redacted = Redactor().text(text)

    assert hidden not in redacted
    assert MASK in redacted


@pytest.mark.parametrize(
    "text",
    ["no token: anyone could start runbooks", "pod team-0/web-7d4b9c6f5-00000", "http://prometheus:9090/graph?x=1"],
)
def test_plain_prose_stays_readable(text: str) -> None:
    assert Redactor().text(text) == text


def test_under_a_secrets_name_everything_is_masked_however_deep() -> None:
    value = Redactor().value({"outer": [{"dbPassword": {"a": 1}, "name": "x"}], "apiToken": 5})

    assert value == {"outer": [{"dbPassword": MASK, "name": "x"}], "apiToken": MASK}


@pytest.mark.parametrize(
    "key", ["Authorization", "X-Api-Key", "db.password", "clientSecret", "Set-Cookie", "PGPASSWORD"]
)
def test_names_of_secrets_are_known(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "filler", ["a", "a=", '"a":', "x://", '"', "\\", "Bearer ", "-----BEGIN PRIVATE KEY-----", ":"]
)
def test_a_strangers_text_cannot_make_redaction_slow(filler: str) -> None:
    """The time grows with the length, not with its square: 8 times the text takes nowhere near 64 times as long."""
    redactor = Redactor()
    short, long = filler * (16_384 // len(filler)), filler * (131_072 // len(filler))

    def seconds(text: str) -> float:
        began = time.thread_time()
        redactor.text(text)
        return time.thread_time() - began

    fastest_short = min(seconds(short) for _ in range(5))
    fastest_long = min(seconds(long) for _ in range(3))
    assert fastest_long < 30 * fastest_short + 0.01


def test_a_token_an_hour_does_not_fill_the_memory_and_the_newest_are_masked() -> None:
    redactor = Redactor()
    redactor.register("the-one-in-use-always")
    for number in range(2 * MOST_SECRETS):
        redactor.register(f"hourly-token-{number:06}")
        redactor.register("the-one-in-use-always")
    assert len(redactor._known) == MOST_SECRETS
    newest = f"x hourly-token-{2 * MOST_SECRETS - 1:06} the-one-in-use-always"
    assert redactor.text(newest) == f"x {MASK} {MASK}"
