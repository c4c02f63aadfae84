"""A change whose command holds a secret is not begun: its command would stand in the ledger (E4, P8)."""

import pytest

from kintsugi.mask import MASK
from kintsugi.model.records import IncidentState
from tests.unit.runner.bench import RunBench

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("value", ["password=hunter2", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", f"url {MASK}"])
async def test_a_command_with_a_secret_or_with_what_was_masked_stops_the_run_before_anything_is_written(
    value: str,
) -> None:
    bench = RunBench(f"- {{id: one, run: \"kubectl annotate deployment web note='{value}'\"}}")
    ended = await bench.drive()
    assert bench.effects == []
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert any("its command contains a secret" in reason for _, reason in bench.ledger.moves)
    assert all(step.command is None for step in bench.ledger.kept.values())


async def test_a_literal_of_an_environment_that_stands_in_the_runbook_is_no_secret() -> None:
    patch = '{\\"spec\\":{\\"template\\":{\\"spec\\":{\\"containers\\":[{\\"name\\":\\"web\\",\\"env\\":[{\\"name\\":\\"A\\",\\"value\\":\\"off\\"}]}]}}}}'
    bench = RunBench(f"- {{id: one, run: \"kubectl patch deployment web -p '{patch}'\"}}", heals="kubectl patch")
    await bench.drive()
    assert len(bench.effects) == 1
