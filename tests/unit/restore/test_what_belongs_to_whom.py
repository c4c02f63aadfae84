"""Owners, extensions and default rights are read from what `pg_restore` writes of a dump; its statements are not kept."""

from kintsugi_restore.worker.dump_ownership import DefaultRight, Extension, key, read

LISTED = """\
;
; Archive created at 2026-11-24 02:14:07 UTC
;
7; 2615 16385 SCHEMA - extensions app
8; 2615 16386 SCHEMA - shop app
2; 3079 16390 EXTENSION - vector 
3500; 0 0 COMMENT - EXTENSION vector 
220; 1259 16400 TABLE shop orders app
3400; 2613 16500 BLOB - 16500 app
3301; 826 16600 DEFAULT ACL shop DEFAULT PRIVILEGES FOR TABLES app
3302; 3466 16700 EVENT TRIGGER - watch postgres
3303; 0 0 COMMENT - EVENT TRIGGER watch postgres
3304; 6104 16800 PUBLICATION - all_of_it postgres
"""  # noqa: W291  as pg_restore writes it
SCRIPT = """\
-- Name: extensions; Type: SCHEMA; Schema: -; Owner: app
-- Name: vector; Type: EXTENSION; Schema: -; Owner: -
CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA extensions;
-- Name: orders; Type: TABLE; Schema: shop; Owner: app; Tablespace: fast
-- Name: total(integer, shop.state); Type: FUNCTION; Schema: shop; Owner: reporting
-- Name: amount; Type: DOMAIN; Schema: shop; Owner: app
ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA shop GRANT SELECT ON TABLES  TO reporting;
ALTER DEFAULT PRIVILEGES FOR ROLE app GRANT SELECT ON TABLES TO reporting; DROP DATABASE live;
"""


def test_owners_are_found_by_the_names_that_the_server_writes() -> None:
    """A domain is a type to it, and it writes arguments without blanks."""
    owners = read(LISTED, SCRIPT).owners
    assert owners[key("table", "", "shop.orders")] == "app"
    assert owners[key("function", "", "shop.total(integer,shop.state)")] == "reporting"
    assert owners[key("type", "", "shop.amount")] == "app"
    assert owners[key("large object", "", "16500")] == "app"


def test_entries_that_only_a_superuser_can_make_are_taken_out_of_the_list() -> None:
    """An extension with the schema that it is in is made before, default rights after; the rest is named."""
    found = read(LISTED, SCRIPT)
    assert [line.split(";")[0] for line in found.listed.splitlines()] == ["8", "220", "3400"]
    assert found.extensions == (Extension(name="vector", schema="extensions", made=True),)
    assert found.left_out == ("EVENT TRIGGER - watch", "PUBLICATION - all_of_it")


def test_default_rights_are_read_where_their_line_is_nothing_else() -> None:
    """What stands behind a statement on its line is no part of one."""
    assert read(LISTED, SCRIPT).default_rights == (
        DefaultRight(of="app", schema="shop", granted=True, privileges=("SELECT",), kind="TABLES", role="reporting"),
    )
