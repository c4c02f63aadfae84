"""Who may do what: every right by name, tokens that rotate, what their files may say; and no answer holds a secret (E4)."""

import json
from pathlib import Path

import pytest

from kintsugi.errors import ProbeFailed
from kintsugi.mask import MASK
from kintsugi.model.records import StepRecord, StepState
from kintsugi.server.answers import answer, failure, refusal
from kintsugi.server.authentication import Action, ApiRole, Authenticator, Principal, TokenFiles, may
from kintsugi.settings import SettingsError, load
from kintsugi.tokens import TokenLine, read_tokens

DELIVER, DESCRIBE = {Action.DELIVER}, {Action.DESCRIBE}
PEOPLE = {
    Action.READ,
    Action.ANSWER,
    Action.ABORT,
    Action.TAKE,
    Action.ROLL_BACK,
    Action.PAUSE,
    Action.DRILL,
    Action.RECOVER,
    Action.RESEND,
    Action.TEST_ROUTE,
}


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize(
    ("role", "rights"),
    [(ApiRole.NOBODY, DESCRIBE), (ApiRole.WEBHOOK, DESCRIBE | DELIVER), (ApiRole.OPERATOR, DESCRIBE | PEOPLE)],
)
def test_each_role_has_its_rights_and_no_other(role: ApiRole, rights: set[Action], action: Action) -> None:
    assert may(role, action) == (action in rights)


def test_a_role_or_an_action_that_is_in_no_table_is_denied() -> None:
    assert not may("stranger", Action.DESCRIBE)  # type: ignore[arg-type]
    assert not may(ApiRole.OPERATOR, "reboot")  # type: ignore[arg-type]


def token_file(folder: Path, name: str, text: str) -> Path:
    """Write a file as a mounted Secret is written: beside, then turned into place."""
    path, beside = folder / name, folder / f"{name}.new"
    beside.write_text(text, encoding="utf-8")
    return beside.replace(path)


@pytest.fixture
def authentication(tmp_path: Path) -> Authenticator:
    webhook = [token_file(tmp_path, "old", "webhooks-token-1\n"), token_file(tmp_path, "new", "webhooks-token-2\n")]
    operators = token_file(tmp_path, "operators", "ana:operator-token-a\n\noperator-token-b\n")
    return Authenticator(TokenFiles(webhook), TokenFiles([operators], named=True))


@pytest.mark.parametrize(
    ("headers", "identity"),
    [
        ([], Principal(role=ApiRole.NOBODY)),
        (["Bearer webhooks-token-1"], Principal(role=ApiRole.WEBHOOK)),
        (["bearer  webhooks-token-2 "], Principal(role=ApiRole.WEBHOOK)),
        (["Bearer operator-token-a"], Principal(role=ApiRole.OPERATOR, name="ana")),
        (["Bearer operator-token-b"], Principal(role=ApiRole.OPERATOR, taken=frozenset({"ana"}))),
        (["Bearer webhooks-token-3"], Principal(role=ApiRole.NOBODY)),
        (["Bearer ana:operator-token-a"], Principal(role=ApiRole.NOBODY)),
        (["Basic webhooks-token-1"], Principal(role=ApiRole.NOBODY)),
        (["webhooks-token-1"], Principal(role=ApiRole.NOBODY)),
        (["Bearer webhooks-token-1", "Bearer operator-token-a"], Principal(role=ApiRole.NOBODY)),
        (["Bearer "], Principal(role=ApiRole.NOBODY)),
        ([""], Principal(role=ApiRole.NOBODY)),
        (["Bearer täken-\udcff-日本"], Principal(role=ApiRole.NOBODY)),
    ],
)
def test_a_request_is_who_its_one_token_says(
    authentication: Authenticator, headers: list[str], identity: Principal
) -> None:
    """Covers A10: an odd header is refused, and breaks nothing."""
    assert authentication.identify(headers) == identity


def test_a_token_is_rotated_without_a_moment_in_which_none_is_valid(tmp_path: Path) -> None:
    """Covers A9."""
    first, second = (
        token_file(tmp_path, "first", "webhook-token-one"),
        token_file(tmp_path, "second", "webhook-token-two"),
    )
    tokens = TokenFiles([first, second])

    token_file(tmp_path, "first", "webhook-token-three")

    assert tokens.holder(b"webhook-token-one") is None
    assert tokens.holder(b"webhook-token-two") == ""
    assert tokens.holder(b"webhook-token-three") == ""


@pytest.mark.parametrize("text", ["", "\n \n", None])
def test_a_file_that_is_gone_or_empty_for_a_moment_costs_no_delivery(tmp_path: Path, text: str | None) -> None:
    """Covers A9: a 401 is final for Alertmanager, so what cannot be read keeps what it had."""
    path = token_file(tmp_path, "token", "webhook-token-one")
    tokens = TokenFiles([path])

    if text is None:
        path.unlink()
    else:
        path.write_text(text, encoding="utf-8")

    assert tokens.holder(b"webhook-token-one") == ""


def test_a_file_with_several_lines_holds_several_tokens(tmp_path: Path) -> None:
    tokens = TokenFiles([token_file(tmp_path, "token", "webhook-token-one\r\nwebhook-token-two\n")])

    assert tokens.holder(b"webhook-token-one") == tokens.holder(b"webhook-token-two") == ""
    assert tokens.holder(b"webhook-token-one\r\nwebhook-token-two") is None


@pytest.mark.parametrize(
    ("flag", "has_token", "role"),
    [(False, False, ApiRole.NOBODY), (True, False, ApiRole.WEBHOOK), (True, True, ApiRole.NOBODY)],
)
def test_without_a_token_file_nobody_is_let_in_unless_the_explicit_flag_lets_anybody_deliver(
    flag: bool, has_token: bool, role: ApiRole, tmp_path: Path
) -> None:
    files = TokenFiles([token_file(tmp_path, "token", "webhook-token-one")] if has_token else [])
    authentication = Authenticator(files, TokenFiles([], named=True), open_webhook=flag)
    assert authentication.identify([]).role is role
    assert authentication.identify(["Bearer "]).role is ApiRole.NOBODY


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


async def test_an_answer_masks_what_stands_in_a_secrets_place_or_has_its_shape() -> None:
    env = [{"name": "PLAIN", "value": "canary of a place"}]
    kept = StepRecord(
        run="run-1",
        path="look",
        state=StepState.DONE,
        error="password: canary",
        result={"item": {"spec": {"containers": [{"env": env}]}}, "headers": {"Set-Cookie": "canary"}},
    )
    body = (await answer({"steps": [kept]})).body
    assert isinstance(body, bytes)
    assert b"canary" not in body
    (shown,) = json.loads(body)["steps"]
    assert (shown["error"], shown["path"], shown["state"]) == (f"password: {MASK}", "look", "done")
    assert shown["result"]["item"]["spec"]["containers"][0]["env"] == [{"name": "PLAIN", "value": MASK}]


def test_a_refusal_holds_no_secret() -> None:
    for response in (refusal(400, "token=canary"), failure(ProbeFailed("http://ana:canary@web/ is closed"))):
        assert isinstance(response.body, bytes)
        assert b"canary" not in response.body
