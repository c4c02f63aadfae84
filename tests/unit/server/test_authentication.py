"""Who may do what: every right by name, tokens that rotate, and headers that are not what they should be."""

from pathlib import Path

import pytest

from kintsugi.server.authentication import Action, ApiRole, Authenticator, Principal, TokenFiles, may

DELIVER, DESCRIBE = {Action.DELIVER}, {Action.DESCRIBE}
PEOPLE = {
    Action.READ,
    Action.APPROVE,
    Action.REJECT,
    Action.ABORT,
    Action.ROLL_BACK,
    Action.PAUSE,
    Action.DRILL,
    Action.RECOVER,
    Action.RESEND,
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


def test_without_a_token_file_nobody_is_let_in(tmp_path: Path) -> None:
    authentication = Authenticator(TokenFiles([]), TokenFiles([], named=True))

    assert authentication.identify([]) == authentication.identify(["Bearer "]) == Principal(role=ApiRole.NOBODY)


def test_the_explicit_flag_lets_anybody_deliver_and_nothing_else() -> None:
    authentication = Authenticator(TokenFiles([]), TokenFiles([], named=True), open_webhook=True)

    assert authentication.identify([]).role is ApiRole.WEBHOOK


def test_the_flag_opens_nothing_where_there_is_a_token(tmp_path: Path) -> None:
    files = TokenFiles([token_file(tmp_path, "token", "webhook-token-one")])

    assert Authenticator(files, TokenFiles([], named=True), open_webhook=True).identify([]).role is ApiRole.NOBODY
