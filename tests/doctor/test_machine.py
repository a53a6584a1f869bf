"""What this machine can do."""

import subprocess

from ffpp_tools.doctor import machine
from ffpp_tools.doctor.machine import NOTE, OK, PROBLEM


def test_a_backend_that_is_slow_to_start_is_no_problem(monkeypatch):
    def late(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", late)
    found = machine._backend("tensorflow", False, "")
    assert (found.state, "again" in found.remedy) == (NOTE, True)


def test_this_machine_can_find_a_face_and_read_h264():
    assert machine.python().state == OK
    assert [f.state for f in machine.packages()] == [OK]
    assert machine.detector().state == OK
    assert "h264" in machine.codecs().found


def test_a_backend_that_cannot_be_imported_is_a_problem_with_its_last_word(monkeypatch):
    monkeypatch.setattr(machine, "GPU_LISTS", {"json": "1/0"})
    found = machine._backend("json", has_gpu=False, mark="")
    assert found.state == PROBLEM
    assert found.found.endswith("ZeroDivisionError: division by zero")


def test_the_backend_of_the_environment_has_to_be_installed(monkeypatch):
    monkeypatch.setattr(machine, "BACKENDS", ())
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    (found,) = machine.backends()
    assert (found.state, "torch is Keras's choice" in found.found) == (PROBLEM, True)


def test_a_backend_that_this_user_may_not_start_is_a_finding(monkeypatch, tmp_path):
    (tmp_path / "python").touch()
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    found = machine._backend("tensorflow", False, "")
    assert (found.state, found.what) == (PROBLEM, "tensorflow")
    assert "Permission denied" in found.found
