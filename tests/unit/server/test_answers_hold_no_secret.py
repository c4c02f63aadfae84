"""What is stored with a secret is shown without it (E4)."""

import json

from kintsugi.errors import ProbeFailed
from kintsugi.mask import MASK
from kintsugi.model.records import StepRecord, StepState
from kintsugi.server.answers import answer, failure, refusal


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
