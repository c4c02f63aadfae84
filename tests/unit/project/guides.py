"""Writes the tables of the verbs into docs/runbooks.md: `make docs`."""

from kintsugi.commands import reference, rights
from tests.unit.project.tree import ROOT

PAGE = ROOT / "docs" / "runbooks.md"
HEADS = {"| command | changes | names afterwards | example |\n": reference, "| command | rights |\n": rights}


def main() -> None:
    """Put each table in the place of the one that stands under its head."""
    page = PAGE.read_text(encoding="utf-8")
    for head, table in HEADS.items():
        before, found, after = page.partition(head)
        assert found, f"{PAGE} has no table {head!r}"
        page = before + table() + after[after.index("\n\n") + 1 :]
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
