"""ffpp-clean, ffpp-identify, ffpp-split and ffpp-audit on the command line."""

import json
import shutil


def test_malformed_ratios_are_a_usage_error(command):
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
    printed = " ".join(identified.stdout.split())
    assert (
        "at distance 0.1 cannot be measured on this dataset, which has 20 labelled people"
        in printed
    )
    assert "false match rate cannot be measured on this dataset, which has 20 labelled" in printed
    assert "(190 pairs" in printed
    split = command("ffpp-split", folder, "--mode", "binary", "--ratios", "50/25/25")
    assert split.returncode == 0, split.stderr
    manifest = tmp_path / "data_manifests/binary"
    assert (manifest / "overview.html").is_file()
    assert list((manifest / "overview").glob("faces-*.jpg"))
    audited = command("ffpp-audit", manifest)
    assert audited.returncode == 0, audited.stderr
    assert "No identity group is known to be in two splits" in audited.stdout
    assert "CelebA-HQ against Youtube" in audited.stdout
    explained = command("ffpp-audit", manifest, "--why", "Youtube/000", "CelebA/000001")
    assert "no known link between" in explained.stdout
    fake = next((folder / "faces/FaceSwap/c23").iterdir()).name
    explained = command("ffpp-audit", manifest, "--why", f"FaceSwap/{fake}", f"Youtube/{fake[:3]}")
    assert "a fake shows both its target and its source" in explained.stdout


def test_a_leak_gives_status_1_and_an_error_message(command, dataset, tmp_path):
    options = ("--recipe", "paper", "--mode", "videos", "--shrink", "--no-faces")
    split = command("ffpp-split", dataset, *options)
    assert split.returncode == 0, split.stderr  # the recipe was requested explicitly
    assert "PEOPLE APPEAR IN SEVERAL SPLITS" in split.stdout
    assert not list((tmp_path / "data_manifests/videos-paper").rglob("faces-*.jpg"))
    audited = command("ffpp-audit", "data_manifests/videos-paper", "--no-probe")
    assert audited.returncode == 1
    assert "frames of the same clip" in audited.stdout
    assert "identity groups in several splits" in audited.stderr


def test_the_audit_exits_with_status_1_if_crops_were_deleted(typed, dataset, tmp_path):
    folder, manifest = tmp_path / "dataset", tmp_path / "m"
    shutil.copytree(dataset, folder)
    status, *_ = typed("ffpp-split", folder, "--mode", "videos", "--ratios", "50/25/25",
                       "--out", manifest, "--no-faces")  # fmt: skip
    assert status == 0
    assert typed("ffpp-audit", manifest, "--no-probe")[0] == 0
    for clip in sorted((folder / "faces/FaceSwap/c23").iterdir()):
        shutil.rmtree(clip)
    status, printed, errors = typed("ffpp-audit", manifest, "--no-probe", "--json")
    lost_crops = json.loads(printed)["lost_crops"]
    assert status == 1
    assert lost_crops["missing"] > 0
    assert lost_crops["empty"] == 0
    assert f"{lost_crops['missing']} crops listed in faces.parquet but missing" in errors
    status, printed, _ = typed("ffpp-clean", folder, "--json")
    assert status == 0  # new manifests exclude them
    assert json.loads(printed)["found"]["unreadable"] >= lost_crops["missing"]


def test_folds_have_their_own_folder_and_an_invalid_recipe_is_refused(command, dataset, tmp_path):
    folds = command("ffpp-split", dataset, "--mode", "videos", "--folds", 4, "--no-faces")
    assert folds.returncode == 0, folds.stderr
    assert len(list((tmp_path / "data_manifests/videos-folds").glob("fold-*"))) == 4
    (tmp_path / "mine.toml").write_text('rule = "grouped"\nratio = [1, 1, 1]\n')
    refused = command("ffpp-split", dataset, "--recipe", "mine.toml")
    assert refused.returncode == 1
    assert "mine.toml: unknown key 'ratio'" in refused.stderr
