"""Own documents are added to the shipped ones; a good new version is taken, a bad one refused whole (C17)."""

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.catalog import CatalogErrors, CatalogFiles, CatalogPaths, load
from kintsugi.catalog.library import catalog_paths
from kintsugi.model.catalog import Catalog
from tests.harness.waiting import eventually
from tests.unit.catalog.documents import RULE, RUNBOOK, SERVICE, added, runbook

NAMING = "runbook: mend"


def test_without_the_example_there_are_no_services_and_the_runbooks_that_fit_any() -> None:
    catalog = load(catalog_paths(None, example=False))
    assert not catalog.services
    assert not catalog.rules
    assert "workload-recovery" in catalog.runbooks
    assert "full-stack-recovery" not in catalog.runbooks


def test_a_service_of_ones_own_is_recovered_by_a_shipped_runbook(tmp_path: Path) -> None:
    own = SERVICE.replace(NAMING, "runbook: workload-recovery")
    catalog = added(tmp_path, own, RULE.replace(NAMING, "runbook: workload-recovery"))
    assert set(catalog.services) == {"web"}
    assert "workload-recovery" in catalog.runbooks
    assert load([Path(name) for name in catalog.texts]).digest == catalog.digest, "the ledger keeps it whole"


def test_a_shipped_runbook_that_is_named_must_fit(tmp_path: Path) -> None:
    with pytest.raises(CatalogErrors) as errors:
        added(tmp_path, SERVICE.replace(NAMING, "runbook: database-restore"), RULE, RUNBOOK)
    assert {Path(each.file).name for each in errors.value.problems} == {"own.yaml", "database-restore.yaml"}
    assert "runbook database-restore needs database, backups, host" in str(errors.value)
    assert "there is no service with checks called 'integrity'" in str(errors.value)


def test_a_mistake_in_ones_own_is_told_alone(tmp_path: Path) -> None:
    with pytest.raises(CatalogErrors) as errors:
        added(tmp_path, SERVICE, RULE.replace("service: web", "service: wep"), RUNBOOK)
    assert {Path(each.file).name for each in errors.value.problems} == {"own.yaml"}


@pytest.mark.parametrize("example", [True, False])
def test_a_name_twice_is_told_with_both_places(tmp_path: Path, *, example: bool) -> None:
    own = runbook("- {id: a, run: kubectl get pods}", name="workload-recovery")
    with pytest.raises(CatalogErrors) as errors:
        added(tmp_path, SERVICE, RULE, RUNBOOK, own, example=example)
    (problem,) = errors.value.problems
    assert Path(problem.file).name == "own.yaml"
    assert "there is a Runbook 'workload-recovery' already, in " in problem.message
    assert "runbooks/workload-recovery.yaml:" in problem.message


def test_ones_own_runbook_may_have_the_name_of_one_that_does_not_fit(tmp_path: Path) -> None:
    own = runbook("- {id: a, run: kubectl get pods}", name="full-stack-recovery")
    catalog = added(tmp_path, SERVICE.replace(NAMING, "runbook: full-stack-recovery"), own)
    assert [step.id for step in catalog.runbooks["full-stack-recovery"].steps] == ["a"]


def test_a_folder_is_added_to_the_one_that_replaces_the_shipped_one(tmp_path: Path) -> None:
    instead, more = tmp_path / "instead", tmp_path / "more"
    for folder, texts in ((instead, (SERVICE, RUNBOOK)), (more, (RULE,))):
        folder.mkdir()
        (folder / "own.yaml").write_text("---\n".join(texts))
    catalog = load(catalog_paths(instead, [more]))
    assert (set(catalog.services), set(catalog.runbooks), len(catalog.rules)) == ({"web"}, {"mend"}, 1)


@dataclass
class Watched:
    """A folder of documents that is watched, and what the hooks were told."""

    folder: Path
    loaded: list[Catalog] = field(default_factory=list)
    refused: list[CatalogErrors] = field(default_factory=list)

    def started(self) -> CatalogFiles:
        """Return the files of the folder, loaded once."""
        files = CatalogFiles(
            paths=CatalogPaths(own=[self.folder]),
            every=timedelta(milliseconds=10),
            loaded=self.loaded.append,
            refused=self.refused.append,
        )
        files.start()
        return files


def write(folder: Path, rule: str = RULE) -> None:
    """Write each file at once: a look that falls between its emptying and its writing would take in half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"web.yaml": f"{SERVICE}---\n{rule}", "mend.yml": RUNBOOK}.items():
        (folder / f".{name}").write_text(text)
        (folder / f".{name}").replace(folder / name)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Return a folder with right documents."""
    write(tmp_path)
    return Watched(tmp_path)


async def test_a_new_version_is_taken(watched: Watched) -> None:
    files = watched.started()
    assert not await files.check()
    write(watched.folder, RULE.replace("2m", "5m"))
    assert await files.check()
    assert len(watched.loaded) == 2
    assert files.catalog is watched.loaded[-1]
    assert files.catalog.rules["pods"].for_duration == timedelta(minutes=5)


async def test_a_bad_version_is_refused_whole_and_said_once(watched: Watched) -> None:
    files = watched.started()
    write(watched.folder, RULE.replace("unhealthy", "unhealty"))
    (watched.folder / "more.yaml").write_text(RUNBOOK.replace("name: mend", "name: more"))
    assert not await files.check()
    assert not await files.check()
    assert [files.catalog] == watched.loaded
    assert len(watched.refused) == 1
    assert "web.yaml" in str(watched.refused[0])
    write(watched.folder)
    assert await files.check()
    assert set(files.catalog.runbooks) == {"mend", "more"}


async def test_a_comment_is_no_new_version(watched: Watched) -> None:
    files = watched.started()
    write(watched.folder, "# a comment\n" + RULE)
    assert not await files.check()
    assert len(watched.loaded) == 1


async def test_the_link_swap_of_a_configmap_is_seen(tmp_path: Path) -> None:
    """The kubelet writes a new folder and turns the link `..data` to it; the files' own links never change."""
    write(tmp_path / "..2024_01")
    write(tmp_path / "..2024_02", RULE.replace("2m", "7m"))
    (tmp_path / "..data").symlink_to("..2024_01")
    for name in ("web.yaml", "mend.yml"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    files = Watched(tmp_path).started()
    (tmp_path / "..data_tmp").symlink_to("..2024_02")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert await files.check()
    assert files.catalog.rules["pods"].for_duration == timedelta(minutes=7)


async def test_an_emptied_folder_is_refused(watched: Watched) -> None:
    files = watched.started()
    for file in watched.folder.iterdir():
        file.unlink()
    assert not await files.check()
    assert [files.catalog] == watched.loaded
    assert len(watched.refused) == 1


async def test_a_file_of_the_same_size_and_time_is_seen_by_its_inode(watched: Watched) -> None:
    files, file = watched.started(), watched.folder / "web.yaml"
    old, new = file.stat(), watched.folder / "new"
    new.write_text(file.read_text().replace("2m", "3m"))
    os.utime(new, ns=(old.st_atime_ns, old.st_mtime_ns))
    new.rename(file)
    assert await files.check()


async def test_looking_goes_on_in_the_background(watched: Watched) -> None:
    files = watched.started()
    task = asyncio.create_task(files.run())
    try:
        write(watched.folder, RULE.replace("unhealthy", "unhealty"))
        await eventually(lambda: watched.refused, within=20, describe="the bad version is refused")
        write(watched.folder, RULE.replace("2m", "9m"))
        await eventually(lambda: len(watched.loaded) == 2, within=20, describe="the good version is loaded")
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert files.catalog.rules["pods"].for_duration == timedelta(minutes=9)


def test_a_start_on_mistakes_is_refused(tmp_path: Path) -> None:
    write(tmp_path, RULE.replace("unhealthy", "unhealty"))
    with pytest.raises(CatalogErrors, match="unhealty"):
        Watched(tmp_path).started()
    with pytest.raises(CatalogErrors, match="no such file or folder"):
        Watched(tmp_path / "absent").started()
