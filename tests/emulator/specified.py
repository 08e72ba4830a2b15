"""The exchange's specification as a judge of answers: which operation a request is, and what its answer has wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from functools import cache

import yaml  # type: ignore[import-untyped]
from emulator_world import Answer, specification
from jsonschema import Draft4Validator, FormatChecker

PREFIX = "/trade-api/v2"
FORMATS = FormatChecker(())
# The specification declares one flat error body; the exchange sends four (api.md 4.7, all recorded), and the wire wins.
NESTED = {"type": "object", "required": ["error"], "additionalProperties": False}
NESTED["properties"] = {"error": {"$ref": "#/components/schemas/CompleteError"}}
FLAT = {"$ref": "#/components/schemas/CompleteError"}
MSG = {
    "type": "object",
    "required": ["msg"],
    "properties": {"msg": {"type": "string"}},
    "additionalProperties": False,
}
SPENT = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "enum": ["too many requests"]}},
    "additionalProperties": False,
}
COMPLETE = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {name: {"type": "string", "minLength": 1} for name in ("code", "message", "details")},
    "additionalProperties": False,
}


@FORMATS.checks("date-time", raises=ValueError)
def is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@cache
def document() -> dict[str, object]:
    """The specification, with every object closed: a field that it does not know is a mistake here.

    `nullable`, which JSON Schema has not, becomes a choice of null, beside `$ref` and `allOf` too.
    """
    loaded = yaml.load(specification("openapi.yaml"), Loader=yaml.CSafeLoader)
    assert isinstance(loaded, dict)
    schemas = loaded["components"]["schemas"]
    for schema in list(schemas.values()):
        _close(schema)
    schemas["CompleteError"] = COMPLETE
    return loaded


def _close(schema: object) -> None:
    if isinstance(schema, dict):
        if schema.pop("nullable", False):
            whole = dict(schema)
            schema.clear()
            schema["anyOf"] = [whole, {"type": "null"}]
        if "properties" in schema and "allOf" not in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            _close(part)
    elif isinstance(schema, list):
        for part in schema:
            _close(part)


def operation(method: str, path: str) -> tuple[str, dict[str, object]] | None:
    """The specification's pattern and operation for a path; the more particular pattern wins."""
    parts = path.removeprefix(PREFIX).split("/")
    paths = document()["paths"]
    assert isinstance(paths, dict)
    found = []
    for pattern, operations in paths.items():
        names = pattern.split("/")
        fits = len(names) == len(parts) and all(a == b or a.startswith("{") for a, b in zip(names, parts, strict=True))
        if fits and method.lower() in operations:
            found.append((pattern, operations[method.lower()]))
    return min(found, key=lambda pair: pair[0].count("{"), default=None)


def faults(method: str, target: str, answer: Answer) -> Iterator[str]:
    """What is wrong with an answer: an undeclared status aside, which is the caller's to judge."""
    path = target.partition("?")[0]
    known = operation(method, path)
    if known is None:
        yield f"{method} {path} is not in the specification"
        return
    if answer.status >= 400:
        yield from _mismatches(answer, SPENT if answer.status == 429 else {"oneOf": [NESTED, FLAT, MSG]})
        return
    responses = known[1]["responses"]
    assert isinstance(responses, dict)
    declared = responses.get(str(answer.status))
    if declared is None:
        yield f"{method} {path}: {answer.status} is not declared"
        return
    content = declared.get("content")
    if not content:
        if answer.text:
            yield f"{method} {path}: a body where none is declared"
        return
    yield from _mismatches(answer, content["application/json"]["schema"])


def _mismatches(answer: Answer, schema: object) -> Iterator[str]:
    root = {"allOf": [schema], "components": document()["components"]}
    validator = Draft4Validator(root, format_checker=FORMATS)  # what OpenAPI 3.0 grew out of
    for error in validator.iter_errors(json.loads(answer.text)):
        where = "/".join(str(part) for part in error.absolute_path)
        yield f"{where or 'the body'}: {error.message[:200]}"


def declared(method: str, target: str) -> set[int]:
    """The statuses that the specification declares for an operation."""
    known = operation(method, target.partition("?")[0])
    assert known is not None, target
    responses = known[1]["responses"]
    assert isinstance(responses, dict)
    return {int(status) for status in responses}
