from __future__ import annotations

import subprocess
import sys

CODE = """
import gc
from pika_locust.process import tune_gc

class Node:
    pass

node = Node()
node.itself = node
tune_gc()
print(gc.get_threshold(), gc.get_freeze_count() > 1000, gc.isenabled())
# What is lost in a circle afterwards is still found, in the end.
for _ in range(60_000):
    node = Node()
    node.itself = node
print(sum(generation["collected"] for generation in gc.get_stats()) > 40_000)
"""


def test_it_is_rare_but_not_off() -> None:
    told = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60)
    assert told.stdout.split("\n")[:2] == ["(50000, 50, 50) True True", "True"], told.stderr
