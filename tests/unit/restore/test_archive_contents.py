"""What a dump holds and needs, from the script that pg_restore writes of it."""

import pytest

from kintsugi_restore.backups import ArchiveContents
from kintsugi_restore.worker.archive_contents import ArchiveList, Script


def read(script: str) -> ArchiveContents:
    """Read a script line by line."""
    found = Script()
    for line in script.splitlines():
        found.take(line)
    return found.contents()


def entry(kind: str, *statements: str, owner: str = "-") -> str:
    """Write an entry of the script."""
    return "\n".join(("--", f"-- Name: x; Type: {kind}; Schema: public; Owner: {owner}", "--", "", *statements, ""))


@pytest.mark.parametrize(
    ("statement", "roles"),
    [
        ("GRANT SELECT ON TABLE public.orders TO reader;", {"reader"}),
        ('GRANT ALL ON SCHEMA shop TO "Odd ""One"", x" WITH GRANT OPTION;', {'Odd "One", x'}),
        ("REVOKE ALL ON TABLE public.orders FROM shop;", {"shop"}),
        ("GRANT SELECT(a, b) ON TABLE public.t TO PUBLIC;", set()),
        ("SET SESSION AUTHORIZATION lender;", {"lender"}),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE shop IN SCHEMA public GRANT SELECT ON TABLES  TO reader;",
            {"shop", "reader"},
        ),
    ],
)
def test_the_roles_that_rights_are_given_to_are_named(statement: str, roles: set[str]) -> None:
    """PUBLIC is none."""
    assert set(read(entry("ACL", statement)).roles) == roles


def test_the_roles_of_a_policy_are_named_and_its_condition_is_not_read() -> None:
    """A condition is SQL of whatever kind."""
    policy = 'CREATE POLICY seen ON public.orders FOR SELECT TO a, "b c" USING ((x IN (SELECT y FROM tos)));'
    assert read(entry("POLICY", policy)).roles == ("a", "b c")


def test_the_body_of_a_function_names_no_role() -> None:
    """What looks like a statement in it is a text."""
    body = entry("FUNCTION", "CREATE FUNCTION f() AS $$", "GRANT SELECT ON x TO nobody;", "$$;", owner="shop")
    assert read(body).roles == ("shop",)


def test_owners_and_tablespaces_are_told_apart() -> None:
    """A table in a tablespace of its own says so after its owner."""
    found = read("-- Name: odd; name; Type: TABLE; Schema: public; Owner: the shop; Tablespace: fast")
    assert (found.tables, found.roles) == (("public.odd; name",), ("the shop",))


def test_an_entry_that_every_server_has_is_not_needed() -> None:
    """PostgreSQL's own roles, and the language that it comes with."""
    script = (
        "-- Name: public; Type: SCHEMA; Schema: -; Owner: pg_database_owner\n"
        "-- Name: plpgsql; Type: EXTENSION; Schema: -; Owner: -\n"
        "-- Name: vector; Type: EXTENSION; Schema: -; Owner: -\n"
        "-- Name: EXTENSION vector; Type: COMMENT; Schema: -; Owner: \n"
    )
    assert read(script) == ArchiveContents(extensions=("vector",))


def test_rows_of_what_a_dump_does_not_make_are_told_apart_by_its_list() -> None:
    listing = ArchiveList()
    for line in (
        "; Archive created at 2026-11-24 02:14:07 UTC",
        "215; 1259 16386 TABLE public orders the shop",
        "216; 1259 16390 SEQUENCE public orders_id_seq the shop",
        "217; 1259 16400 FOREIGN TABLE public far postgres",
        "3350; 0 16386 TABLE DATA public orders the shop",
        "3351; 0 16400 TABLE DATA public far postgres",
        "3352; 0 0 SEQUENCE SET public orders_id_seq the shop",
        "3353; 0 16500 TABLE DATA cron job postgres",
        "3354; 0 0 SEQUENCE SET cron jobid_seq postgres",
        "3355; 0 16501 MATERIALIZED VIEW DATA public sums postgres",
    ):
        listing.take(line)
    assert listing.foreign_rows() == ("cron.job", "cron.jobid_seq")
