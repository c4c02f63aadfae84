"""The two CEL environments of a scope: one that checks exactly, one that runs on plain values."""

from dataclasses import dataclass
from functools import lru_cache

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings

from kintsugi.expressions.descriptors import message_pool
from kintsugi.expressions.dialect import exact, loose, loose_forms
from kintsugi.expressions.function import Function
from kintsugi.expressions.types import ANY, Struct, Type, structs_in
from kintsugi.expressions.values import answering

_EXTENSIONS = (ext_optional.ExtOptional(), ext_bindings.ExtBindings(), ext_strings.ExtStrings(), ext_math.ExtMath())
_PARSER = cel.NewEnv(extensions=_EXTENSIONS)


@dataclass(frozen=True, slots=True, eq=False)
class Environment:
    """What expressions of one scope are compiled in. `container` is a prefix that names may leave out."""

    names: dict[str, Type]
    functions: dict[str, Function]
    structs: dict[str, Struct]
    container: str
    check: cel.Env
    run: cel.Env


@lru_cache(maxsize=512)
def environment(
    names: frozenset[tuple[str, Type]], functions: tuple[Function, ...], container: str = ""
) -> Environment:
    """Build the environment of these names, once."""
    declared = dict(names)
    kinds = [*declared.values()]
    for function in functions:
        kinds += [kind for form in function.accepts for kind in form] + [function.result]
    structs = frozenset[Struct]().union(*map(structs_in, kinds))
    return Environment(
        names=declared,
        functions={function.name: function for function in functions},
        structs={struct.name: struct for struct in structs},
        container=container,
        check=cel.NewEnv(
            message_pool(structs),
            variables={name: exact(kind) for name, kind in declared.items()},
            functions=[_checked(function) for function in functions],
            extensions=_EXTENSIONS,
            container=container,
        ),
        run=cel.NewEnv(
            variables=dict.fromkeys(declared, cel.Type.DYN),
            extensions=[*_EXTENSIONS, cel.CelExtension("kintsugi", [_running(function) for function in functions])],
            container=container,
        ),
    )


def parse(source: str) -> bytes:
    """Give the serialised tree of an expression as written, with nothing resolved. Raises RuntimeError, as CEL does."""
    return bytes(_PARSER.compile(source, disable_check=True).serialize())


def _checked(function: Function) -> cel.FunctionDecl:
    return cel.FunctionDecl(
        function.name,
        [
            cel.Overload(f"{function.name}_{number}", exact(function.result), [exact(kind) for kind in form])
            for number, form in enumerate(function.accepts)
        ],
    )


def _running(function: Function) -> cel.FunctionDecl:
    """Declare a function for the run; one that uses names gets its implementation with their values (`Names`)."""
    if any(kind == ANY for form in function.accepts for kind in form):
        raise ValueError(f"{function.name}: CEL never calls a function whose parameter may be anything")
    late = bool(function.uses)
    forms = loose_forms(function)
    if late and len(forms) > 1:
        raise ValueError(f"{function.name}: a function that uses names has one form")
    return cel.FunctionDecl(
        function.name,
        [
            cel.Overload(
                f"{function.name}_{number}",
                loose(function.result),
                list(form),
                impl=None if late else answering(function),
            )
            for number, form in enumerate(forms)
        ],
    )
