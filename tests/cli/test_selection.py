"""ffpp-clean, ffpp-identify, ffpp-split and ffpp-audit on the command line."""

import json
import shutil


def test_ratios_that_are_no_ratios_are_a_usage_error(command):
    done = command("ffpp-split", "--ratios", "80-20")
    assert done.returncode == 2
    assert "80/5/15" in done.stderr


def test_a_dataset_is_cleaned_identified_split_and_audited(command, dataset, tmp_path):
    folder = tmp_path / "dataset"
    shutil.copytree(dataset, folder)
    cleaned = command("ffpp-clean", folder)
    assert cleaned.returncode == 0, cleaned.stderr
    assert "near" in cleaned.stdout
    identified = command("ffpp-identify", folder, "--distance", 0.1)
    assert identified.returncode == 0, identified.stderr
    said = " ".join(identified.stdout.split())
    assert (
        "at distance 0.1 cannot be measured on this dataset, which has 20 labelled people" in said
    )
    assert "false match rate cannot be measured on this dataset, which has 20 labelled" in said
    assert "(190 pairs" in said
    split = command("ffpp-split", folder, "--mode", "binary", "--ratios", "50/25/25")
    assert split.returncode == 0, split.stderr
    manifest = tmp_path / "data_manifests/binary"
    assert (manifest / "overview.html").is_file()
    assert list((manifest / "overview").glob("faces-*.jpg"))
    audited = command("ffpp-audit", manifest)
    assert audited.returncode == 0, audited.stderr
    assert "No identity group is known to be in two splits" in audited.stdout
    assert "CelebA-HQ against Youtube" in audited.stdout
    why = command("ffpp-audit", manifest, "--why", "Youtube/000", "CelebA/000001")
    assert "no known link between" in why.stdout
    fake = next((folder / "faces/FaceSwap/c23").iterdir()).name
    why = command("ffpp-audit", manifest, "--why", f"FaceSwap/{fake}", f"Youtube/{fake[:3]}")
    assert "a fake shows both its target and its source" in why.stdout


def test_a_leak_is_status_1_and_said_aloud(command, dataset, tmp_path):
    asked = ("--recipe", "paper", "--mode", "videos", "--shrink", "--no-faces")
    split = command("ffpp-split", dataset, *asked)
    assert split.returncode == 0, split.stderr  # as asked for, by name
    assert "PEOPLE APPEAR IN SEVERAL SPLITS" in split.stdout
    assert not list((tmp_path / "data_manifests/videos-paper").rglob("faces-*.jpg"))
    audited = command("ffpp-audit", "data_manifests/videos-paper", "--no-probe")
    assert audited.returncode == 1
    assert "frames of the same clip" in audited.stdout
    assert "identity groups in several splits" in audited.stderr


def test_deleted_crops_are_status_1_of_the_audit(typed, dataset, tmp_path):
    folder, manifest = tmp_path / "dataset", tmp_path / "m"
    shutil.copytree(dataset, folder)
    status, *_ = typed("ffpp-split", folder, "--mode", "videos", "--ratios", "50/25/25",
                       "--out", manifest, "--no-faces")  # fmt: skip
    assert status == 0
    assert typed("ffpp-audit", manifest, "--no-probe")[0] == 0
    for clip in sorted((folder / "faces/FaceSwap/c23").iterdir()):
        shutil.rmtree(clip)
    status, printed, errors = typed("ffpp-audit", manifest, "--no-probe", "--json")
    gone = json.loads(printed)["lost_crops"]
    assert status == 1
    assert gone["missing"] > 0
    assert gone["empty"] == 0
    assert f"{gone['missing']} crops listed in faces.parquet but missing" in errors
    status, printed, _ = typed("ffpp-clean", folder, "--json")
    assert status == 0  # manifests made now leave them out
    assert json.loads(printed)["found"]["unreadable"] >= gone["missing"]


def test_folds_and_recipes_of_ones_own_go_to_folders_of_their_own(command, dataset, tmp_path):
    folds = command("ffpp-split", dataset, "--mode", "videos", "--folds", 4, "--no-faces")
    assert folds.returncode == 0, folds.stderr
    assert len(list((tmp_path / "data_manifests/videos-folds").glob("fold-*"))) == 4
    (tmp_path / "mine.toml").write_text('rule = "grouped"\nratio = [1, 1, 1]\n')
    wrong = command("ffpp-split", dataset, "--recipe", "mine.toml")
    assert wrong.returncode == 1
    assert "mine.toml: unknown key 'ratio'" in wrong.stderr
