"""Settings: read from the environment, and what cannot be used stops the start."""

import os
from dataclasses import fields

import pytest

from conftest import KeywordClassifier
from negation_api.http.app import make_service
from negation_api.layout import Layout, available_cpus, pinned_cpus
from negation_api.settings import SettingError, Settings

FIELDS = {field.name.upper(): field for field in fields(Settings)}
NUMBERS = {name: f for name, f in FIELDS.items() if f.type in (int, float)}
WHOLE = [name for name, field in NUMBERS.items() if field.type is int]
BOUNDS = [
    (name, field.metadata[bound], bound)
    for name, field in NUMBERS.items()
    for bound in ("low", "high")
    if field.metadata[bound] is not None
]


def refusal(**environ: str) -> str:
    with pytest.raises(SettingError) as refused:
        Settings.from_env(environ)
    return str(refused.value)


# --- what works ---------------------------------------------------------------


def test_nothing_set_gives_the_defaults():
    assert Settings.from_env({}) == Settings()


def test_each_field_is_read_from_its_upper_case_name():
    settings = Settings.from_env(
        {"MODEL": "dir", "PORT": "81", "READ_TIMEOUT": "2.5", "PRECISION": "int8"}
    )

    assert settings.model == "dir"
    assert settings.port == 81
    assert settings.read_timeout == 2.5
    assert settings.precision == "int8"


@pytest.mark.parametrize("name", FIELDS)
def test_empty_value_counts_as_unset(name):
    """`PORT= make run`, or a variable that a template left empty."""
    assert Settings.from_env({name: ""}) == Settings()


def test_other_variables_are_nobody_s_business():
    assert Settings.from_env({"HOME": "/", "port": "x", "PORTS": "x"}) == Settings()


@pytest.mark.parametrize(("name", "limit", "bound"), BOUNDS)
def test_limits_themselves_are_allowed(name, limit, bound):
    timeouts = {"REQUEST_TIMEOUT": "0.5"} if name == "GRACEFUL_TIMEOUT" else {}

    settings = Settings.from_env({**timeouts, name: str(limit)})

    assert getattr(settings, name.lower()) == limit


def test_equal_settings_have_the_same_hash():
    """They are the key under which load_classifier remembers its classifier."""
    assert hash(Settings(port=1)) == hash(Settings(port=1))
    assert Settings(port=1) != Settings(port=2)


def test_every_field_says_what_it_is():
    assert [f.name for f in fields(Settings) if not f.metadata["doc"]] == []


# --- what stops the start -----------------------------------------------------


@pytest.mark.parametrize("raw", ["many", "1.5", "1e3", "0x10", "-", "1 000", "nan"])
@pytest.mark.parametrize("name", WHOLE)
def test_what_is_no_whole_number_is_refused_by_name(name, raw):
    assert refusal(**{name: raw}) == f"{name}={raw!r} is not a whole number"


@pytest.mark.parametrize("raw", ["soon", "5 s", "1,5"])
@pytest.mark.parametrize("name", sorted(set(NUMBERS) - set(WHOLE)))
def test_what_is_no_number_is_refused_by_name(name, raw):
    assert refusal(**{name: raw}) == f"{name}={raw!r} is not a number"


@pytest.mark.parametrize("raw", ["nan", "inf", "-inf", "-1"])
@pytest.mark.parametrize("name", sorted(set(NUMBERS) - set(WHOLE)))
def test_times_that_no_clock_shows_are_refused_by_name(name, raw):
    assert refusal(**{name: raw}).startswith(f"{name}={raw!r} must be ")


@pytest.mark.parametrize(("name", "limit", "bound"), BOUNDS)
def test_numbers_beyond_a_limit_are_refused_with_both(name, limit, bound):
    step = {"low": -1, "high": 1}[bound]
    words = {"low": "at least", "high": "at most"}[bound]
    beyond = NUMBERS[name].type(limit + step)

    told = refusal(**{name: str(beyond)})

    assert told == f"{name}={str(beyond)!r} must be {words} {limit}"


def test_unknown_precision_is_refused_with_the_known_ones():
    told = refusal(PRECISION="fp16")

    assert told == "PRECISION='fp16' must be one of fp32, int8"


@pytest.mark.parametrize("name", ["MODEL", "MODEL_REVISION", "MODELS_DIR"])
def test_line_breaks_are_refused_because_a_message_is_one_line(name):
    told = refusal(**{name: "a\nb"})

    assert told == f"{name} holds a character that cannot be printed: number 2 of 3"


@pytest.mark.parametrize("name", ["API_KEYS_SHA256", "OTLP_ENDPOINT"])
def test_a_secret_that_ends_in_a_line_break_is_not_told(name):
    told = refusal(**{name: "http://me:zebrafish@host/\n"})

    assert "zebrafish" not in told and name in told and "number 26 of 26" in told


def test_blank_keys_do_not_let_everyone_in():
    assert refusal(API_KEYS_SHA256="  ").startswith("API_KEYS_SHA256 is blank")


def test_requests_that_outlive_the_shutdown_are_refused():
    told = refusal(REQUEST_TIMEOUT="60", GRACEFUL_TIMEOUT="55")

    assert told.startswith("REQUEST_TIMEOUT=60 must be below GRACEFUL_TIMEOUT=55")


# --- the CPU quota ------------------------------------------------------------

HOST = len(os.sched_getaffinity(0))


def cgroup(root, **files: str):
    """Make a tree as the kernel shows it; ``__`` stands for a directory."""
    for name, content in files.items():
        path = root.joinpath(*name.split("__"))
        path = path.with_name(path.name.replace("_", ".", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("cpu_max", "cpus"),
    [
        ("50000 100000\n", 1),  # half a CPU
        ("100000 100000\n", 1),
        ("100001 100000\n", min(2, HOST)),
        ("150000 100000\n", min(2, HOST)),
        ("1000 1000000\n", 1),
        ("99900000 100000\n", HOST),  # more than there are
        ("max 100000\n", HOST),
    ],
)
def test_quota_of_cgroup_v2(tmp_path, cpu_max, cpus):
    assert available_cpus(Settings(), cgroup(tmp_path, cpu_max=cpu_max)) == cpus


@pytest.mark.parametrize(
    ("quota", "period", "cpus"),
    [
        ("50000\n", "100000\n", 1),
        ("150000\n", "100000\n", min(2, HOST)),
        ("99900000\n", "100000\n", HOST),
        ("-1\n", "100000\n", HOST),
    ],
)
def test_quota_of_cgroup_v1(tmp_path, quota, period, cpus):
    files = {"cpu__cpu_cfs_quota_us": quota, "cpu__cpu_cfs_period_us": period}

    assert available_cpus(Settings(), cgroup(tmp_path, **files)) == cpus


@pytest.mark.parametrize("cpu_max", ["", "max\n", "many 100000\n", "1 2 3", "5 0\n"])
def test_quota_that_cannot_be_read_is_none(tmp_path, cpu_max):
    assert available_cpus(Settings(), cgroup(tmp_path, cpu_max=cpu_max)) == HOST


def test_no_cgroup_is_no_quota(tmp_path):
    assert available_cpus(Settings(), tmp_path) == HOST


@pytest.mark.parametrize(
    ("quota", "more_threads", "pin_cpus", "pinned"),
    [
        (HOST, 0, True, True),
        (HOST + 1, 0, True, True),
        (HOST, 0, False, False),
        (HOST, 1, True, False),
        (HOST - 0.5, 0, True, False),  # of no CPU in particular
    ],
)
def test_threads_stay_on_their_cpus_if_each_cpu_has_one(
    tmp_path, quota, more_threads, pin_cpus, pinned
):
    directory = cgroup(tmp_path, cpu_max=f"{int(quota * 100_000)} 100000\n")
    settings = Settings(inference_threads=HOST + more_threads, pin_cpus=pin_cpus)

    allowed = sorted(os.sched_getaffinity(0))
    assert pinned_cpus(settings, directory) == (allowed if pinned else [])


def test_cpus_that_others_hold_are_not_counted(tmp_path):
    """taskset, or a container's cpuset."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert available_cpus(Settings(), tmp_path) == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_workers_compute_in_turn_where_more_cpus_are_seen_than_given():
    """One vCPU of Fargate shows two CPUs, and has no quota."""
    settings = Settings.from_env({"CPUS": "1"})
    service = make_service(settings, KeywordClassifier())

    assert Layout.of(settings) == Layout(2, 1)
    assert [service.cores.of(slot) for slot in range(2)] == [[0], [0]]
    assert pinned_cpus(settings) == ([] if HOST > 1 else [0])


def test_more_cpus_can_be_given_than_are_seen():
    settings = Settings(cpus=HOST + 2, inference_threads=HOST)

    assert pinned_cpus(settings) == []
    assert len(make_service(settings, KeywordClassifier()).cores.of(0)) == HOST + 2


def test_workers_and_threads_can_be_given():
    settings = Settings.from_env({"WEB_CONCURRENCY": "3", "INFERENCE_THREADS": "5"})

    assert Layout.of(settings) == Layout(3, 5)


def test_workers_and_threads_not_given_are_chosen():
    layout = Layout.of(Settings())

    assert layout.workers >= 1
    assert layout.threads >= 1
