"""The pages of a folder: found by their alerts, read anew when they change, and left out where they cannot be read."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from kintsugi.catalog.pages import MOST_BYTES, PageDocument, PageFolder, PageTerms, PageUnreadable, RunbookPage
from kintsugi.model.runbooks import PAGE, InOrder, Manual, Run, Step
from kintsugi_import.pages import read

TERMS = PageTerms(reader=read)
PROCEDURE = """
## Diagnosis

- Look: `kubectl get pods -n shop`
- Ask: `curl http://web.shop/`
- Read the password: `kubectl get secret web`

## Option A: it hangs

1. Restart it: `kubectl rollout restart deployment/web -n shop`

## Rollback

1. See whether it is back: `kubectl rollout status deployment/web -n shop`
"""


def steps_of(page: RunbookPage) -> list[Step]:
    """Return the steps of a page that are no groups, those of the rollback, too."""
    steps = (*page.runbook.steps, *page.runbook.rollback.steps)
    return [each for step in steps for each in step.flat() if not isinstance(each.do, InOrder)]


def test_what_only_reads_stays_a_command_and_all_else_becomes_the_page_s_text_for_a_person() -> None:
    (page,) = TERMS.read(b"# Web hangs\n" + PROCEDURE.encode(), "shop/WebHangs.md")
    runs = [step.do.command.source for step in steps_of(page) if isinstance(step.do, Run)]
    left = [
        step.do.command.source for step in steps_of(page) if isinstance(step.do, Manual) and step.do.command is not None
    ]
    assert runs == ["kubectl get pods -n shop"]
    assert left == [
        "curl http://web.shop/",
        "kubectl get secret web",
        "kubectl rollout restart deployment/web -n shop",
        "kubectl rollout status deployment/web -n shop",
    ]
    assert all(step.approve is None for step in page.runbook.steps for step in step.flat()), "a page asks nobody"
    assert page.runbook.annotations[PAGE] == "shop/WebHangs.md"


@pytest.mark.parametrize(
    ("name", "text", "alerts"),
    [
        ("WebHangs", "# It hangs", {"WebHangs"}),
        ("page", "# WebHangs", {"WebHangs"}),
        ("shop-is-slow", "# Slow shop", {"shop-is-slow", "Slow shop"}),
        ("all", f"# Alerts\n\n## WebHangs\n{PROCEDURE}\n## ApiHangs", {"WebHangs", "ApiHangs"}),
    ],
)
async def test_a_page_is_found_by_the_alert_that_its_name_its_title_or_a_heading_is(
    tmp_path: Path, name: str, text: str, alerts: set[str]
) -> None:
    (tmp_path / f"{name}.md").write_text(text + PROCEDURE)
    folder = PageFolder(path=tmp_path, terms=TERMS)
    await folder.check()
    assert set(folder.pages or ()) == alerts


async def test_a_page_that_cannot_be_read_is_left_out_and_the_others_are_read(tmp_path: Path) -> None:
    def reader(text: str, stem: str, annotations: Mapping[str, str]) -> Iterable[PageDocument]:
        if stem == "Broken":
            raise RecursionError
        return read(text, stem, annotations)

    (tmp_path / "WebHangs.md").write_text(PROCEDURE)
    (tmp_path / "TooLarge.md").write_bytes(b" " * (MOST_BYTES + 1))
    (tmp_path / "NoText.md").write_bytes(b"\xff")
    (tmp_path / "Broken.md").write_text(PROCEDURE)
    (tmp_path / "Gone.md").symlink_to(tmp_path / "nowhere")
    (tmp_path / "NoSteps.md").write_text("# Nothing to do")
    folder = PageFolder(path=tmp_path, terms=PageTerms(reader=reader))
    await folder.check()
    assert set(folder.pages or ()) == {"WebHangs"}


HOSTILE = {
    "flags": f"`kubectl exec {'-a ' * 70}A`",
    "capitals": f"`kubectl get pods POD{'A' * 50}1`",
    "an alert's name": f"# Aa{'A' * 50}!",
    "a title": f"---\ntitle: a{' ' * 150_000}b\n---\n",
    "digits": f"## Rollback\n\nTrigger: {'1' * 250_000}",
    "an expected result": f"`kubectl get svc web`\n\nExpected: {'ip ' * 80_000}",
    "expected results": "```\n" + "kubectl get pods\n" * 490 + "```\n" + "Expected: foo\n\n" * 16_000,
    "a long command": "`kubectl " + "port-forward svc/a " * 10_000 + "`",
    "names that are cut off": "```sh\n" + f"kubectl get pods a{'-xxx' * 480}!\n" * 130 + "```\n",
    "placeholders in braces": "```sh\nkubectl get pods " + "a{b" * 80_000 + "\n```\n",
    "clients of databases": f"```sh\n{'psql ' * 50_000}-c x\n```\n",
    "options of a client": f"```sh\nredis-cli{' -h' * 80_000} !\n```\n",
    "tags of HTML": "<html>" + "<a " * 80_000,
    "comments of HTML": "<html>" + "<!--" * 60_000,
    "tags in Markdown": "<div>" + "<a " * 80_000,
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_page_that_is_made_to_take_long_is_read_in_seconds(text: str) -> None:
    """While an expression of Python's `re` matches, no other thread runs: such a page would stop the daemon."""
    before = time.process_time()
    with suppress(PageUnreadable):
        TERMS.read(text.encode(), "page.md")
    assert time.process_time() - before < 10


async def test_a_page_that_has_changed_is_read_again_and_one_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    folder = PageFolder(path=tmp_path / "pages", terms=TERMS)
    await folder.check()
    assert folder.pages == {}, "the folder may come later"
    folder.path.mkdir()
    page = folder.path / "WebHangs.md"
    page.write_text(PROCEDURE)
    await folder.check()
    before = dict(folder.pages or {})
    await folder.check()
    assert folder.pages == before
    page.write_text(PROCEDURE + "\n2. Inform the owners.\n")
    await folder.check()
    assert folder.pages is not None
    assert folder.pages["WebHangs"].catalog.digest != before["WebHangs"].catalog.digest
    page.unlink()
    await folder.check()
    assert folder.pages == {}
