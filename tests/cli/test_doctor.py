"""ffpp-doctor on the command line."""

import json

from ffpp_tools.doctor.machine import NOTE, OK, PROBLEM


def test_the_command_answers_as_json_and_status_1_is_a_problem(command, copy, tmp_path):
    done = command("ffpp-doctor", copy, "--json", "--every", 10)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    youtube = next(s for s in answer["sources"] if s["category"] == "Youtube")
    assert set(youtube["unreadable"]) == {"000", "001"}
    assert "problem" in done.stderr
    assert {f["state"] for f in answer["findings"]} == {OK, NOTE, PROBLEM}
    assert not (tmp_path / "dataset").exists()
