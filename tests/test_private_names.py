"""What is used of other projects without their promise, in one list.

An upgrade that takes one away, or changes it, fails here and says which.
"""

import inspect

import pytest
import torch
from gunicorn.http import wsgi
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import Unreader
from gunicorn.workers import gthread
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

# Operators of torch, by their schemas: what torch.compile writes for CPUs.
OPERATORS = {
    "onednn::qlinear_prepack": "(Tensor weight, int[]? x_shape) -> Tensor",
    "onednn::qlinear_pointwise": "(Tensor qx, float x_scale, int x_zero_point,"
    " Tensor qw, Tensor w_scale, Tensor w_zero_point, Tensor? bias,"
    " float output_scale, int output_zero_point, ScalarType? output_dtype,"
    " str post_op_name, Scalar?[] post_op_args, str post_op_algorithm) -> Tensor",
    "aten::gelu_": '(Tensor(a!) self, *, str approximate="none") -> Tensor(a!)',
}

# Of Gunicorn: what server/worker.py overrides or calls, and its parameters.
GUNICORN = {
    (gthread.TConn, "__init__"): "self cfg sock client server",
    (gthread.TConn, "init"): "self",
    (gthread.ThreadWorker, "accept"): "self listener",
    (gthread.ThreadWorker, "enqueue_req"): "self conn",
    (gthread.ThreadWorker, "murder_pending"): "self",
    (gthread.ThreadWorker, "set_accept_enabled"): "self enabled",
    (gthread.ThreadWorker, "_cap_keepalive"): "self deadline",
    (gthread.ThreadWorker, "handle"): "self conn",
    (gthread.ThreadWorker, "handle_exit"): "self sig frame",
    (gthread.ThreadWorker, "handle_error"): "self req client addr exc",
    (RequestParser, "__init__"): "self cfg source source_addr",
    (Unreader, "chunk"): "self size_hint",
    (Unreader, "unread"): "self data",
    (wsgi.Response, "default_headers"): "self",
}


@pytest.mark.parametrize("name", OPERATORS)
def test_torch_has_the_operator(name):
    namespace, _, names = name.partition("::")
    packet, _, overload = names.partition(".")
    operator = getattr(getattr(torch.ops, namespace), packet)
    schema = getattr(operator, overload or "default")._schema
    assert str(schema) == name + OPERATORS[name]


def test_torch_tells_whether_the_cpu_multiplies_bytes():
    assert torch.cpu.get_capabilities().get("avx512_vnni") in (True, False, None)


@pytest.mark.parametrize("holder, name", GUNICORN)
def test_gunicorn_has_what_the_worker_overrides(holder, name):
    parameters = inspect.signature(getattr(holder, name)).parameters
    assert " ".join(parameters) == GUNICORN[holder, name]


def test_prometheus_client_keeps_counts_in_files_that_can_be_added_up(tmp_path):
    path = tmp_path / "counter_1.db"
    file = MmapedDict(str(path))
    file.write_value('["a", "a", {}, "help"]', 2.0, 0.0)
    assert file.read_value('["a", "a", {}, "help"]') == (2.0, 0.0)
    file.close()
    ((key, value, timestamp, _),) = MmapedDict.read_all_values_from_file(str(path))
    assert (key, value, timestamp) == ('["a", "a", {}, "help"]', 2.0, 0.0)
    (metric,) = MultiProcessCollector.merge([str(path)])
    assert [sample.value for sample in metric.samples] == [2.0]
