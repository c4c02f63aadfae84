"""In what two templates differ, in words: short values are told, those of variables never."""

from typing import Any

from kubediagnosis.templates import difference, template_fields


def template(*containers: Any, **spec: Any) -> dict[str, str]:
    """Return the fields of a template."""
    return template_fields({"spec": {"containers": list(containers), **spec}})


def web(image: str, **more: Any) -> dict[str, Any]:
    """Return a container."""
    return {"name": "web", "image": image, **more}


def test_an_image_is_told_of_both_sides() -> None:
    assert difference(template(web("shop:2.1")), template(web("shop:2.0"))) == ("image shop:2.1", "image shop:2.0")


def test_a_container_among_several_is_named() -> None:
    sidecar = {"name": "metrics", "image": "metrics:1"}
    both = difference(template(web("shop:2.1"), sidecar), template(web("shop:2.0"), sidecar))
    assert both == ("containers[web].image shop:2.1", "containers[web].image shop:2.0")


def test_the_value_of_a_variable_is_never_told() -> None:
    one = template(web("shop:2", env=[{"name": "TOKEN", "value": "hunter2"}]))
    other = template(web("shop:2", env=[{"name": "TOKEN", "value": "hunter1"}]))
    assert difference(one, other) == ("env[TOKEN] changed", "")
    assert difference(one, template(web("shop:2"))) == ("env[TOKEN] added", "no env[TOKEN]")
    assert difference(template(web("shop:2")), one) == ("no env[TOKEN]", "")


def test_a_field_of_more_than_one_value_is_named_alone() -> None:
    one, other = (template(web("shop:2", command=[word])) for word in ("serve", "run"))
    assert difference(one, other) == ("command changed", "")


def test_the_number_of_many_fields_is_said() -> None:
    one = template(web("shop:2"), nodeSelector={str(each): "a" for each in range(5)})
    other = template(web("shop:2"), nodeSelector={str(each): "b" for each in range(5)})
    had, gets = difference(one, other)
    assert had == "nodeSelector[0] a, nodeSelector[1] a, nodeSelector[2] a, 2 more fields changed"
    assert gets == "nodeSelector[0] b, nodeSelector[1] b, nodeSelector[2] b"


def test_templates_that_are_alike_have_no_difference() -> None:
    assert difference(template(web("shop:2")), template(web("shop:2"))) == ("", "")
