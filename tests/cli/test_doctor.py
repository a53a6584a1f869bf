"""ffpp-doctor on the command line."""

import json

from ffpp_tools.doctor.machine import NOTE, OK, PROBLEM


def test_json_lists_all_findings_and_a_problem_gives_status_1(command, copy, tmp_path):
    done = command("ffpp-doctor", copy, "--json", "--every", 10)
    assert done.returncode == 1
    output = json.loads(done.stdout)
    youtube = next(s for s in output["sources"] if s["category"] == "Youtube")
    assert set(youtube["unreadable"]) == {"000", "001"}
    assert "problem" in done.stderr
    assert {f["state"] for f in output["findings"]} == {OK, NOTE, PROBLEM}
    assert not (tmp_path / "dataset").exists()
