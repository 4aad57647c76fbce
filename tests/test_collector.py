"""Tests of the garbage collector settings."""

from __future__ import annotations

import gc

from lpv_mmocr import collector

import pytest
from fresh_python import output_of

pytestmark = pytest.mark.slow
CYCLE = """
import gc, os
from lpv_mmocr import collector

class Owner:
    def __init__(self):
        self.itself = self

    def __del__(self):
        os.write(1, b"finalised\\n")  # print() may be unusable by then

gc.disable()
Owner()
"""


@pytest.mark.parametrize("enabled", [True, False])
def test_pausing_leaves_the_collector_as_it_was(enabled):
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(KeyError), collector.paused():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_objects_of_the_pause_are_old():
    program = """
import gc
from lpv_mmocr import collector

def is_old(this):
    return any(item is this for item in gc.get_objects(generation=2))

with collector.paused():
    created = []
    before = is_old(created)
print(before, is_old(created), gc.get_freeze_count())
"""
    assert output_of(program).split() == ["False", "True", "0"]


def test_pausing_leaves_frozen_objects_frozen():
    program = """
import gc
from lpv_mmocr import collector

gc.freeze()
count = gc.get_freeze_count()
with collector.paused():
    pass
print(count > 0, gc.get_freeze_count() == count)
"""
    assert output_of(program).split() == ["True", "True"]


def test_importing_the_package_runs_no_full_collection():
    program = "import gc, lpv_mmocr; print(gc.get_stats()[-1]['collections'], gc.isenabled())"
    assert output_of(program).split() == ["0", "True"]


COMMAND = """
from lpv_mmocr import cli
with cli.ReportInputErrors():
    pass
"""


@pytest.mark.parametrize(("end", "said"), [("", "finalised\n"), (COMMAND, "")])
def test_nothing_is_collected_at_the_end_of_a_command(end, said):
    assert output_of(CYCLE + end) == said


def test_command_collects_only_its_own_objects():
    program = (
        CYCLE
        + COMMAND.replace("pass", "Owner(); gc.collect()")
        + ("print(gc.get_freeze_count() > 10 * len(gc.get_objects()))")
    )
    # Only the owner made within the command.
    assert output_of(program).split() == ["finalised", "True"]
