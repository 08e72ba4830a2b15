"""The exchange's published schemas, as validators, for tests: every object closed, so that unknown fields are found."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml  # type: ignore[import-untyped]
from emulator_world import specification
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

DOCUMENT = "urn:specification"


def closed(node: object) -> Any:
    """A schema in which an object has no fields but those that are described."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    copied = {key: closed(value) for key, value in node.items()}
    if copied.get("type") == "object" and isinstance(copied.get("properties"), dict):
        copied.setdefault("additionalProperties", False)
    return copied


class Specification:
    """One document of the exchange; skips the test where it is not beside the repository."""

    def __init__(self, name: str) -> None:
        self.document = _document(name)
        components = {"components": {"schemas": closed(self.document["components"]["schemas"])}}
        resource = Resource(contents=components, specification=DRAFT202012)
        self._registry = Registry().with_resource(DOCUMENT, resource)
        self._validators: dict[str, Draft202012Validator] = {}

    def misfits(self, schema: str, value: object) -> list[str]:
        """What of a value the schema of that name does not allow: where, and why."""
        validator = self._validators.get(schema)
        if validator is None:
            validator = self._validators[schema] = Draft202012Validator(
                {"$ref": f"{DOCUMENT}#/components/schemas/{schema}"},
                registry=self._registry,
                format_checker=Draft202012Validator.FORMAT_CHECKER,
            )
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


@cache
def _document(name: str) -> Any:
    return yaml.load(specification(name), Loader=yaml.CSafeLoader)
