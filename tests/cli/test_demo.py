"""ffpp-demo on the command line."""


def test_ffpp_extract_accepts_the_demo_data(command, tmp_path):
    done = command("ffpp-demo", "--people", 6, "--seconds", 1, "--compression", "c40")
    assert done.returncode == 0, done.stderr
    assert "demo/FaceForensics++" in done.stdout
    done = command("ffpp-extract", "demo/FaceForensics++", "--compression", "c40", "--limit", 1)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "dataset/faces").rglob("*.png"))) >= 5
    again = command("ffpp-demo", "--people", 6)
    assert again.returncode == 1
    assert "not empty" in again.stderr
