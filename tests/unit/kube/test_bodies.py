"""Request bodies are spelled as Go's encoding/json spells them."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.kube.client import encode


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("a && b", rb'"a \u0026\u0026 b"'),
        ("<2 2>&1", rb'"\u003c2 2\u003e\u00261"'),
        ("\u2028\u2029", rb'"\u2028\u2029"'),
        ("\\&\\u0026", rb'"\\\u0026\\u0026"'),
        ('\b\f\n\r\t\x01"/', rb'"\b\f\n\r\t\u0001\"/"'),
        ("\x7fé\U0001f600", '"\x7fé\U0001f600"'.encode()),
    ],
)
def test_a_text_is_spelled_as_the_api_server_spells_it(text: str, spelled: bytes) -> None:
    assert encode(text) == spelled


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_a_body_says_what_it_said(body: object) -> None:
    assert orjson.loads(encode(body)) == body
