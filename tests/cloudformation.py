"""Reads CloudFormation templates, whose short forms (!Sub ...) YAML does not know."""

from pathlib import Path

import yaml

INFRA = Path(__file__).parents[1] / "infra"


class _Loader(yaml.SafeLoader):
    pass


def _intrinsic(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


def load(name: str) -> dict:
    """Load ``infra/NAME.yaml``."""
    return yaml.load((INFRA / f"{name}.yaml").read_text(), _Loader)


def properties(template: dict, kind: str) -> dict[str, dict]:
    """Give the properties of each resource of type *kind*, by its name."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def resolve(template: dict, value):
    """Put in parameters' defaults and mappings' values; conditions are false."""
    if isinstance(value, list):
        values = (resolve(template, item) for item in value)
        return [item for item in values if item is not None]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": "AWS::NoValue"}:
            return None
        case {"Ref": name}:
            return template["Parameters"].get(name, {}).get("Default", name)
        case {"Fn::FindInMap": [name, *keys]}:
            found = template["Mappings"][name]
            for key in keys:
                found = found[resolve(template, key)]
            return found
        case {"Fn::If": [_, _, otherwise]}:
            return resolve(template, otherwise)
    return {key: resolve(template, item) for key, item in value.items()}
