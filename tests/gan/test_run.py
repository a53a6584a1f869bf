"""A DCGAN run folder."""

import dataclasses

import pytest

from classify.errors import RunError
from classify.gan.collapse import GanEpoch
from classify.gan.run import GanRun
from classify.training.checkpoints import write_log
from tests.helpers.gans import TINY_GAN


def test_remarks_are_about_the_requested_epoch(tmp_path):
    healthy = dict.fromkeys(("real_accuracy", "generated_accuracy", "diversity"), 0.8)
    rest = ("generator_loss", "discriminator_loss", "images_per_second", "seconds")
    rows = [GanEpoch(epoch=i, **healthy, **dict.fromkeys(rest, 1.0)) for i in range(3)]
    rows[1] = dataclasses.replace(rows[1], diversity=0.1)
    write_log(tmp_path, rows)
    run = GanRun(tmp_path, TINY_GAN, "faces", 60)
    assert [len(run.remarks(n)) for n in (1, 2, 3, None)] == [0, 1, 0, 0]
    assert run.remarks(2)[0].startswith("COLLAPSED: after epoch 2")


def test_a_folder_without_a_dcgan_is_refused(tmp_path):
    with pytest.raises(RunError, match="no run at"):
        GanRun.read(tmp_path)
    (tmp_path / "config.toml").write_text("[training]\narch = 'sepconv'\n")
    with pytest.raises(RunError, match="not of a DCGAN"):
        GanRun.read(tmp_path)


def test_there_are_no_remarks_on_an_epoch_without_a_generator(run):
    with pytest.raises(RunError, match="saved for the epochs"):
        run.remarks(99)


def test_a_log_without_rows_has_no_finished_epoch(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,generator_loss\n")
    with pytest.raises(RunError, match="no epoch of this run has finished"):
        GanRun(tmp_path, TINY_GAN, "faces", 60).log  # noqa: B018
