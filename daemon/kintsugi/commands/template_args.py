"""
The arguments of `kubectl set`: the containers of a pod template, and the values that are set in them.

A workload is followed by `KEY=VALUE`s, as in kubectl: `deployment/web web=nginx:1.27`.
"""

import re
from collections.abc import Mapping

from kintsugi.commands.arg_types import ArgType, key_value, matching
from kintsugi.commands.command_spec import ParsedCommand
from kintsugi.commands.references import objects
from kintsugi.expressions import format_value
from kintsugi.model.command import ObjectName
from kubeobjects.quantities import parse_quantity

_CONTAINER = re.compile(r"\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,400}")
_RESOURCE = re.compile(r"[a-z0-9]([-a-z0-9./]{0,200}[a-z0-9])?")
_PIECE = re.compile(r"[A-Za-z0-9._:/@+-]{1,400}")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise ValueError(f"{text!r} is not NAME=VALUE")
    return name, value


def _image(text: str) -> tuple[str, str]:
    container, image = _pair(text)
    if not _CONTAINER.fullmatch(container):
        raise ValueError(f"{container!r} is not the name of a container, or * for all of them")
    if not _IMAGE.fullmatch(image):
        raise ValueError(f"{image!r} is not an image")
    return container, image


def _amounts(text: str) -> str:
    named = [_amount(each) for each in text.split(",")]
    if len({name for name, _ in named}) != len(named):
        raise ValueError(f"{text!r} names a resource twice")
    return text


def _amount(text: str) -> tuple[str, str]:
    name, amount = _pair(text)
    if not _RESOURCE.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a resource, as in memory=512Mi")
    if (parsed := parse_quantity(amount)) is None or parsed < 0:
        raise ValueError(f"{amount!r} is not a quantity, as in memory=512Mi")
    return name, amount


def _put_piece(before: str, value: object) -> str:
    """A value is a piece of an image or an amount; never a `,` or `=` that would begin another one."""
    if not _PIECE.fullmatch(text := format_value(value)):
        raise ValueError(
            f"{text!r} is not a piece of an image or an amount (letters, digits, and ._:/@+- between them)"
        )
    return text


_A_VARIABLE = matching(
    r"[-._a-zA-Z][-._a-zA-Z0-9]{0,250}", "the name of a variable (letters, digits, and -_. after the first)"
)
_SOME_CONTAINERS = matching(r"[-a-z0-9*]{1,63}", "the name of a container, with * for any letters")
CONTAINER_IMAGE = ArgType(word="CONTAINER=IMAGE", convert=_image, sample="sample=sample", put=_put_piece)
VARIABLE = ArgType(word="KEY=VALUE", convert=key_value(_A_VARIABLE), sample="SAMPLE=sample")
AMOUNTS = ArgType(word="RESOURCE=QUANTITY,…", convert=_amounts, sample="memory=1Mi", put=_put_piece)
CONTAINERS = ArgType(word="CONTAINERS", convert=_SOME_CONTAINERS, sample="sample", put=_put_piece)


def amounts_of(text: str) -> Mapping[str, str]:
    """Return the amounts that `RESOURCE=QUANTITY,…` names, none for ""."""
    return dict(map(_pair, text.split(","))) if text else {}


def target(parsed: ParsedCommand) -> ObjectName:
    """Return the one workload that the arguments name besides what is set."""
    found = objects(parsed, tuple(each for each in parsed.arguments if not isinstance(each.value, tuple)))
    if len(found) > 1:
        raise parsed.misused(f"it takes one object, not {len(found)}: use forEach")
    return found[0]


def pairs(parsed: ParsedCommand) -> Mapping[str, object]:
    """Return the values to set, by key. Raises CommandProblem where none is given, or a key is given twice."""
    given = [each.value for each in parsed.arguments if isinstance(each.value, tuple)]
    if not given:
        raise parsed.misused("it sets nothing")
    values: dict[str, object] = dict(given)
    if len(values) != len(given):
        raise parsed.misused("a key is given twice")
    return values
