"""A process's memory does not depend on the sizes of batches that it has met."""

import os
import subprocess
import sys

import pytest

from negation_api.commands.serve import MALLOC

MAX_MB = 16  # more than after the first batch

COMPUTE = """
import os, random
from concurrent.futures import ThreadPoolExecutor

from negation_api.model.memory import trim_memory, use_one_arena
from negation_api.model.classifier import load_classifier
from negation_api.settings import Settings
from server import private_mb

use_one_arena()
classifier = load_classifier(Settings.from_env())
chance = random.Random(7)
sizes = [chance.choices(range(2, 60), k=chance.randint(1, 12)) for _ in range(60)]
with ThreadPoolExecutor(2) as pool:
    for step in ([[40] * 6], sizes, [[500] * 2]):
        batches = [[[101] + [1000] * size for size in batch] for batch in step]
        list(pool.map(classifier.classify, batches))
        trim_memory()
        print(private_mb(os.getpid()))
"""


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_batches_of_all_sizes_and_a_large_one_leave_nothing_behind(precision):
    output = subprocess.run(
        [sys.executable, "-c", COMPUTE],
        env={**os.environ, **MALLOC, "PRECISION": precision, "PYTHONPATH": "tests:."},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    first, *later = map(float, output.split())
    assert max(later) < first + MAX_MB
