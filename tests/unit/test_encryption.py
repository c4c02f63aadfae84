"""Texts that the ledger keeps encrypted, and the file that their keys are in (P8)."""

import base64

import pytest

from kintsugi.encryption import EncryptionKey, decrypt, encrypt, fingerprint, is_of, key_of, read_keys
from kintsugi.errors import DecryptionFailed

HERE = "a run, a step, an object"
CANARY = "canary of a template"


def line(number: int) -> bytes:
    """Make a line of a file of keys."""
    return base64.b64encode(bytes([number]) * 32)


def keys(*numbers: int) -> tuple[EncryptionKey, ...]:
    """Read a file of keys."""
    read = read_keys(b"\n".join(line(number) for number in numbers))
    assert not read.problems
    return read.keys


def test_a_text_is_decrypted_only_where_it_belongs_and_never_encrypted_to_the_same_twice() -> None:
    (key,) = keys(1)
    kept = encrypt(CANARY, key, HERE)
    assert CANARY not in kept
    assert encrypt(CANARY, key, HERE) != kept
    assert key_of(kept) == key.id
    assert decrypt(kept, (key,), HERE) == CANARY
    with pytest.raises(DecryptionFailed, match="belongs elsewhere"):
        decrypt(kept, (key,), "another run")


def test_the_first_key_of_a_file_encrypts_and_all_of_them_decrypt() -> None:
    former, present = keys(1), keys(2, 1)
    kept = encrypt(CANARY, former[0], HERE)
    assert decrypt(kept, present, HERE) == CANARY
    assert key_of(encrypt(CANARY, present[0], HERE)) != key_of(kept)
    with pytest.raises(DecryptionFailed, match=f"with the key {former[0].id}, and the file has {present[0].id}"):
        decrypt(kept, present[:1], HERE)


@pytest.mark.parametrize(
    "change", [lambda kept: kept[:-8] + "AAAAAAA=", lambda kept: kept[:-4], lambda kept: kept[::-1], str.upper]
)
def test_a_text_that_was_altered_is_not_decrypted(change: object) -> None:
    (key,) = keys(1)
    assert callable(change)
    with pytest.raises(DecryptionFailed):
        decrypt(change(encrypt(CANARY, key, HERE)), (key,), HERE)


def test_a_file_may_hold_remarks_blank_lines_and_either_alphabet_of_base64() -> None:
    secret = b"\xfb\xff" * 16
    plain, for_urls = base64.b64encode(secret), base64.urlsafe_b64encode(secret)
    assert plain != for_urls
    (one, other) = read_keys(b"# of last year\r\n\n" + plain + b"\r\n  " + for_urls + b"\n").keys
    assert one == other
    assert "\\xfb" not in repr(one)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "there is no key in it: write one a line, 32 bytes in base64"),
        (b"# none\n", "there is no key in it"),
        (line(1) + b"\nnot base64!\n", "line 2: it is not base64: write 32 bytes in base64"),
        (base64.b64encode(b"k" * 16), "line 1: the key has 16 bytes: write 32 bytes in base64, as `openssl rand"),
        (b"\xff\xfe", "line 1: it is not base64"),
    ],
)
def test_a_file_that_holds_no_good_key_says_in_which_line_and_what_would_be_right(content: bytes, problem: str) -> None:
    (found,) = read_keys(content).problems
    assert problem in found
    assert "not base64!" not in found


def test_a_fingerprint_is_known_by_its_text_alone_and_is_never_the_same_twice() -> None:
    made = fingerprint(CANARY)
    assert CANARY not in made
    assert made != fingerprint(CANARY)
    assert (is_of(made, CANARY), is_of(made, f"{CANARY}s")) == (True, False)


@pytest.mark.parametrize("text", ["", "scrypt:v1:", "scrypt:v1:YQ==:YQ==", "scrypt:v1:%:%", "another:v1:YQ==:YQ=="])
def test_a_text_that_is_no_fingerprint_is_that_of_nothing(text: str) -> None:
    assert not is_of(text, CANARY)
