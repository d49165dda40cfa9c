"""The lock of a submission: what bloomery needs is compared with what is installed."""

from __future__ import annotations

from importlib.metadata import version

from cluster.submission.lock_file import differences, lock_text, pins


def test_the_lock_is_the_constraints_of_this_installation() -> None:
    locked = pins(lock_text())
    assert locked["ray"] == "2.60.0" and locked["apache-beam"] == "2.77.0"


def test_names_are_compared_as_indexes_do_and_local_labels_make_no_difference() -> None:
    assert pins("# a comment\nast_serialize==0.13.1\ntorch===2.13.0 # why\n\n-c other.txt\n") == {
        "ast-serialize": "0.13.1", "torch": "2.13.0",
    }  # fmt: skip
    assert version("torch").startswith("2.13.0")
    assert not [clause for clause in differences({"torch": "2.13.0"}, {}) if clause.startswith("torch ")]


def test_another_version_and_a_missing_library_of_a_plug_in_are_differences() -> None:
    clauses = differences({"typer": "0.0.1", "pytest": "0.0.1"}, {"no_such_library": "3.1"})
    assert f"typer {version('typer')} instead of 0.0.1" in clauses
    assert "no-such-library is not installed (3.1 here)" in clauses
    assert not [clause for clause in clauses if clause.startswith("pytest")]  # a run does not need it
