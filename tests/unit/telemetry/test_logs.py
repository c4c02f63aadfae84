"""A line of the log is one line, says which run it belongs to, and holds no secret."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from kintsugi.mask import MASK
from kintsugi.telemetry import SECRETS, Format, configure_logging, get_logger, log_context


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Leave the process's logging as other tests expect it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def written(shape: Format) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(level="info", format=shape, stream=stream)
    return stream


def test_a_line_is_a_sentence_with_keys() -> None:
    stream = written("json")

    get_logger("kintsugi.x").info(
        "step done", step="a/b", took=timedelta(seconds=2), at=datetime(2026, 1, 1, tzinfo=UTC)
    )

    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "step done",
        "step": "a/b",
        "took": 2.0,
        "at": "2026-01-01T00:00:00+00:00",
        "level": "info",
        "logger": "kintsugi.x",
    }


async def test_a_run_and_the_tasks_it_starts_log_one_id() -> None:
    stream = written("json")
    log = get_logger("kintsugi.runner")

    async def step(name: str) -> None:
        log.info("step", name=name)

    async def run(run_id: str) -> None:
        with log_context(run=run_id):
            await asyncio.gather(*(asyncio.create_task(step(f"{run_id}{number}")) for number in range(2)))

    await asyncio.gather(run("r"), run("s"))
    log.info("after")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {(line.get("name"), line.get("run")) for line in lines} == {
        ("r0", "r"),
        ("r1", "r"),
        ("s0", "s"),
        ("s1", "s"),
        (None, None),
    }


def test_the_lines_of_libraries_go_the_same_way() -> None:
    stream = written("json")
    SECRETS.register("hunter2-of-the-library")

    logging.getLogger("aiohttp.server").warning("no route for %s", "hunter2-of-the-library")

    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["logger"]) == (f"no route for {MASK}", "warning", "aiohttp.server")


@pytest.mark.parametrize("shape", ["json", "console"])
def test_secrets_are_masked_by_key_and_by_value_also_in_tracebacks(shape: Format) -> None:
    stream = written(shape)
    SECRETS.register("hunter2-value")
    log = get_logger("x")

    try:
        int("hunter2-value")
    except ValueError:
        log.exception("failed", password="other-secret", headers={"Authorization": "Bearer abcdefghijk"})

    assert "hunter2-value" not in stream.getvalue()
    assert "other-secret" not in stream.getvalue()
    assert "abcdefghijk" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


HOSTILE = "x\r\n2026-01-01 [info] forged\x1b[31m \x9b31m \u2028 \u202e \ud800 \x00"


@pytest.mark.parametrize("shape", ["json", "console"])
def test_hostile_text_makes_no_second_line(shape: Format) -> None:
    stream = written(shape)

    get_logger("x").info("pod", name=HOSTILE, nested={"k\n": [HOSTILE]})

    assert stream.getvalue().count("\n") == 1
    assert len(stream.getvalue().splitlines()) == 1
    assert not set(stream.getvalue()) & set("\r\x1b\x9b\u2028\u202e\ud800\x00")


def test_a_traceback_on_the_console_cannot_pass_for_lines_of_the_log() -> None:
    stream = written("console")

    def fail() -> None:
        raise ValueError(HOSTILE)

    try:
        fail()
    except ValueError:
        get_logger("x").exception("failed")

    _first, *rest = stream.getvalue().splitlines()
    assert all(line.startswith("    ") for line in rest if line)


@pytest.mark.parametrize("before", range(8192 - 20, 8192 + 1))
def test_a_long_value_is_cut_and_no_part_of_a_secret_is_left_there(before: int) -> None:
    """E4, E5: what stands on the cut is masked first."""
    SECRETS.register("hunter2-and-more")
    stream = written("json")
    get_logger("kintsugi.x").info("said", text="x" * (before - 1) + " hunter2-and-more " + "y" * 9_000)
    get_logger("kintsugi.x").info("said", text="x" * (before - 6) + " token=swordfish " + "y" * 9_000)
    for text in (json.loads(line)["text"] for line in stream.getvalue().splitlines()):
        assert "hun" not in text
        assert "sword" not in text
        assert text.startswith("x" * (before - 6))
        assert len(text) < 8_300


def test_lines_below_the_level_are_not_written() -> None:
    stream = written("json")

    get_logger("x").debug("noise")

    assert stream.getvalue() == ""
