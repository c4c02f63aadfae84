"""
What may be asked of a database: one statement that reads.

The server holds it to that in a read-only transaction; what such a transaction would still allow (ending sessions,
promoting a standby, switching WAL) is refused here by name.
"""

import re

LONGEST = 8000

_READS = re.compile(r"(?:SELECT|SHOW|WITH|TABLE|VALUES)\b", re.IGNORECASE)
_SHOW = re.compile(r"SHOW\s+([A-Za-z_][A-Za-z0-9_.]*)", re.IGNORECASE)
_ACTS = re.compile(
    r"\b(?:pg_(?:terminate|cancel)_backend|pg_promote|pg_reload_conf|pg_rotate_logfile\w*|pg_switch_wal"
    r"|pg_create_\w+|pg_drop_\w+|pg_copy_\w+|pg_replication_slot_advance|pg_replication_origin_\w+|pg_logical_\w+"
    r"|pg_wal_replay_(?:pause|resume)|pg_backup_(?:start|stop)|pg_stat_reset\w*|pg_stat_statements_reset"
    r"|pg_(?:try_)?advisory_\w+|pg_notify|pg_sleep\w*|pg_(?:read|write|ls|stat)_(?:binary_)?file\w*|pg_file_\w+"
    r"|pg_export_snapshot|pg_log_\w+|pg_logfile_rotate|lo_\w+|dblink\w*|set_config|query_to_xml\w*)\s*\(",
    re.IGNORECASE,
)


def checked_statement(text: str) -> str:
    """Give the statement back. Raises ValueError when it is not exactly one that reads, with what would be right."""
    statement = text.strip()
    if not statement or len(statement) > LONGEST:
        raise ValueError(f"a statement has 1 to {LONGEST} characters, and this one {len(statement)}")
    if ";" in statement:
        raise ValueError("a semicolon (;) is not understood in SQL: a step asks exactly one question, write it without")
    if "\\" in statement:
        raise ValueError("a backslash is not understood in SQL: psql's own commands are not executed")
    if "\0" in statement or not _READS.match(statement):
        raise ValueError(f"{statement[:40]!r} does not only look: write SELECT, SHOW, WITH, TABLE or VALUES")
    if found := _ACTS.search(statement):
        raise ValueError(f"{found.group().rstrip('( ')} does more than look: it is not called from a runbook")
    if statement[:4].upper() == "SHOW" and not _SHOW.fullmatch(statement):
        raise ValueError(f"{statement[:40]!r} is not understood: SHOW takes the name of one setting")
    return statement


def shown_setting(statement: str) -> str:
    """Give the setting that a SHOW asks for, "" of another statement."""
    found = _SHOW.fullmatch(statement.strip())
    return found[1] if found else ""
