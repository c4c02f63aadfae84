"""A daemon as a process writes a secret back that nothing but its ledger holds, encrypted; killed in between, and without its key."""

import asyncio
import base64
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest

from kintsugi.settings import NotificationSettings
from tests.integration.asked_catalog import asked_catalog
from tests.integration.crash_daemon import DaemonStart
from tests.integration.crash_stage import SELDOM, CrashStage
from tests.integration.test_no_secret_is_written_down import (
    CHANGE,
    LITERAL,
    OPERATOR,
    SecretsService,
    all_places,
    ask,
    command_line,
    delivery,
    template,
    told,
    with_secrets,
)

pytestmark = pytest.mark.long

STEPS = """
    - {{id: ask, name: Ask, run: 'curl {url}/answer', expect: 'body.contains("canary-of-a-pass")'}}
    - {{id: each, name: Each, forEach: steps.ask.json.lines, run: 'curl {url}/look', when: 'each.contains("canary")'}}
    - {{id: change, name: Change, run: '{change}'}}
    - {{id: gate, name: Wait, run: 'curl {url}/gate', expect: status == 200, within: 1h}}
    - {{id: fail, name: Fail, run: 'curl {url}/answer', expect: status == 404}}
"""


def key() -> str:
    """Make a line of a file of keys."""
    return base64.b64encode(secrets.token_bytes(32)).decode() + "\n"


@pytest.mark.parametrize("lost", [False, True], ids=["its key is there", "its key is gone for a while"])
async def test_a_secret_that_no_revision_holds_comes_back_byte_for_byte(tmp_path: Path, *, lost: bool) -> None:
    """E4, P8: while the key is gone a person is told, and nothing is written; with the key back the rollback is asked for again."""
    catalog, keys, own, other = tmp_path / "catalog", tmp_path / "keys", key(), key()
    catalog.mkdir()
    keys.write_text(own)
    async with SecretsService.serving() as probed:
        notifications = NotificationSettings(url=f"{probed.url}/notices")
        birth = DaemonStart(
            folder=tmp_path / "story",
            durations=0.03,
            catalog=catalog,
            notifications=notifications,
            encryption_key_file=keys,
        )
        async with CrashStage.set(birth) as stage:
            written = asked_catalog(STEPS.format(url=probed.url, change=CHANGE), rollback="after: 5m, policy: always")
            (catalog / "all.yaml").write_text(written)
            stage.birth.operators.write_text(f"ana:{OPERATOR}\n")
            stage.change({"revisionHistoryLimit": 0})
            await with_secrets(stage)
            before = template(stage)
            await started(stage)
            await asyncio.to_thread(ask, stage, "/alertmanager", delivery())

            async def has_changed() -> bool:
                return "/gate" in probed.asked

            await stage.until(has_changed, every=SELDOM)
            left = template(stage)
            assert LITERAL.encode() not in left, "the change was not made"
            await stage.kill()
            probed.is_open = True
            if lost:
                keys.write_text(other)
            await started(stage)
            if lost:
                incident = await closed(stage, "needs-operator")
                assert "is kept encrypted" in incident["reason"]
                assert "restore the key, and request the rollback again" in incident["reason"]
                assert template(stage) == left, "something was written without the key"
                keys.write_text(other + own)
                token_file = tmp_path / "token"
                token_file.write_text(OPERATOR)
                words = ("rollback", incident["id"], "--yes")
                said = await asyncio.to_thread(lambda: command_line(stage, *words, token_file=token_file))
                assert LITERAL not in said
            await until(stage, lambda: template(stage) == before)
            await closed(stage, "needs-operator")
            assert template(stage) == before
            places = await asyncio.to_thread(all_places, stage, probed)
    for place, text in places.items():
        assert LITERAL not in text, place
        assert own.strip() not in text, place
    ledger = "".join(text for place, text in places.items() if place.startswith("ledger.db"))
    assert "enc:aesgcm:v1:" in ledger
    shown = places["api incident"] + places["cli incident"]
    assert not re.search(r"enc:aesgcm:v1:[0-9a-f]{16}:(?!\[redacted\])", shown), "what was encrypted is shown"


async def started(stage: CrashStage) -> None:
    """Start the daemon, and wait until it takes webhooks."""
    stage.start()
    await until(stage, stage.births[-1].ready.exists)


async def closed(stage: CrashStage, state: str) -> Mapping[str, str]:
    """Wait until the only incident is closed; return it."""
    found: list[Mapping[str, str]] = []

    async def is_closed() -> bool:
        found[:] = (await asyncio.to_thread(told, stage, "/api/v1/incidents"))["incidents"]
        return bool(found and found[0]["state"] == state)

    await stage.until(is_closed, every=SELDOM)
    return found[0]


async def until(stage: CrashStage, condition: object) -> None:
    """Wait for something that is seen from outside."""
    assert callable(condition)

    async def holds() -> bool:
        return bool(condition())

    await stage.until(holds, every=SELDOM)
