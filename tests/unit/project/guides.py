"""Writes tables into the pages: of the verbs into docs/runbooks.md, of repairs into docs/reliability.md: `make docs`."""

from kintsugi.commands import reference, rights
from tests.unit.project.tree import ROOT
from tests.unit.runner import test_seen_workload as repairs

HEADS = {
    "| command | changes | names afterwards | example |\n": ("runbooks.md", reference),
    "| command | rights |\n": ("runbooks.md", rights),
    repairs.HEAD: ("reliability.md", repairs.table),
}


def main() -> None:
    """Put each table in the place of the one that stands under its head."""
    for head, (name, table) in HEADS.items():
        path = ROOT / "docs" / name
        before, found, after = path.read_text(encoding="utf-8").partition(head)
        assert found, f"{path} has no table {head!r}"
        path.write_text(before + table() + after[after.index("\n\n") + 1 :], encoding="utf-8")


if __name__ == "__main__":
    main()
