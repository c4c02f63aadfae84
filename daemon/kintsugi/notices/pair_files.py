"""Files of names with a value each, one `KEY: VALUE` a line: the members of Slack, the destinations of Apprise."""

from collections.abc import Callable, Mapping
from pathlib import Path

from kintsugi.settings import SettingsError
from kintsugi.tokens import spoken_lines


def read_pairs(file: Path, objection: Callable[[str, str], str]) -> Mapping[str, str]:
    """
    Read a file of pairs. `objection` returns what is wrong with a key and its value, "" for nothing.

    Raises SettingsError, with each wrong line.
    """
    found, problems = dict[str, str](), []
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SettingsError((f"{file} cannot be read: {error.strerror or error}",)) from error
    for number, text in spoken_lines(content):
        key, _, value = (part.strip() for part in text.decode("utf-8", "replace").partition(":"))
        wrong = objection(key, value) or (f"{key} stands in it twice: write one line for it" if key in found else "")
        if wrong:
            problems.append(f"{file}: line {number}: {wrong}")
        found[key] = value
    if problems:
        raise SettingsError(tuple(problems))
    return found
