"""The revision at which a sabotage was last seen red, in its entry in the catalogue."""

import re

from tests.sabotage.trees import ROOT, SabotageError

CATALOGUE = ROOT / "tests" / "sabotage" / "catalogue"


def note(takes_out: str, revision: str) -> None:
    """Write into its entry where a sabotage was seen red; "" takes that away. Raises SabotageError where it has no entry."""
    for path in sorted(CATALOGUE.glob("*.py")):
        source = path.read_text()
        if f'takes_out="{takes_out}"' in source:
            path.write_text(noted(source, takes_out, revision))
            return
    raise SabotageError(f"no entry of the catalogue takes out {takes_out!r}")


def noted(source: str, takes_out: str, revision: str) -> str:
    """Return the source of a module of the catalogue with a revision noted in one entry."""
    line = re.compile(rf'^( +)(takes_out="{re.escape(takes_out)}",\n)(?: +red_at="[^"]*",\n)?', re.MULTILINE)
    verdict = rf'\1red_at="{revision}",\n' if revision else ""
    return line.sub(rf"\1\2{verdict}", source)
