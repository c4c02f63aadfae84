"""Secrets never reach a line that is written (reliability E4): by key, by shape, by registered value."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.mask import MASK
from kintsugi.telemetry import Redactor, is_secret_key
from kintsugi.telemetry.redaction import MOST_SECRETS

PARTS = [
    *(
        "password",
        "token",
        "secret",
        " ",
        ": ",
        ":",
        "=",
        " = ",
        '"',
        "'",
        "\\",
        "\n",
        "  ",
        "- ",
        ",",
        "}",
        "x",
        "hunter2",
    ),
    *("Bearer ", "http://", "@", "--", "-p", "|", "eyJabcd.", "AKIAIOSFODNN7EXAMPLE", "cookie", "pass", MASK, "]", "["),
    *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "mysql -p", "identified by '", "sk_live_abcdef1"),
]


def test_a_registered_value_is_masked_wherever_it_stands() -> None:
    redactor = Redactor()
    redactor.register("correct horse/battery")

    text = redactor.text(
        "raw correct horse/battery, in base64 Y29ycmVjdCBob3JzZS9iYXR0ZXJ5, in a URL correct%20horse%2Fbattery"
    )

    assert text == f"raw {MASK}, in base64 {MASK}, in a URL {MASK}"


def test_a_registered_value_is_masked_at_the_borders_of_words_only() -> None:
    """A password that is a part of an ordinary word hides none of it."""
    redactor = Redactor()
    redactor.register("hunter22")
    redactor.register("//quiet//")
    assert redactor.text("hunter22, x=hunter22;hunter22-x hunter22") == f"{MASK}, x={MASK};{MASK}-x {MASK}"
    assert redactor.text("hunter221 thehunter22 my_hunter22_x") == "hunter221 thehunter22 my_hunter22_x"
    assert redactor.text(r'{"log":"one\nhunter22\tand"}') == rf'{{"log":"one\n{MASK}\tand"}}', "an escape is no word"
    assert redactor.text("so//quiet//now") == f"so{MASK}now", "its own borders are none"


def test_a_registered_value_that_is_a_name_is_not_masked_while_it_is_one() -> None:
    """What is done must not depend on a password: `-n production` is the same command with any."""
    redactor = Redactor()
    redactor.register("production")
    assert redactor.spare({"production", "web"}) == ("production",)
    assert redactor.text("kubectl get pods -n production") == "kubectl get pods -n production"
    assert redactor.text("cHJvZHVjdGlvbg== password=production") == f"{MASK} password={MASK}"
    assert redactor.spare(()) == ()
    assert redactor.text("-n production") == f"-n {MASK}"


def test_the_longer_of_two_registered_values_is_masked_whole() -> None:
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
        ("password: hunter2", "hunter2"),
        ("  db-password: correct horse hunter2", "hunter2"),
        ("token: |\n  hunter2\nname: x", "hunter2"),
        ("login failed, password: hunter2, user=x", "hunter2"),
        ("'secret': 'hunter2'", "hunter2"),
        ("password = hunter2", "hunter2"),
        ("password = 'correct hunter2'", "hunter2"),
        ("DB_PASS=hunter2", "hunter2"),
        ("ALTER ROLE web PASSWORD 'hunter2'", "hunter2"),
        ("psql --password hunter2 -h db", "hunter2"),
        ("deploy --api-key=hunter2", "hunter2"),
        ("mysql -u root -phunter db", "hunter"),
        ("tool -pHunter2", "unter2"),
        ("curl -s -u ana:hunter2 http://x", "hunter2"),
        ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"),
        ("AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
        ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmVk", "eyJzdWIi"),
        ("push with ghp_abcdefghijklmnopqrstuvwxyz0123456789", "mnopqrst"),
        ("charge sk_live_abcdef1234567890", "abcdef12"),
        ("X-Api-Key: hunter2", "hunter2"),
        ("X-Auth-Token: hunter2", "hunter2"),
        ("Set-Cookie: session=hunter2; Path=/; HttpOnly", "hunter2"),
        ("Cookie: a=1; b=hunter2", "hunter2"),
        ("postgres://ana:hun@ter2@db/x", "ter2"),
        ("redis://:hunter2@cache:6379", "hunter2"),
        ('{"message": "{\\"password\\": \\"hunter2\\"}"}', "hunter2"),
        ('{"password": 4711, "a": 1}', "4711"),
        ("redis://:hun/ter2@cache:6379", "ter2"),
        ("redis://:4711/ter2@cache:6379", "ter2"),
        ("postgres://ana:hun/ter2@db:5432/x", "ter2"),
        ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hunter2==;EndpointSuffix=x", "hunter2"),
        ("az storage ls --account-key hunter2", "hunter2"),
        ("https://a.blob.core.windows.net/b?sv=2022-11-02&sr=c&sig=hunter2hunter2hunter2%3D", "hunter2"),
        ('{"url": "https://a/b?sr=c\\u0026sig=hunter2hunter2hunter2%3D"}', "hunter2"),
        ('{"name":"DB_PASSWORD","value":"hun\\"ter2"}', "ter2"),
        ('{\n  "name": "DB_PASS",\n  "value": "hunter2"\n}', "hunter2"),
        ('{"value":"hunter2","name":"DB_PASSWORD"}', "hunter2"),
        ('"{\\"name\\":\\"DB_PASSWORD\\",\\"value\\":\\"hunter2\\"}"', "hunter2"),
        ("- name: DB_PASSWORD\n  value: hunter2\n- name: x", "hunter2"),
    ],
)
def test_a_text_that_looks_like_a_credential_is_masked_unregistered(text: str, hidden: str) -> None:
    redacted = Redactor().text(text)

    assert hidden not in redacted
    assert MASK in redacted


@pytest.mark.parametrize(
    "text",
    [
        "no token: anyone could start runbooks",
        "pod team-0/web-7d4b9c6f5-00000",
        "http://prometheus:9090/graph?x=1",
        "http://registry:5000/team@sha256/x and http://[::1]:8080/a@b",
        "the process ended with sig=11",
        '{"name":"LOG_LEVEL","value":"debug"},{"name":"DB_PASSWORD","valueFrom":{"secretKeyRef":{"name":"db"}}}',
        "- name: LOG_LEVEL\n  value: debug",
        "PGPASSWORD comes from secret/db, which does not exist in production",
        "secret/db in production has no key 'password'",
        'FATAL:  password authentication failed for user "web"',
        "    secretName: web-tls",
        "secretKeyRef:\n  name: db\n  key: url",
        "kubectl rollout undo deployment/token-service --to-revision=3 -n production",
        "kubectl get pods -l app=web -n production",
        "image sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "uid 8f14e45f-ceea-467f-a9e4-0e1c1e1d6d4f",
    ],
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


FILLERS = [
    *("a", "a.", "a=", "token", "token.", "token=", "pwd.", "secret-", '"token', '"a":', '"', "\\", ":", " ", "\n"),
    *("x://", "x://a:", "a+a://", "Bearer ", "basic         ", "-----BEGIN PRIVATE KEY-----", "-----BEGIN "),
    *("password: |\n ", "mysql -", "curl -u ", "eyJaaaa.", "\n - token", "--a-secret"),
    *(
        '"name":"',
        'password","value":',
        '"value":"',
        "name: token\n",
        "name: ",
        "x://a:b/",
        "x://:",
        "&sig=",
        "sig=aaaaaaaaaaaaaaaa",
    ),
]


def seconds(redactor: Redactor, text: str) -> float:
    """Return the processor time of masking a text, the least of five times."""
    taken: list[float] = []
    for _ in range(5):
        began = time.thread_time()
        redactor.text(text)
        taken.append(time.thread_time() - began)
    return min(taken)


def filled(filler: str, length: int) -> str:
    return (filler * (length // len(filler) + 1))[:length]


@pytest.mark.parametrize("filler", [*FILLERS, "token=x ", '"token":"x" ', "bearer xxxxxxxx "])
@pytest.mark.long
def test_a_strangers_text_cannot_make_redaction_slow(filler: str) -> None:
    """E27: the time grows with the length, not with its square: 8 times the text takes nowhere near 64 times as long."""
    redactor = Redactor()
    short, long = (seconds(redactor, filled(filler, length)) for length in (16_384, 131_072))
    assert long < 30 * short + 0.01


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.long
def test_a_text_that_only_looks_like_the_beginning_of_a_secret_costs_little_more_than_an_ordinary_one(
    filler: str,
) -> None:
    """E27: `a.a.a.` cost sixteen times as much where the engine tried each place as the beginning of a name."""
    redactor = Redactor()
    line = "2026-05-04 12:00:00.123 UTC [42] LOG:  checkpoint complete: wrote 3 buffers\n"
    ordinary = filled(3 * line + "GET /orders?token=5dc1b8fa 200\n", 65_536)
    assert seconds(redactor, filled(filler, 65_536)) < 20 * seconds(redactor, ordinary) + 0.002


@pytest.mark.long
def test_a_hundred_registered_tokens_that_begin_alike_cost_little_more_than_none() -> None:
    """Of the cluster's tokens everybody knows how they begin."""
    beginning = "eyJhbGciOiJSUzI1NiIsImtpZCI6Ik"
    redactor, knowing = Redactor(), Redactor()
    for number in range(MOST_SECRETS):
        knowing.register(beginning + f"{number:04}" * 200)
    text = filled(beginning, 65_536)
    assert seconds(knowing, text) < 8 * seconds(redactor, text) + 0.01


def test_a_text_without_a_secret_stays_the_very_same() -> None:
    """Also one that is no Unicode."""
    text = "pod web-1 \ud800 is well"
    assert Redactor().text(text) is text


def test_a_secret_beside_what_is_no_character_is_masked_whole() -> None:
    assert Redactor().text("token=hun\ud800ter2 x") == f"token={MASK} x"


def test_a_token_an_hour_does_not_fill_the_memory_and_the_newest_are_masked() -> None:
    redactor = Redactor()
    redactor.register("the-one-in-use-always")
    for number in range(2 * MOST_SECRETS):
        redactor.register(f"hourly-token-{number:06}")
        redactor.register("the-one-in-use-always")
    assert len(redactor._known) == MOST_SECRETS
    newest = f"x hourly-token-{2 * MOST_SECRETS - 1:06} the-one-in-use-always"
    assert redactor.text(newest) == f"x {MASK} {MASK}"


@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join))
def test_a_masked_text_stays_as_it_is_when_it_is_masked_again(text: str) -> None:
    once = Redactor().text(text)
    assert Redactor().text(once) == once


CANARY = "canary"
POD = {
    "kind": "Pod",
    "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": CANARY, "note": "kept"}},
    "spec": {
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": "registry"}],
        "volumes": [{"name": "tls", "secret": {"secretName": "web-tls"}}],
        "containers": [
            {
                "name": "web",
                "args": ["--verbose", "--db-password", CANARY, "x"],
                "env": [
                    {"name": "PLAIN", "value": CANARY},
                    {"name": "NAMED", "valueFrom": {"secretKeyRef": {"name": "db", "key": "url"}}},
                ],
                "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": CANARY}]}},
            }
        ],
    },
}


def test_a_value_in_a_secrets_place_is_masked_whatever_it_looks_like_and_all_else_stays() -> None:
    shown = Redactor().value(POD)
    assert CANARY not in json.dumps(shown)
    assert json.dumps(shown).count(MASK) == 4
    assert json.loads(json.dumps(shown).replace(MASK, CANARY)) == POD


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "Secret", "data": {"a": CANARY}, "stringData": {"b": CANARY}},
        {"kind": "SecretList", "items": [{"metadata": {}, "data": {"a": CANARY}}]},
        {"headers": {"Set-Cookie": CANARY, "authorization": [CANARY], "X-Api-Key": CANARY}},
        {"annotations": {"kapp.k14s.io/original": CANARY}},
        {"annotations": {"objectset.rio.cattle.io/applied": CANARY}},
        {"annotations": {"a.tool/of-tomorrow": f'{{"apiVersion":"v1","kind":"Secret","data":{{"a":"{CANARY}"}}}}'}},
        {"annotations": {"a.tool/compressed": f"H4sIAAAA{CANARY}"}},
        {"env": [f"A={CANARY}"]},
        {"env": {"A": CANARY}},
        {"url": f"https://ana:{CANARY}@web/"},
        ["-----BEGIN EC PRIVATE KEY-----", CANARY, CANARY, "-----END EC PRIVATE KEY-----"],
        ["mysql", "--password", CANARY],
    ],
)
def test_no_secret_is_left_in_any_of_its_places(value: object) -> None:
    shown = json.dumps(Redactor().value(value))
    assert CANARY not in shown
    assert MASK in shown


def test_the_label_that_names_a_secret_stays_and_one_that_holds_one_does_not() -> None:
    labels = {"secret": "db", "secret_name": "db", "token": CANARY, "url": f"http://a:{CANARY}@b", "severity": "page"}
    masked = {"token": MASK, "url": f"http://a:{MASK}@b"}
    assert Redactor().labels(labels) == labels | masked


@given(
    st.dictionaries(
        st.lists(st.sampled_from(["a", "pass", "token", "_", ".", "-", "web"]), min_size=1, max_size=4).map("".join),
        st.lists(st.sampled_from([*PARTS, "registered"]), max_size=6).map("".join),
        max_size=4,
    )
)
def test_labels_that_are_gone_through_at_once_are_masked_as_each_alone_is(labels: dict[str, str]) -> None:
    redactor = Redactor()
    redactor.register("registered")
    alone = {name: label for each, text in labels.items() for name, label in redactor.labels({each: text}).items()}
    assert redactor.labels(labels) == alone
    assert alone == {name: redactor._label(name, label) for name, label in labels.items()}
