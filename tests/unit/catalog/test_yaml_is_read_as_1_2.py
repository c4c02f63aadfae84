"""YAML is read as 1.2 and only its harmless part: traps are told well, bombs are refused early (E26)."""

import time

import pytest

from kintsugi.catalog.source import MOST_BYTES, documents


def values(text: str) -> list[object]:
    found, problems = documents(text.encode(), "f.yaml")
    assert problems == []
    return [document.value for document in found]


def complaints(content: str | bytes) -> str:
    encoded = content.encode() if isinstance(content, str) else content
    return "\n".join(map(str, documents(encoded, "f.yaml")[1]))


def test_words_and_numbers_are_those_of_yaml_1_2() -> None:
    text = "on: pod\nno: yes\noff: n\noctal: 010\nnew: 0o10\nsixty: 1:30\nhex: 0x10\nt: true\nnone: ~\nempty:\nfloat: 1.5\ndate: 2024-01-01\n"
    assert values(text) == [
        {
            "on": "pod",
            "no": "yes",
            "off": "n",
            "octal": 10,
            "new": 8,
            "sixty": "1:30",
            "hex": 16,
            "t": True,
            "none": None,
            "empty": None,
            "float": 1.5,
            "date": "2024-01-01",
        }
    ]


def test_several_documents_stand_in_one_file_and_empty_ones_are_left_out() -> None:
    assert values("a: 1\n---\n---\n# nothing\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


def test_a_key_that_stands_twice_is_refused_at_the_second() -> None:
    assert complaints("a: 1\nb: 2\na: 3\n") == "f.yaml:3:1: a: 'a' is a duplicate key: the first is in line 1"


@pytest.mark.parametrize("text", ["when: !x", "when: !object.ready", "when: !x && y", "when: !(a || b)"])
def test_a_negation_that_yaml_takes_for_a_tag_is_explained(text: str) -> None:
    complaint = complaints(text)
    assert "f.yaml:1:" in complaint
    assert "quotes" in complaint
    assert "unless:" in complaint


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("- !!python/object/apply:os.system [id]", "tag"),
        ("a: !!binary aGk=", "tag"),
        ("a: b: c", "needs quotes"),
        ("a: 'x", "not YAML"),
        ("a: @x", "needs quotes"),
        ("? [a]\n: 1", "key must be text"),
        ("1: x", "key must be text"),
        ("true: x", "key must be text"),
        (b"\xff\xfe\xfd", "UTF-8"),
        ("a: \x00", "not YAML"),
        ("\tb: 1", "not YAML"),
    ],
)
def test_a_document_that_is_not_plain_yaml_is_refused(content: str | bytes, why: str) -> None:
    assert why in complaints(content)


def test_a_few_aliases_are_understood() -> None:
    assert values("a: &x [1]\nb: *x\n") == [{"a": [1], "b": [1]}]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(letter)}: &{chr(letter)} [{','.join([f'*{chr(letter - 1)}'] * 9)}]\n" for letter in range(98, 115)
)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (BOMB, "more than 50 uses of aliases"),
        ("a: &x [1]\nb: [" + "*x," * 60 + "]", "more than 50 uses of aliases"),
        ("a: &a [*a]", "nested more than 32"),
        ("[" * 40 + "]" * 40, "nested more than 32"),
        ("[" * 200_000, "nest"),
        ("- " * 100_000, "nest"),
        ("{a: " * 100_000, "nest"),
        ("a: " + "x" * MOST_BYTES, "more than 1,048,576"),
    ],
    ids=["billion-laughs", "aliases", "ring", "deep", "very-deep", "very-deep-block", "very-deep-maps", "large"],
)
@pytest.mark.long
def test_a_bomb_is_refused_for_less_than_an_ordinary_document_costs(content: str, why: str) -> None:
    assert why in complaints(content)
    assert cost(content) < cost("".join(f"k{number}: {{a: [1, 2], b: x}}\n" for number in range(1200)))


def cost(content: str) -> float:
    """Return the least processor time of three readings: what else the process does comes and goes."""
    costs = []
    for _ in range(3):
        began = time.process_time()
        complaints(content)
        costs.append(time.process_time() - began)
    return min(costs)
