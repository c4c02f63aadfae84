"""Rows of an extension's own tables are restored where they are harmless, and are told before anything is touched where they are not (E10)."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kintsugi_restore.backups import ArchiveContents, check_contents
from kintsugi_restore.worker.archive_reading import read_contents
from tests.integration.backup_stage import dumped
from tests.integration.restore_stage import Dumps, RestoreStage
from tests.unit.restore.test_judging_a_backup import WANTED

pytestmark = pytest.mark.long

POSTGIS = """
CREATE DOMAIN geometry AS text;
CREATE TABLE spatial_ref_sys (srid int PRIMARY KEY, srtext text);
INSERT INTO spatial_ref_sys VALUES (4326, 'WGS 84');
GRANT SELECT ON spatial_ref_sys TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('spatial_ref_sys', 'WHERE srid > 900000');
"""
"""As PostGIS makes the table: the coordinate systems that a person has added are dumped, and a person is no owner of it."""

TOPOLOGY = """
CREATE TABLE topology (name text);
SELECT pg_catalog.set_config('search_path', reset_val || ', topology', false) FROM pg_catalog.pg_settings WHERE name = 'search_path';
CREATE TABLE edge (shape geometry);
"""
"""As PostGIS's topology goes about it: it adds to where the session began to look names up."""

CRON = """
CREATE SCHEMA cron;
CREATE SEQUENCE cron.jobid_seq;
CREATE TABLE cron.job (jobid bigint PRIMARY KEY DEFAULT nextval('cron.jobid_seq'), command text, username text);
SELECT pg_catalog.pg_extension_config_dump('cron.job', '');
SELECT pg_catalog.pg_extension_config_dump('cron.jobid_seq', '');
"""
"""As pg_cron makes it: each row is a command that is run as whoever it says."""

FITS = replace(WANTED, roles=frozenset({"postgres"}))
PLACES = ("CREATE TABLE public.places (name text)", "INSERT INTO public.places VALUES ('here'), ('there')")


@pytest.fixture(scope="module")
def built() -> Iterator[RestoreStage]:
    """Return a server that brings them."""
    with RestoreStage.built(
        Dumps(files={}, sql={}), brings={"postgis": POSTGIS, "postgis_topology": TOPOLOGY, "pg_cron": CRON}
    ) as made:
        yield made


@pytest.fixture
def stage(built: RestoreStage, monkeypatch: pytest.MonkeyPatch) -> Iterator[RestoreStage]:
    """Return it as it was in the beginning, and have its programs read dumps."""
    monkeypatch.setenv("KINTSUGI_PG_BIN", str(built.server.programs.bin))
    yield built
    built.reset()


def dumped_of(stage: RestoreStage, *statements: str, flags: Sequence[str] = ()) -> Path:
    """Dump a database made by some statements, which is gone afterwards."""
    stage.server.psql("CREATE DATABASE source")
    for each in statements:
        stage.server.psql(each, dsn=stage.server.dsn("source"))
    file = dumped(stage.server, "source", stage.server.folder / "source.dump", *flags)
    stage.server.psql("DROP DATABASE source")
    return file


def contents_of(file: Path) -> ArchiveContents:
    """Read what a dump holds, as it is read when it is fetched."""
    found = asyncio.run(read_contents(file))
    assert isinstance(found, ArchiveContents), found
    return found


def test_a_coordinate_system_that_a_person_has_added_is_restored(stage: RestoreStage) -> None:
    file = dumped_of(stage, "CREATE EXTENSION postgis", "INSERT INTO spatial_ref_sys VALUES (990001, 'ours')", *PLACES)
    contents = contents_of(file)
    assert contents.foreign_rows == ("public.spatial_ref_sys",)
    assert check_contents(contents, FITS) is None
    restored = stage.restored(stage.worker("restore", str(file), "--database", "mapped"))
    assert {table.name: table.rows for table in restored.tables}["public.places"] == 2
    systems = "SELECT string_agg(srid::text, ',' ORDER BY srid) FROM spatial_ref_sys"
    assert stage.server.psql(systems, dsn=stage.server.dsn("mapped")) == "4326,990001"


def test_a_job_of_an_extension_is_refused_when_it_is_fetched_with_how_to_dump_without_it(stage: RestoreStage) -> None:
    jobs = ("CREATE EXTENSION pg_cron", "INSERT INTO cron.job (command) VALUES ('SELECT 1')", *PLACES)
    contents = contents_of(dumped_of(stage, *jobs))
    assert contents.foreign_rows == ("cron.job", "cron.jobid_seq")
    unfit = check_contents(contents, FITS)
    assert unfit is not None
    flags = ("--exclude-table-data=cron.job", "--exclude-table-data=cron.jobid_seq")
    assert f"pg_dump {' '.join(flags)}" in unfit.reason
    without = dumped_of(stage, *jobs, flags=flags)
    assert check_contents(contents_of(without), FITS) is None
    restored = stage.restored(stage.worker("restore", str(without), "--database", "scheduled"))
    assert {table.name: table.rows for table in restored.tables} == {"public.places": 2}


def test_an_extension_that_adds_to_where_names_are_looked_up_finds_those_of_another_one(stage: RestoreStage) -> None:
    made = ("CREATE EXTENSION postgis", "CREATE SCHEMA topology", "CREATE EXTENSION postgis_topology SCHEMA topology")
    file = dumped_of(stage, *made, *PLACES)
    assert stage.restored(stage.worker("restore", str(file), "--database", "mapped")).database == "mapped"
