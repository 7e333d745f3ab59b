"""Each of these mutations of template, pipeline and scripts fails a test.

Beside each stands what would go wrong; the test that notices is named by ``-k``.
"""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ACCOUNT, ENVIRONMENT = "infra/account.yaml", "infra/environment.yaml"
PIPELINE, IMAGES, DEPLOY = ".circleci/config.yml", "infra/images.py", "infra/deploy.py"
INFRA, FLOW = "test_infra.py", "test_pipeline.py"
MAIN = "vcs-ref/refs/heads/main"
GATE = "requires: [approve-update-prod]"

MUTATIONS = {
    # --- who takes a role
    "any branch": (ACCOUNT, MAIN + '"', 'vcs-ref/*"', INFRA, "take_a_role"),
    "any branch deploys": (ENVIRONMENT, MAIN + '"', 'vcs-ref/*"', INFRA, "take_a_role"),
    "any user": (
        ENVIRONMENT,
        '["*/user/${Users}/vcs-origin/*"]',
        '["*"]',
        INFRA,
        "take_a_role",
    ),
    "any user with two named": (
        ACCOUNT,
        """'/vcs-origin/*", "*/user/'""",
        """'", "*'""",
        INFRA,
        "take_a_role",
    ),
    "a branch named like a subject": (
        ENVIRONMENT,
        "/user/????????-????-????-????-????????????/",
        "/user/*/",
        INFRA,
        "take_a_role",
    ),
    "any project": (
        ENVIRONMENT,
        ':oidc.circleci.com/project-id": "${CircleCIProject}"',
        ':oidc.circleci.com/project-id": "*"',
        INFRA,
        "take_a_role",
    ),
    "any project by pattern": (
        ACCOUNT,
        '"StringEquals": {',
        '"StringNotLike": {',
        INFRA,
        "take_a_role",
    ),
    "any repository": (
        ENVIRONMENT,
        "vcs-origin/${Repository}/",
        "vcs-origin/*/",
        INFRA,
        "take_a_role",
    ),
    "a user's pattern": (
        ENVIRONMENT,
        """    AllowedPattern: "[0-9a-f]{8}-""",
        """    AllowedPattern: ".*|[0-9a-f]{8}-""",
        INFRA,
        "no_pattern",
    ),
    # --- what it may do
    "one role for both": (
        ENVIRONMENT,
        "service/negation-api-${Environment}/negation-api",
        "service/negation-api-*/negation-api",
        INFRA,
        "not_to_the_other",
    ),
    "the other's roles are passed": (
        ENVIRONMENT,
        "Resource: [!GetAtt ExecutionRole.Arn, !GetAtt TaskRole.Arn]",
        "Resource: arn:aws:iam::123456789012:role/negation-api-*",
        INFRA,
        "not_to_the_other",
    ),
    "roles are passed to anything": (
        ENVIRONMENT,
        "StringEquals: {iam:PassedToService: ecs-tasks.amazonaws.com}",
        "StringEquals: {}",
        INFRA,
        "no_role_of_the_pipeline",
    ),
    "registers without a tag": (
        ENVIRONMENT,
        "StringEquals: {aws:RequestTag/environment: !Ref Environment}",
        "StringEquals: {}",
        INFRA,
        "have_to_be_tagged",
    ),
    "tags every family": (
        ENVIRONMENT,
        "task-definition/negation-api-${Environment}:*\n                Condition:\n"
        "                  StringEquals: {ecs:CreateAction",
        "task-definition/*\n                Condition:\n"
        "                  StringEquals: {ecs:CreateAction",
        INFRA,
        "have_to_be_tagged",
    ),
    "the other's revision": (
        ENVIRONMENT,
        "ecs:task-definition: !Sub arn:${AWS::Partition}:ecs:${AWS::Region}:"
        "${AWS::AccountId}:task-definition/negation-api-${Environment}:*",
        "ecs:task-definition: arn:*:ecs:*:*:*",
        INFRA,
        "no_revision_of_the_other",
    ),
    "runs any task in any cluster": (
        ENVIRONMENT,
        "ArnEquals: {ecs:cluster: !GetAtt Cluster.Arn}",
        "ArnLike: {ecs:cluster: 'arn:*:ecs:*:*:*'}",
        INFRA,
        "own_cluster",
    ),
    "runs the service's own task": (
        ENVIRONMENT,
        "task-definition/negation-api-${Environment}-smoke:*",
        "task-definition/negation-api-${Environment}*",
        INFRA,
        "no_role_of_the_pipeline",
    ),
    "who deploys signs": (
        ENVIRONMENT,
        "Action: kms:Verify",
        "Action: [kms:Verify, kms:Sign]",
        INFRA,
        "pushes_signs",
    ),
    "a wildcard": (ACCOUNT, "Action: kms:Sign", 'Action: "kms:*"', INFRA, "everything"),
    # --- images
    "tags move": (ACCOUNT, "IMMUTABLE", "MUTABLE", INFRA, "immutable"),
    "no scan": (ACCOUNT, "ScanOnPush: true", "ScanOnPush: false", INFRA, "scanned"),
    "images by tag": (ENVIRONMENT, '"|.+@sha256:', '"|.+:', INFRA, "by_digest"),
    "the tag forgets the model": (
        IMAGES,
        '("model", "model-revision", "base")',
        '("base",)',
        "test_images.py",
        "tag_holds",
    ),
    "the tag forgets the base": (
        IMAGES,
        '("model", "model-revision", "base")',
        '("model", "model-revision")',
        "test_images.py",
        "tag_holds",
    ),
    "another image's signature": (
        IMAGES,
        'if signed["image"] != digest:',
        "if False:",
        "test_images.py",
        "another_image_s",
    ),
    "a signature is not asked for": (
        IMAGES,
        "        kms.verify(",
        "        dict(",
        "test_images.py",
        "changed_after",
    ),
    "signs what was not tested": (
        IMAGES,
        'if found["image"] != digest:',
        "if False:",
        "test_images.py",
        "only_the_image",
    ),
    "updates what is not signed": (
        DEPLOY,
        "        verify(_container(definition)",
        "        print(_container(definition)",
        "test_deploy.py",
        "goes_nowhere",
    ),
    "updates what another registered": (
        DEPLOY,
        'raise Failed(f"the revision was registered by {by}")',
        "pass",
        "test_deploy.py",
        "another_deployer",
    ),
    "leaves a bad release": (
        DEPLOY,
        "            self._put(before)",
        "            pass",
        "test_deploy.py",
        "taken_back",
    ),
    "a smoke test that 401 passes": (
        DEPLOY,
        "        if found != label:",
        "        if not found:",
        "test_deploy.py",
        "predictions_only",
    ),
    # --- what is watched
    "no alarms at a deployment": (
        ENVIRONMENT,
        "          Enable: true\n          Rollback: true",
        "          Enable: true\n          Rollback: false",
        INFRA,
        "answers_with_errors",
    ),
    "a deployment watches one alarm": (
        ENVIRONMENT,
        "[!Ref ServiceErrorRate, !Ref LoadBalancerErrorRate]",
        "[!Ref LoadBalancerErrorRate]",
        INFRA,
        "answers_with_errors",
    ),
    "no circuit breaker": (
        ENVIRONMENT,
        "DeploymentCircuitBreaker: {Enable: true, Rollback: true}",
        "DeploymentCircuitBreaker: {Enable: true, Rollback: false}",
        INFRA,
        "that_fails_is_rolled",
    ),
    "a rate of none": (
        ENVIRONMENT,
        "100 * FILL(errors, 0) / requests",
        "FILL(errors, 0) / requests",
        INFRA,
        "rate_is_watched",
    ),
    "a share of what was reached": (
        ENVIRONMENT,
        "100 * errors / (FILL(requests, 0) + errors)",
        "100 * errors / requests",
        INFRA,
        "rate_is_watched",
    ),
    "a rate of the wrong metric": (
        ENVIRONMENT,
        "MetricName: RequestCount",
        "MetricName: ActiveConnectionCount",
        INFRA,
        "own_load_balancer",
    ),
    "critical lines are not counted": (
        ENVIRONMENT,
        '$.level = "critical" || ',
        "",
        INFRA,
        "log_says_is_counted",
    ),
    "an alarm wakes nobody": (
        ENVIRONMENT,
        "AlarmActions: [!Ref AlarmTopic]\n\nOutputs:",
        "AlarmActions: []\n\nOutputs:",
        INFRA,
        "every_alarm",
    ),
    "nobody hears who tries the push role": (
        ACCOUNT,
        'role/negation-api-*") &&',
        'role/negation-api-deploy-*") &&',
        INFRA,
        "unexpected_use",
    ),
    "the service has the smoke test's key": (
        ENVIRONMENT,
        "- {Name: PRECISION, Value: !Ref Precision}",
        "- {Name: SMOKE_KEY, Value: !Ref SmokeKeySecret}",
        INFRA,
        "service_has_none",
    ),
    # --- the pipeline
    "push builds again": (
        PIPELINE,
        "skopeo copy --preserve-digests dir:image",
        "docker build . && skopeo copy --preserve-digests dir:image",
        FLOW,
        "prod_runs or pushed_is_what",
    ),
    "push lets digests change": (
        PIPELINE,
        "skopeo copy --preserve-digests dir:image",
        "skopeo copy dir:image",
        FLOW,
        "pushed_is_what",
    ),
    "what was built is run": (
        PIPELINE,
        "--memory 4g negation-api:tested",
        "--memory 4g negation-api:built",
        FLOW,
        "pushed_is_what",
    ),
    "written down after the tests": (
        PIPELINE,
        "skopeo copy dir:image docker-archive:tested.tar:negation-api:tested",
        "true",
        FLOW,
        "pushed_is_what",
    ),
    "not run read-only": (PIPELINE, "--read-only ", "", FLOW, "task_definition_says"),
    "nothing is signed": (
        PIPELINE,
        'python infra/images.py sign image sbom.json attestation "${image#*@}"',
        "true",
        FLOW,
        "pushed_and_signed",
    ),
    "the tag is the commit": (
        PIPELINE,
        "tag=$(python infra/images.py tag image)",
        "tag=$CIRCLE_SHA1",
        FLOW,
        "known_by or another_model",
    ),
    "prod with dev's context": (PIPELINE, "context: aws-prod", "context: aws-dev", FLOW)
    + ("its_context",),
    "prod with dev's role": (
        PIPELINE,
        "- take-role: {role: deploy-<< parameters.environment >>}",
        "- take-role: {role: deploy-dev}",
        FLOW,
        "its_context",
    ),
    "prod without an approval": (
        PIPELINE,
        GATE,
        "requires: [register-prod]",
        FLOW,
        "approval_stands",
    ),
    "prod before dev": (
        PIPELINE,
        "requires: [update-dev]",
        "requires: [register-dev]",
        FLOW,
        "prod_comes_after",
    ),
    "a release is not asked": (
        PIPELINE,
        "deploy.py release",
        "deploy.py update",
        FLOW,
        "release_is_asked",
    ),
    "a parameter is pasted": (
        PIPELINE,
        '--revision "$REVISION"',
        '--revision "<< pipeline.parameters.rollback-revision >>"',
        FLOW,
        "pasted",
    ),
    "system tests are not waited for": (
        PIPELINE,
        "requires: [lint, test, system, image]",
        "requires: [lint, test, image]",
        FLOW,
        "nothing_is_approved",
    ),
    "any branch pushes": (
        PIPELINE,
        "      only: main",
        "      ignore: none",
        FLOW,
        "only_main",
    ),
}


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> list[Path]:
    """The repository, as far as these tests read it, twice, to be changed."""
    return [copy(tmp_path_factory.mktemp("mutated")) for _ in range(2)]


def copy(root: Path) -> Path:
    for name in ("infra", ".circleci", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "behaviour")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for path in ROOT.iterdir():
        if not (root / path.name).exists() and path.name != ".git":
            (root / path.name).symlink_to(path)
    return root


def run(copies: list[Path], mutations: list) -> list[int]:
    """Give pytest's exit code for each; every copy has its share, all at once."""
    outcomes = [None] * len(mutations)
    shares = [slice(n, None, len(copies)) for n in range(len(copies))]
    with ThreadPoolExecutor() as pool:
        found = pool.map(run_in, copies, [mutations[share] for share in shares])
        for share, codes in zip(shares, found):
            outcomes[share] = codes
    return outcomes


def run_in(root: Path, mutations: list) -> list[int]:
    done = subprocess.run(
        [sys.executable, "tests/mutated.py"],
        cwd=root,
        input=json.dumps(mutations),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def outcomes(copies) -> dict[str, int]:
    """pytest's exit code for each mutation."""
    return dict(zip(MUTATIONS, run(copies, list(MUTATIONS.values())), strict=True))


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_is_noticed(outcomes, name):
    assert outcomes[name] == pytest.ExitCode.TESTS_FAILED


def test_without_a_mutation_the_same_tests_pass(copies):
    chosen = {}
    for _, _, _, tests, words in MUTATIONS.values():
        chosen.setdefault(tests, set()).update(words.split(" or "))
    unchanged = [
        ["tests/toy.py", "import", "import", tests, " or ".join(sorted(words))]
        for tests, words in chosen.items()
    ]
    assert set(run(copies, unchanged)) == {pytest.ExitCode.OK}
