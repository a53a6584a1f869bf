"""The commands that evaluate and use trained networks: parse, call one function, print."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from classify.cli import printing
from classify.cli.options import RunFolder, Split
from classify.cli.start_keras import start_keras
from classify.errors import ClassifyError
from ffpp_tools.cli import panels
from ffpp_tools.cli.completion import values
from ffpp_tools.cli.options import DetectorModel, ShowFaces, option
from ffpp_tools.console import counted, log, print_json, print_line, progress
from ffpp_tools.files import read_json
from ffpp_tools.store.incomplete import has_foreign_files, writing_folder


def report(
    run: Annotated[
        Path | None,
        typer.Argument(help="Run folder.", show_default="none with --predictions"),
    ] = None,
    split: Split = "test",
    manifest: Annotated[
        Path | None,
        option(
            panels.DATA,
            about="Manifest to evaluate on instead, such as one of another compression or dataset.",
            default="the run's own",
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        option(
            panels.DATA,
            about="CSV file with the predictions of any detector, to evaluate instead of a run. "
            "Columns: face_id or path of each crop, or clip for whole clips; and p_fake, or "
            "p_<class> for every class of --manifest.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option(
            panels.OUTPUT,
            about="Folder to write to; only with --predictions.",
            default="<file>-report, next to the file",
        ),
    ] = None,
    robustness: Annotated[
        bool,
        option(
            panels.EVALUATION,
            "--robustness",
            about="Also evaluate on compressed, blurred and noisy versions of the crops.",
        ),
    ] = False,
    faces: ShowFaces = True,
) -> None:
    """Evaluate a run, or any detector's predictions: per manipulation, per frame and per clip.

    Example: classify report runs/b0

    Example: classify report runs/b0 --manifest data_manifests/videos-c23

    Example: classify report --predictions theirs.csv --manifest data_manifests/videos
    """
    from classify.reporting.report import make_report, report_on_file
    from classify.reporting.report_files import as_dict
    from classify.training.loaded_run import LoadedRun
    from ffpp_tools.splits.manifest import Manifest

    other = Manifest.read(manifest) if manifest else None
    if predictions:
        if run or robustness:
            raise ClassifyError(
                "--predictions cannot be combined with a run folder or --robustness"
            )
        if other is None:
            raise ClassifyError(
                "--predictions needs --manifest, which gives the class of each face or clip"
            )
        made = report_on_file(predictions, other, split, out, faces=faces)
    elif run is None:
        raise ClassifyError("name a run folder, or --predictions FILE")
    elif out:
        raise ClassifyError(
            "--out works only with --predictions: a run's report is in its run folder"
        )
    else:
        found = LoadedRun.read(run)
        start_keras()
        made = make_report(found, split, other, robustness, progress, faces=faces)
    log.keep(made.folder)
    printing.report(made)
    print_json(as_dict(made) | {"folder": made.folder})


def predict(
    run: RunFolder,
    paths: Annotated[list[Path], typer.Argument(help="Images, videos, or folders of them.")],
    every: Annotated[
        int | None,
        option(
            panels.DATA,
            about="Use every Nth frame of a video.",
            default="as in the training data",
            metavar="N",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option(
            panels.OUTPUT, about="Folder to write to.", default="<run>/predicted, numbered if taken"
        ),
    ] = None,
    max_pixels: Annotated[
        int | None,
        option(
            panels.MACHINE,
            about="Maximum size of an image or frame, in pixels. Larger files are rejected.",
            default="8192 × 8192 for an image, 8192 × 4320 for a video",
            metavar="N",
            min=1,
        ),
    ] = None,
    detector_model: DetectorModel = None,
    faces: ShowFaces = True,
) -> None:
    """Predict for each person in images and videos whether the face is fake.

    Example: classify predict runs/b0 video.mp4 photographs/
    """
    from classify.inference.media import classifier_of, classify_file, find_media
    from classify.inference.media_files import COMMAND, WRITTEN, VerdictFiles, as_dict
    from classify.reporting import provenance
    from classify.training.loaded_run import LoadedRun
    from classify.training.run_folder import new_folder

    found = LoadedRun.read(run)
    remarks: list[str] = []
    media = find_media(paths, remarks.append)
    folder = out or new_folder(run, "predicted")
    if has_foreign_files(folder, COMMAND):
        raise ClassifyError(f"{folder} is not empty: choose another --out")
    start_keras()
    classifier = classifier_of(found, every, max_pixels, detector_model)
    said = provenance.of_verdicts(found, classifier.operating, media)
    made = []
    with writing_folder(folder, COMMAND, WRITTEN):
        files = VerdictFiles(folder, classifier, said, faces=faces)
        log.keep(folder)
        for remark in remarks:
            print_line(remark)
        for path in progress("predicting")(media, len(media)):
            one = classify_file(path, classifier)
            files.add(one)
            made.append(replace(one, faces=(), frames=one.frames[:0]))  # no more than is printed
    printing.verdicts(made, said)
    print_line(f"verdicts: {folder}")
    verdicts = [as_dict(one) for one in made]
    print_json({"folder": folder, "about": said, "verdicts": verdicts, "remarks": remarks})
    if failed := [v for v in made if v.status == "unreadable"]:
        others = f"; {folder}/verdicts.jsonl lists the others" if len(failed) > 1 else ""
        raise ClassifyError(
            f"{len(failed)} of {counted(len(made), 'file')} could not be read: "
            f"{failed[0].error}{others}"
        )


def explain(
    run: RunFolder,
    split: Split = "test",
    faces: ShowFaces = True,
) -> None:
    """Show where a network looks: Grad-CAM maps of faces of every class, and their means.

    Example: classify explain runs/b0
    """
    from classify.evaluation.thresholds import operating_point
    from classify.inference import gradcam as explaining
    from classify.inference.gradcam_files import write_explanations
    from classify.reporting import provenance
    from classify.training.loaded_run import LoadedRun

    found = LoadedRun.read(run)
    start_keras()
    folder = found.report_folder(split, "explain")
    made = explaining.explain(found, split)
    said = provenance.of_run(found, found.manifest, split, operating_point(found, progress))
    write_explanations(folder, made, said, faces=faces)
    log.keep(folder)
    looked = sum(e.looked for e in made)
    print_line(f"explained {counted(looked, 'face')}: {folder / 'explain.html'}")
    print_json({"folder": folder, "faces": looked})


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    on: Annotated[
        list[Path] | None,
        option(
            panels.DATA,
            "--matrix",
            metavar="PATH",
            about="Manifest to evaluate every run on. Repeat it for a table of runs by manifests.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option(panels.OUTPUT, about="Folder to write to.", default="comparison, numbered if taken"),
    ] = None,
) -> None:
    """Compare runs by accuracy, recall, AUC, size and speed, or by their AUC on several manifests.

    Example: classify compare runs/b0 runs/xception

    Example: classify compare runs/c23 runs/c40 --matrix manifests/c23 --matrix manifests/c40
    """
    from classify.evaluation import compare as comparing
    from classify.reporting.compare_files import COMMAND, write_comparison, write_matrix
    from classify.training.run_folder import new_folder
    from classify.training.runs import Run
    from ffpp_tools.splits.manifest import Manifest

    found = [Run.read(run) for run in runs]
    manifests = [Manifest.read(path) for path in on or []]
    folder = out or new_folder(Path(), "comparison")
    if has_foreign_files(folder, COMMAND):
        raise ClassifyError(f"{folder} is not empty: choose another --out")
    start_keras()
    if manifests:
        made = comparing.compare_across_manifests(found, manifests, progress)
        write_matrix(folder, made)
        printing.matrix(made)
    else:
        compared = comparing.compare(found, progress)
        write_comparison(folder, compared)
        printing.comparison(compared)
    log.keep(folder)
    print_line(f"comparison: {folder}")
    written = folder / ("matrix.csv" if manifests else "comparison.json")
    print_json({"folder": folder, "table": written})


def export(
    run: RunFolder,
    kind: Annotated[
        str,
        option(
            panels.OUTPUT,
            "--format",
            about="File format: saved-model (TensorFlow) or litert (mobile and embedded devices).",
            complete=values("saved-model", "litert"),
            metavar="NAME",
        ),
    ] = "saved-model",
    out: Annotated[
        Path | None,
        option(
            panels.OUTPUT, about="Folder to write to.", default="<run>/<format>, numbered if taken"
        ),
    ] = None,
) -> None:
    """Export a network for other programs, and check the file in its own runtime.

    Example: classify export runs/b0 --format litert
    """
    from classify.training.loaded_run import LoadedRun
    from classify.training.run_folder import new_folder

    found = LoadedRun.read(run)
    folder = out or new_folder(run, kind)
    start_keras()
    from classify.inference.export import export as exported

    difference = exported(found, kind, folder)
    log.keep(folder)
    print_line(
        f"exported: {folder} (largest difference from the network's probabilities: "
        f"{difference:.1e})"
    )
    if (tta := read_json(folder / "about.json")["tta"]) != "none":
        print_line(f"test-time augmentation is {tta}", style="yellow")
    print_json({"folder": folder, "format": kind, "largest_difference": difference})
