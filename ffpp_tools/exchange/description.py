"""What is known about a manifest, in sentences: for its Croissant metadata and its dataset card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from ffpp_tools.console import counted
from ffpp_tools.errors import TableError
from ffpp_tools.extraction.settings_file import described, recorded_settings
from ffpp_tools.markdown import named
from ffpp_tools.sources.terms import Terms, terms_of, without_terms
from ffpp_tools.splits import shortcuts
from ffpp_tools.splits.audit import ALL_REASONS
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.schema import SPLITS, STILL

NOTHING = "–"
NO_IMAGES = (
    "These files describe the manifest. They contain no image, no row of its CSV files and nothing "
    "else of the source datasets. Everyone who wants the images has to request them from the "
    "authors of each dataset and agree to their terms. With the same data, the hashes in "
    "manifest.json show whether a split was reproduced."
)
PERSONAL = (
    "The crops show the faces of real people, unless ffpp-demo drew them. They are personal data, "
    "and biometric data once they are processed to identify a person.",
    "The CSV files contain no image and no person's name. They contain the names of videos and "
    "photographs, and which of them show the same person (group, target_id, source_id). With "
    "CelebA's identity file, group and target_id reveal identities that its authors give on "
    "request only.",
    "No attribute of the people, such as age, sex, skin colour or origin, is recorded.",
)
USES = (
    "Research on the detection of manipulated faces: training on train, and selection of "
    "checkpoints and thresholds on val.",
    "Evaluation on test, with results per manipulation and confidence intervals over identity "
    "groups.",
)
UNSUITABLE = (
    "Identifying people, or inferring their attributes.",
    "A new split by frame or by clip: it would put people into several splits. To divide a split "
    "further, keep the samples of one group together.",
    "Claims about manipulations, compressions or kinds of images that are not in it.",
    "Proof in a single case: a score of a detector that was trained on it is not evidence.",
    "Uses that the terms of the source datasets do not allow, such as commercial ones.",
)
UNKNOWN_PEOPLE = (
    "Age, sex, skin colour and origin of the people are not recorded. Whether they are balanced, "
    "and whether a detector performs equally across these groups, is unknown."
)


@dataclass(frozen=True)
class Source:
    """Crops and clips of one category at one compression."""

    category: str
    compression: str
    label: str
    crops: dict[str, int]  # number by split; without splits whose CSV file is missing
    clips: dict[str, int]  # likewise

    def in_split(self, split: str) -> str:
        """Return the number of crops in a split and, in brackets, of their clips.

        >>> Source("Youtube", "c40", "real", {"val": 37, "test": 0}, {"val": 2}).in_split("val")
        '37 (2)'
        """
        crops = self.crops.get(split)
        if crops and self.compression != STILL:
            return f"{crops} ({self.clips[split]})"
        return NOTHING if crops is None else str(crops)


def sources(manifest: Manifest) -> list[Source]:
    """Return the sources of a manifest's samples; splits whose CSV file is missing are skipped."""
    rows = {}
    for split in SPLITS:
        try:
            rows[split] = manifest.samples(split)
        except TableError:  # a report evaluates one split and needs no other
            continue
    return sources_in(rows)


def sources_in(splits: Mapping[str, pd.DataFrame]) -> list[Source]:
    """Return the sources of samples, given as split → columns of `ManifestRow`."""
    samples = pd.concat([table.assign(split=split) for split, table in splits.items()])
    return [
        Source(
            str(category),
            str(compression),
            str(group["label"].iloc[0]),
            {split: int((group["split"] == split).sum()) for split in splits},
            {split: int(group.loc[group["split"] == split, "clip"].nunique()) for split in splits},
        )
        for (category, compression), group in samples.groupby(["category", "compression"])
    ]


@dataclass(frozen=True)
class Description:
    """A manifest, its dataset's settings and its audit, as sentences without Markdown."""

    manifest: Manifest
    sources: Sequence[Source]
    settings: dict[str, str]  # of extraction: what is set → how
    probes: Sequence[shortcuts.ProbeResult]  # none if `ffpp-audit` was not run

    @property
    def name(self) -> str:
        """The name of the manifest's folder."""
        return self.manifest.folder.resolve().name

    @property
    def samples(self) -> dict[str, int]:
        """Split → number of samples."""
        return {split: sum(counts.values()) for split, counts in self._info["counts"].items()}

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """All categories, in alphabetical order."""
        return tuple(dict.fromkeys(source.category for source in self.sources))

    @property
    def compressions(self) -> list[str]:
        """All compressions of clips, in alphabetical order."""
        return sorted({s.compression for s in self.sources} - {STILL})

    @property
    def has_stills(self) -> bool:
        """Whether it contains photographs."""
        return any(source.compression == STILL for source in self.sources)

    @property
    def terms(self) -> tuple[Terms, ...]:
        """The terms of the datasets that have a category of this name."""
        return terms_of(self.categories)

    @property
    def unknown_terms(self) -> tuple[str, ...]:
        """The categories whose terms are not known."""
        return without_terms(self.categories)

    @property
    def about(self) -> str:
        """What the manifest is, in a paragraph."""
        counts = ", ".join(f"{n} in {split}" for split, n in self.samples.items())
        classes = ", ".join(f"{name} ({label})" for name, label in self.manifest.classes.items())
        return (
            f"A list of {sum(self.samples.values())} face crops ({counts}) for training and "
            f"evaluating detectors of face manipulation. Classes: {classes}."
        )

    @property
    def collection(self) -> str:
        """Where the crops are from."""
        kinds = ["frames of videos"] * bool(self.compressions) + ["photographs"] * self.has_stills
        return (
            f"Crops of faces in {' and '.join(kinds)} of {named(self.categories)}. Nothing was "
            f"collected for this manifest: it selects crops that ffpp-tools made of copies of "
            f"these datasets."
        )

    @property
    def annotation(self) -> str:
        """Where the labels are from."""
        return (
            "Class and label (real or fake) follow from the folder of each file in its dataset. "
            "Nobody labelled single frames: a fake's frame may show little or no manipulation."
        )

    @property
    def missing(self) -> str:
        """Which frames have no crop."""
        rates = ", ".join(f"{name} {rate:.2%}" for name, rate in self._audit["miss_rates"].items())
        return (
            f"Frames and photographs without a usable face have no crop, and so no row. Their "
            f"share by category: {rates}."
        )

    @property
    def preprocessing(self) -> dict[str, str]:
        """Step → how it was done."""
        info = self._info
        ratios = info["settings"].get("ratios")
        parts = f", ratios {' : '.join(f'{100 * part:g}' for part in ratios)}" if ratios else ""
        fold = ", fold {} of {}".format(*info["fold"]) if "fold" in info else ""
        return {
            **self.settings,
            "selection": f"recipe {info['recipe']} ({info['about']}), mode {info['mode']}{parts}"
            f"{fold}, seed {info['seed']}",
        }

    @property
    def limitations(self) -> list[str]:
        """The guarantee on identities, what it does not cover, and other limits."""
        return list(self._limitations())

    def _limitations(self) -> Iterator[str]:
        audit, info = self._audit, self._info
        yield f"{info['summary']}."
        for crossing in audit.get("crossings", ()):
            reason = ALL_REASONS.get(crossing["reason"], crossing["reason"])
            yield f"In several splits: {crossing['count']} ({reason})."
        for limitation in audit["not_known"]:
            yield f"Not known: {limitation}."
        groups = ", ".join(
            f"{split} {counts['clips']} of clips and {counts['stills']} of stills"
            for split, counts in info["groups"].items()
        )
        yield f"Number of identity groups: {groups}. Frames of one group are not independent."
        if self.compressions:
            yield f"Clips are at {named(self.compressions)} only."
        for compression, entry in info.get("unused_compressions", {}).items():
            yield (
                f"{counted(entry['samples'], 'sample')} at {compression} were left out, because "
                f"{named(entry['lacking'])} has none."
            )
        if info["removed"]:
            samples = sum(entry["samples"] for entry in info["removed"])
            yield f"{counted(samples, 'sample')} were removed, because they connected two splits."

    @property
    def biases(self) -> list[str]:
        """What else than the manipulation may distinguish the classes, and what is unknown."""
        return list(self._biases())

    def _biases(self) -> Iterator[str]:
        audit = self._audit
        yield UNKNOWN_PEOPLE
        if audit.get("misses_differ"):
            yield "Missed faces differ by category by more than chance."
        if splits := audit.get("unequal_splits"):
            yield f"Classes differ in size in {named(splits)}."
        if self.has_stills and self.compressions:
            yield (
                f"Still against video alone predicts real against fake with an accuracy of "
                f"{audit.get('still_accuracy', 0.5):.0%} (chance: 50%)."
            )
        for probe in self.probes:
            yield (
                f"Low-level image features alone (size, box, sharpness, noise, colour) reach an "
                f"AUC of {probe.auc:.3f} for {probe.question}."
            )
        if not self.probes:
            yield (
                "The AUC of low-level image features alone is unknown (ffpp-audit was not run): "
                "the classes may differ in more than the manipulation."
            )

    @property
    def _info(self) -> dict[str, Any]:
        return self.manifest.info

    @property
    def _audit(self) -> dict[str, Any]:
        audit: dict[str, Any] = self.manifest.info["audit"]
        return audit


def describe(manifest: Manifest, splits: Mapping[str, pd.DataFrame]) -> Description:
    """Describe a manifest by its own files and its dataset's settings.

    Args:
        manifest: the manifest.
        splits: split → its samples, columns of `ManifestRow`.

    Raises:
        TableError: the dataset's settings.json, or probe.json, is damaged.
        FormatError: a newer release wrote one of them.
    """
    settings = described(recorded_settings(manifest.root))
    return Description(manifest, sources_in(splits), settings, shortcuts.read(manifest))
