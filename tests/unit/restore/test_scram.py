"""A password as the server keeps it."""

import base64

from kintsugi_restore.worker.roles import verifier


def test_the_verifier_is_the_one_of_rfc_7677() -> None:
    """User `user`, password `pencil`: the keys follow from the exchange that stands in its section 3."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    assert verifier("pencil", salt) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
