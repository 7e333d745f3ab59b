"""Reads CloudFormation templates, whose short forms (!Sub ...) YAML does not know."""

import re
from pathlib import Path

import yaml

INFRA = Path(__file__).parents[1] / "infra"
ACCOUNT_ID = "123456789012"
REGION = "eu-central-1"
PSEUDO = {
    "AWS::AccountId": ACCOUNT_ID,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "stack",
}
# What !GetAtt NAME.Arn gives, of resources that have names of ours.
ARNS = {
    "AWS::ECR::Repository": ("ecr", "repository/{RepositoryName}"),
    "AWS::IAM::Role": ("iam", "role/{RoleName}"),
    "AWS::Logs::LogGroup": ("logs", "log-group:{LogGroupName}:*"),
    "AWS::ECS::Cluster": ("ecs", "cluster/{ClusterName}"),
}


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


def parse(text: str) -> dict:
    """Read a template's text."""
    return yaml.load(text, _Loader)


def load(name: str) -> dict:
    """Load ``infra/NAME.yaml``."""
    return parse((INFRA / f"{name}.yaml").read_text())


def properties(template: dict, kind: str) -> dict[str, dict]:
    """Give the properties of each resource of type *kind*, by its name."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


class Stack:
    """A template with its parameters: does what CloudFormation does to a value.

    :param given: parameters by name; lists as in a call, separated by commas.
    """

    def __init__(self, template: dict, **given: str):
        self.template = template
        declared = template.get("Parameters", {}).items()
        values = {name: each.get("Default", name) for name, each in declared} | given
        self._values = PSEUDO | {
            name: (
                value.split(",")
                if "List" in template["Parameters"][name]["Type"]
                else value
            )
            for name, value in values.items()
        }

    def resource(self, name: str) -> dict:
        """Give a resource's properties as they would be made."""
        return self.resolve(self.template["Resources"][name].get("Properties", {}))

    def holds(self, condition: str) -> bool:
        """Evaluate a condition of the template."""
        return self.resolve(self.template["Conditions"][condition])

    def resolve(self, value):
        """Put in what references, conditions and functions stand for."""
        if isinstance(value, list):
            values = (self.resolve(item) for item in value)
            return [item for item in values if item is not None]
        if not isinstance(value, dict):
            return value
        match value:
            case {"Ref": "AWS::NoValue"}:
                return None
            case {"Ref": name}:
                return self._values.get(name, name)
            case {"Condition": str(name)} if len(value) == 1:
                return self.holds(name)
            case {"Fn::Sub": [text, names]}:
                return self._substitute(text, self.resolve(names))
            case {"Fn::Sub": text}:
                return self._substitute(text, {})
            case {"Fn::GetAtt": [name, attribute]}:
                return self._attribute(name, attribute)
            case {"Fn::FindInMap": [name, *keys]}:
                found = self.template["Mappings"][name]
                for key in keys:
                    found = found[self.resolve(key)]
                return found
            case {"Fn::Join": [delimiter, values]}:
                return delimiter.join(self.resolve(values))
            case {"Fn::If": [condition, then, otherwise]}:
                return self.resolve(then if self.holds(condition) else otherwise)
            case {"Fn::Equals": [left, right]}:
                return self.resolve(left) == self.resolve(right)
            case {"Fn::Not": [inner]}:
                return not self.resolve(inner)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not None}

    def _substitute(self, text: str, names: dict) -> str:
        def give(match):
            name, _, attribute = match[1].partition(".")
            if attribute:
                return self._attribute(name, attribute)
            return (names | self._values).get(name, name)

        return re.sub(r"\$\{([\w:.]+)\}", give, text)

    def _attribute(self, name: str, attribute: str) -> str:
        kind = self.template["Resources"][name]["Type"]
        if attribute != "Arn" or kind not in ARNS:
            return f"{name}.{attribute}"
        service, form = ARNS[kind]
        region = "" if service == "iam" else REGION
        return f"arn:aws:{service}:{region}:{ACCOUNT_ID}:" + form.format(
            **self.resource(name)
        )
