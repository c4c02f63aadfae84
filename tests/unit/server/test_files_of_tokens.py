"""What a file of tokens may say, and what is said about one that cannot be right."""

from pathlib import Path

import pytest

from kintsugi.server.authentication import TokenFiles
from kintsugi.settings import SettingsError, load
from kintsugi.tokens import TokenLine, read_tokens

LONG, OTHER = "0123456789abcdef", "fedcba9876543210"


def test_comments_and_blank_lines_say_nothing() -> None:
    read = read_tokens(f"# ana:{OTHER}\n\n  # NAME:TOKEN\r\n \nana:{LONG}\r\n".encode(), named=True)

    assert read.lines == (TokenLine(token=LONG.encode(), name="ana"),)
    assert read.problems == ()


@pytest.mark.parametrize(
    ("line", "named", "expected"),
    [
        (f"a:{LONG}:{OTHER}", True, TokenLine(token=f"{LONG}:{OTHER}".encode(), name="a")),
        (f"a:{LONG}", False, TokenLine(token=f"a:{LONG}".encode())),
        (LONG, True, TokenLine(token=LONG.encode())),
        (f"ana.b_c-9:{LONG}", True, TokenLine(token=LONG.encode(), name="ana.b_c-9")),
        (f"ana:#{LONG}", True, TokenLine(token=f"#{LONG}".encode(), name="ana")),
    ],
)
def test_a_colon_belongs_to_the_token_except_the_first_after_a_name(
    line: str, named: bool, expected: TokenLine
) -> None:
    assert read_tokens(line.encode(), named=named).lines == (expected,)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("ana:", "line 2: the token is empty: write at least 16 characters"),
        (":" + OTHER, "line 2: what stands before the colon is not a name: write NAME:TOKEN"),
        ("Ana:" + OTHER, "line 2: what stands before the colon is not a name: write NAME:TOKEN"),
        ("ana b:" + OTHER, "line 2: what stands before the colon is not a name"),
        (f"{OTHER}+/:{OTHER}", "line 2: what stands before the colon is not a name"),
        ("x" * 101 + ":" + OTHER, "line 2: what stands before the colon is not a name"),
        ("\ufeffana:" + OTHER, "line 2: what stands before the colon is not a name"),
        ("ana:" + OTHER[:15], "line 2: the token is too short: write at least 16 characters"),
        (f"ana:{OTHER} {OTHER}", "line 2: the token holds a blank"),
        (f"ana: {OTHER}", "line 2: the token holds a blank"),
        (f"ana:{OTHER}\x00", "line 2: the token holds a blank, or what is no plain letter"),
        (f"ana:{OTHER}ü", "line 2: the token holds a blank, or what is no plain letter"),
        (f"ana:{LONG}", "line 2: the token stands in line 1 under another name: give each their own"),
    ],
)
def test_a_line_that_cannot_be_right_is_told_without_its_token(line: str, complaint: str) -> None:
    read = read_tokens(f"first:{LONG}\n{line}\n".encode(), named=True)

    assert [problem[: len(complaint)] for problem in read.problems] == [complaint]
    assert OTHER[:15] not in read.problems[0]
    assert LONG not in read.problems[0]


@pytest.mark.parametrize("content", [b"", b"\n", b"# only a comment\n"])
def test_a_file_without_a_token_is_wrong(content: bytes) -> None:
    assert read_tokens(content, named=False).problems[0].startswith("there is no token in it: write one a line")


def test_settings_tell_all_that_is_wrong_in_all_files_and_beside_them(tmp_path: Path) -> None:
    people, webhook = tmp_path / "people", tmp_path / "webhook"
    people.write_text("ana:\nben:short\n")
    webhook.write_text("two words\n")
    environ = {
        "KINTSUGI_SERVER__OPERATOR_TOKEN_FILES": str(people),
        "KINTSUGI_ALERTMANAGER__TOKEN_FILES": str(webhook),
        "KINTSUGI_KUBE__REQUEST_TIMEOUT": "2m",
    }
    with pytest.raises(SettingsError) as caught:
        load(environ=environ)

    told = [line.replace(str(tmp_path), "") for line in caught.value.problems]
    assert [line.split(": the token")[0] for line in told if "the token" in line] == [
        "environment: KINTSUGI_ALERTMANAGER__TOKEN_FILES: alertmanager.tokenFiles: /webhook: line 1",
        "environment: KINTSUGI_SERVER__OPERATOR_TOKEN_FILES: server.operatorTokenFiles: /people: line 1",
        "environment: KINTSUGI_SERVER__OPERATOR_TOKEN_FILES: server.operatorTokenFiles: /people: line 2",
    ]
    assert any("kube.requestTimeout" in line for line in told)


def test_a_token_is_not_the_webhooks_and_an_operators(tmp_path: Path) -> None:
    """Whoever may deliver alerts must not be able to approve what they start."""
    people, webhook = tmp_path / "people", tmp_path / "webhook"
    people.write_text(f"ana:{LONG}\n")
    webhook.write_text(f"{LONG}\n")
    environ = {
        "KINTSUGI_SERVER__OPERATOR_TOKEN_FILES": str(people),
        "KINTSUGI_ALERTMANAGER__TOKEN_FILES": str(webhook),
    }
    with pytest.raises(SettingsError, match="the token of ana is also in another file for another client"):
        load(environ=environ)


def test_the_server_takes_no_file_in_which_anything_is_wrong(tmp_path: Path) -> None:
    people = tmp_path / "people"
    people.write_text("ana:\nben:short\n")
    with pytest.raises(SettingsError) as caught:
        TokenFiles([people, tmp_path / "gone"], named=True)

    assert len(caught.value.problems) == 3
    assert "gone: it cannot be read: No such file" in caught.value.problems[2]


def test_a_file_that_becomes_wrong_keeps_all_that_it_had_until_it_is_right(tmp_path: Path) -> None:
    """A9: not half of the new ones either."""
    people = tmp_path / "people"
    people.write_text(f"ana:{LONG}\n")
    tokens = TokenFiles([people], named=True)

    people.write_text(f"ben:{OTHER}\ncarl:\n")
    assert (tokens.holder(LONG.encode()), tokens.holder(OTHER.encode()), tokens.holder(b"")) == ("ana", None, None)

    people.write_text(f"ben:{OTHER}\n")
    assert (tokens.holder(LONG.encode()), tokens.holder(OTHER.encode())) == (None, "ben")
    assert tokens.names == {"ben"}
