"""Everything that may differ between two deployments; nothing else reads settings."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property


class SettingError(ValueError):
    """A setting has a value that cannot be used; the message is one line."""


def _setting(default, doc: str, *, low=None, high=None, choices=None):
    """Declare a field: its default, what it is (with its unit), what it may be."""
    limits = {"doc": doc, "low": low, "high": high, "choices": choices}
    return field(default=default, metadata=limits)


@dataclass(frozen=True)
class Settings:
    """Everything that may differ between two deployments.

    Each field is read from the upper-case environment variable of its name:
    ``max_entities`` is ``MAX_ENTITIES``. Being frozen it can be hashed, so it is
    the key under which ``load_classifier`` remembers its classifier.
    """

    model: str = _setting(
        "embedded",
        "`embedded`, a directory written by `save_pretrained`, or a hub id fetched"
        " with `make model`",
    )
    model_revision: str = _setting(
        "bc4f03ba2923e41f3f4f03bfd7ad15b0ef25b8d5",
        "commit of a hub id; the default is ClinicalBERT's pinned one",
    )
    models_dir: str = _setting("models", "directory of the fetched hub models")
    precision: str = _setting(
        "fp32",
        "`fp32`, or `int8` for dynamically quantized linear layers",
        choices=("fp32", "int8"),
    )

    host: str = _setting(
        "::",
        "IP address to listen on; `::` is all there are, of IPv4 too, `127.0.0.1` this"
        " machine alone",
    )
    port: int = _setting(8000, "TCP port to listen on", low=1, high=65535)
    url_prefix: str = _setting(
        "",
        "path below which all routes are served, `/nlp` for instance, for a proxy"
        " that keeps it; `/health` is answered without it too",
    )
    metrics_port: int = _setting(
        0,
        "port of `/metrics` alone, kept from the outside; 0 puts it beside `/predict`",
        low=0,
        high=65535,
    )
    otlp_endpoint: str = _setting(
        "",
        "where to send OpenTelemetry traces, OTLP over HTTP"
        " (`http://collector:4318/v1/traces`); needs `requirements-otel.txt`; empty"
        " sends none",
    )
    api_keys_sha256: str = _setting(
        "",
        "SHA-256 digests in hexadecimal, separated by commas, of the keys that may use"
        " `/predict` and `/metrics`; empty lets everyone",
    )
    axes: bool = _setting(
        True,
        "whether whose and when are answered too, by the embedded model beside a model"
        " that knows labels only",
    )
    early_exit: bool = _setting(
        True,
        "whether rows that are settled after an inner layer leave the model there",
    )
    playground: bool = _setting(
        True, "`on` serves a page at `/` to try the service in a browser; `off`: 404"
    )
    cnlpt: bool = _setting(
        True, "`on` answers where cnlp_transformers does (`docs/cnlpt.md`); `off`: 404"
    )
    cors_origins: str = _setting(
        "",
        "origins, separated by commas, whose pages may read the answers"
        " (`https://notes.example.org`); empty allows none",
    )
    web_concurrency: int = _setting(0, "worker processes; 0 is two", low=0, high=256)
    cpus: int = _setting(
        0,
        "CPUs to compute on, of all workers together; 0 counts them. For where more are"
        " seen than may be used: one vCPU of Fargate shows two",
        low=0,
        high=256,
    )
    inference_threads: int = _setting(
        0, "inference threads in a worker; 0 is one for each CPU", low=0, high=64
    )
    pin_cpus: bool = _setting(
        True,
        "whether threads stay on their CPUs; `off` for several services on one machine",
    )

    max_body_bytes: int = _setting(
        1024 * 1024, "longest request body, bytes: some 300 pages of notes", low=1
    )
    max_entities: int = _setting(
        1000, "entities in one request: more than a long stay's notes hold", low=1
    )
    max_documents: int = _setting(
        100, "documents in one request: enough to fill every batch", low=1
    )
    max_entity_chars: int = _setting(
        1000, "longest entity, characters: more cannot fit 512 tokens", low=1
    )
    max_terms: int = _setting(
        10_000, "terms in one request: longer lists are for files and Spark", low=1
    )
    max_request_tokens: int = _setting(
        40_000,
        "tokens of all rows of one request: what two cores of BERT-base do within"
        " `REQUEST_TIMEOUT`",
        low=512,
    )
    max_active_requests: int = _setting(
        160, "predictions under way in one worker; the next is answered 429", low=1
    )
    queue_tokens: int = _setting(
        16_384,
        "tokens waiting in one worker before 429: some 20 s of BERT-base on two cores",
        low=2_048,
    )
    batch_tokens: int = _setting(
        0,
        "tokens in one forward pass; 0 chooses from the model's width: 256 for"
        " BERT-base, 512 for the embedded model",
        low=0,
    )
    slice_tokens: int = _setting(
        2_048, "tokens of one request in the queue at a time, twice: fairness", low=512
    )

    request_timeout: float = _setting(
        50.0, "seconds until 504; below the graceful timeout", low=0.1
    )
    graceful_timeout: int = _setting(
        55, "seconds a stopping worker may take; below ECS' stopTimeout", low=1
    )
    read_timeout: float = _setting(
        10.0,
        "seconds a client may take to send one request, and to read its answer",
        low=0.1,
    )
    batch_timeout: float = _setting(
        30.0, "seconds of one forward pass before the worker is replaced", low=1.0
    )
    keepalive: int = _setting(
        75, "seconds an idle connection stays open; above the ALB's 60", low=1
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read every field that *environ* sets; an empty value counts as unset.

        :raises SettingError: with the setting's name, its value and what it may be.
        """
        given = {f: environ.get(f.name.upper(), "") for f in fields(cls)}
        return cls(**{f.name: _parse(f, raw) for f, raw in given.items() if raw})

    @cached_property
    def key_digests(self) -> tuple[bytes, ...]:
        """The digests of the API keys, 32 bytes each.

        :raises SettingError: without the value, which may be a key.
        """
        texts = [text.strip() for text in self.api_keys_sha256.split(",")]
        if self.api_keys_sha256 and texts == [""]:
            raise SettingError("API_KEYS_SHA256 is blank; without keys leave it out")
        for number, text in enumerate(texts, 1):
            if not _SHA256.fullmatch(text) and texts != [""]:
                raise SettingError(
                    "API_KEYS_SHA256 must hold SHA-256 digests, 64 hexadecimal digits"
                    f" each, separated by commas; number {number} of {len(texts)} is"
                    f" not one: it has {len(text)} characters"
                )
        return tuple(bytes.fromhex(text) for text in texts if text)

    @cached_property
    def origins(self) -> frozenset[str]:
        """The origins of :attr:`cors_origins`, as a browser sends them.

        :raises SettingError: for anything else, ``*`` too: every page would be
            anybody's.
        """
        origins = [each.strip() for each in self.cors_origins.split(",")]
        for origin in origins:
            if origins != [""] and not _ORIGIN.fullmatch(origin):
                raise SettingError(
                    f"CORS_ORIGINS holds {origin!r}, which is not an origin such as"
                    " https://notes.example.org, in lower case"
                )
        return frozenset(filter(None, origins))

    def __post_init__(self):
        self.key_digests, self.origins  # so that a wrong one stops the start
        if self.otlp_endpoint and not _ENDPOINT.fullmatch(self.otlp_endpoint):
            # Without the value, which may hold a password.
            raise SettingError(
                "OTLP_ENDPOINT must be an http or https address without credentials,"
                " such as http://collector:4318/v1/traces"
            )
        if not _is_address(self.host):
            raise SettingError(
                f"HOST={self.host!r} is not an IP address such as 0.0.0.0, 127.0.0.1,"
                " :: or ::1"
            )
        if self.url_prefix and not _PREFIX.fullmatch(self.url_prefix):
            raise SettingError(
                f"URL_PREFIX={self.url_prefix!r} is not a path such as /nlp or"
                " /nlp/negation, without a slash at its end"
            )
        if self.metrics_port == self.port:
            raise SettingError(
                f"METRICS_PORT={self.metrics_port} must differ from PORT={self.port},"
                " or be 0"
            )
        if not self.request_timeout < self.graceful_timeout:
            raise SettingError(
                f"REQUEST_TIMEOUT={self.request_timeout:g} must be below"
                f" GRACEFUL_TIMEOUT={self.graceful_timeout}, or a stopping worker"
                " cannot finish what it has"
            )


_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?")
_ENDPOINT = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]*[A-Za-z0-9_~-])+")
_WORDS = {int: "whole number", float: "number", bool: "switch"}
_SWITCH = {
    "on": True,
    "true": True,
    "1": True,
    "off": False,
    "false": False,
    "0": False,
}


def _is_address(host: str) -> bool:
    try:
        return "%" not in str(ipaddress.ip_address(host))  # no interface of ours
    except ValueError:
        return False


def _parse(setting, raw: str):
    name, limits = setting.name.upper(), setting.metadata
    try:
        value = _SWITCH[raw.lower()] if setting.type is bool else setting.type(raw)
    except (ValueError, KeyError):
        kind = _WORDS[setting.type]
        raise SettingError(f"{name}={raw!r} is not a {kind}") from None
    if setting.type is str and not raw.isprintable():
        # Not the value: keys and passwords from a file may end in a line break.
        index = next(i for i, char in enumerate(raw) if not char.isprintable())
        raise SettingError(
            f"{name} holds a character that cannot be printed: number {index + 1} of"
            f" {len(raw)}"
        )
    choices, low, high = limits["choices"], limits["low"], limits["high"]
    if choices and value not in choices:
        raise SettingError(f"{name}={raw!r} must be one of {', '.join(choices)}")
    # "not >=" rather than "<": NaN compares false with everything.
    if low is not None and not value >= low:
        raise SettingError(f"{name}={raw!r} must be at least {low}")
    if high is not None and not value <= high:
        raise SettingError(f"{name}={raw!r} must be at most {high}")
    if setting.type is float and value == float("inf"):
        raise SettingError(f"{name}={raw!r} must be finite")
    return value
