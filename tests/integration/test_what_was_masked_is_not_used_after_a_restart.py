"""A daemon as a process is killed after a step has seen a secret: later steps do not take the masked text for what was seen."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.integration.answering_service import serving
from tests.integration.asked_catalog import asked_catalog
from tests.integration.crash_daemon import DaemonStart
from tests.integration.crash_stage import SELDOM, CrashStage
from tests.integration.test_no_secret_is_written_down import OPERATOR, ask, delivery, told

pytestmark = pytest.mark.long

STEPS = """
    - {{id: ask, name: Ask, run: 'curl {url}/answer', expect: status == 200}}
    - {{id: before, name: Before, run: 'curl {url}/before/${{steps.ask.json.session.id}}', expect: status == 200}}
    - {{id: gate, name: Wait, run: 'curl {url}/gate', expect: status == 200, within: 1h}}
    - {{id: whose, name: Whose, run: 'curl {url}/whose/${{steps.ask.json.user}}', expect: status == 200}}
    - {{id: after, name: After, run: 'curl {url}/after/${{steps.ask.json.session.id}}', expect: status == 200}}
    - {{id: never, name: Never, run: 'curl {url}/never', expect: status == 200}}
"""
SESSION = "ghp_canary0canary0canary0canary0canary0"


async def test_a_look_that_needs_what_was_masked_is_not_made_and_says_which_step_and_field_it_was(
    tmp_path: Path,
) -> None:
    """E4, P7: what the ledger has kept whole goes on as if nothing had been."""
    folder, catalog = tmp_path / "story", tmp_path / "catalog"
    catalog.mkdir()
    asked: list[str] = []
    is_open = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/gate" and not is_open.is_set():
            return web.Response(status=503)
        return web.json_response({"user": "carl", "session": {"id": SESSION}})

    app = web.Application()
    app.router.add_get("/{rest:.*}", answer)
    async with (
        serving(app) as url,
        CrashStage.set(DaemonStart(folder=folder, durations=0.03, catalog=catalog)) as stage,
    ):
        (catalog / "all.yaml").write_text(asked_catalog(STEPS.format(url=url), rollback="after: 5m"))
        stage.birth.operators.write_text(f"ana:{OPERATOR}\n")
        await started(stage)
        await asyncio.to_thread(ask, stage, "/alertmanager", delivery())

        async def waits() -> bool:
            return "/gate" in asked

        await stage.until(waits, every=SELDOM)
        assert f"/before/{SESSION}" in asked, "in the life that has seen it the raw value is used"
        await stage.kill()
        is_open.set()
        await started(stage)
        found: list[Mapping[str, Any]] = []

        async def is_closed() -> bool:
            found[:] = (await asyncio.to_thread(told, stage, "/api/v1/incidents"))["incidents"]
            return bool(found and found[0]["closed"])

        await stage.until(is_closed, every=SELDOM)
        detail = await asyncio.to_thread(told, stage, f"/api/v1/incidents/{found[0]['id']}")
    assert "/whose/carl" in asked, "what was kept whole is used"
    assert not [path for path in asked if path.startswith(("/after", "/never"))], asked
    (after,) = [step for step in detail["runs"][0]["steps"] if step["path"] == "after"]
    assert "steps.ask.json.session.id was masked or truncated when it was stored" in after["error"]


async def started(stage: CrashStage) -> None:
    """Start the daemon, and wait until it takes webhooks."""
    stage.start()

    async def is_ready() -> bool:
        return stage.births[-1].ready.exists()

    await stage.until(is_ready, every=SELDOM)
