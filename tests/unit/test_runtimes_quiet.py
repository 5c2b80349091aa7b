"""Silence for converters: nothing of theirs is seen, and our own lines are heard again afterwards."""

import logging
import os
import warnings

import pytest

from distilgrid.runtimes.guards import quiet


def test_nothing_is_seen_and_logging_is_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    level = logging.root.level
    with quiet():
        logging.root.setLevel(logging.ERROR)  # as OpenVINO's converter leaves it
        logging.getLogger("converter").critical("a remark")
        warnings.warn("another", stacklevel=1)
        os.write(1, b"native\n")
    assert logging.root.level == level and logging.root.manager.disable == logging.NOTSET
    os.write(1, b"ours\n")
    assert capfd.readouterr() == ("ours\n", "")


def test_exceptions_pass(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no such operator"), quiet():
        raise ValueError("no such operator")
    os.write(2, b"ours\n")
    assert capfd.readouterr() == ("", "ours\n")
