"""Prints what becomes of the commands of all pages of a folder: `python -m tests.pages FOLDER`."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kintsugi.catalog import CatalogErrors, Source, load_sources
from kintsugi_import.command import Imported, import_page
from kintsugi_import.reading import Handling

_KUBECTL = re.compile(r"(?:^|[\s(])(?:kubectl|oc)\s")
_LOOK = re.compile(
    r"(?:kubectl|oc)\s(?:-\S+\s+\S+\s+)*(?:get|describe|logs|top|events|wait|rollout (?:status|history)|auth can-i)\b"
)


def main(folder: Path) -> None:
    """Import every page below a folder and print the shares."""
    pages: dict[Path, list[Imported]] = {}
    for path in sorted(folder.rglob("*.md")):
        pages[path] = import_page(path)
    books = [book for found in pages.values() for book in found if book.text]
    wrong = [book for book in books if not valid(book)]
    commands = [each for found in pages.values() for book in found for each in book.procedure.commands]
    kubectl = [each for each in commands if _KUBECTL.search(each.text)]
    looks = [each for each in kubectl if _LOOK.match(each.text)]
    print(f"{len(pages)} pages, {len(books)} runbooks, {len(wrong)} that do not load")
    for name, of in (("all commands", commands), ("kubectl and oc", kubectl), ("of these looks", looks)):
        count = Counter(each.handling for each in of)
        print(
            f"{name}: {len(of)}: "
            + ", ".join(f"{handling} {count[handling] / max(1, len(of)):.1%}" for handling in Handling)
        )
    with_commands = [
        found
        for found in pages.values()
        if any(_KUBECTL.search(each.text) for book in found for each in book.procedure.commands)
    ]
    shares = [_share(found) for found in with_commands]
    print(
        f"{len(with_commands)} pages with kubectl or oc; half or more runs on {sum(share >= 0.5 for share in shares) / max(1, len(shares)):.1%}"
    )
    persons = [sum(step.reading is None for book in found for step in book.procedure.steps) for found in with_commands]
    print(f"steps for a person a page: {sum(persons) / max(1, len(persons)):.2f}")
    values = {(book.page, name): bound for book in books for name, bound in open_values(book)}
    print(f"{len(values)} open values, {sum(values.values()) / max(1, len(values)):.1%} bound by the alert or by looks")
    reasons = Counter(
        re.sub(r"'[^']*'|<[^>]*>|\$\w+", "…", each.reason)[:90] for each in kubectl if each.handling is Handling.PERSON
    )
    for reason, number in reasons.most_common(40):
        print(f"{number:5} {reason}")


def open_values(book: Imported) -> Iterator[tuple[str, bool]]:
    """Yield the values that a page leaves open, and whether the alert's labels or the page's own looks give them."""
    yield from ((name, bool(each.label)) for name, each in book.procedure.parameters.items() if not each.default)
    yield from ((name, True) for name in book.procedure.found)


def valid(book: Imported) -> bool:
    """Return whether a document loads as it is."""
    try:
        load_sources([Source(name="page.yaml", content=book.text.encode())])
    except CatalogErrors:
        return False
    return True


def _share(found: list[Imported]) -> float:
    commands = [each for book in found for each in book.procedure.commands]
    return sum(each.handling is Handling.RUN for each in commands) / max(1, len(commands))


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python -m tests.pages FOLDER")
    main(Path(sys.argv[1]))
