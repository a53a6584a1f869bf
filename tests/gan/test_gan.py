import dataclasses
import json
import shutil

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
from scipy.linalg import sqrtm

from classify.backend import dtype_policy
from classify.errors import ClassifyError, DownloadError, PackError, RunError
from classify.gan import report as reporting
from classify.gan.collapse import GanEpoch, diversity, remarks
from classify.gan.dcgan import GENERATED, GENERATOR, REAL, build_dcgan, compile_for_here
from classify.gan.frechet import feature_network, features, frechet_distance
from classify.gan.generate import generate, generated_images, noise_of
from classify.gan.real_faces import ARRAY, GanBatches, find_pictures
from classify.gan.run import GanRun
from classify.gan.settings import GanSettings
from classify.gan.train import COMMAND, resume, train
from classify.models import build
from classify.training.checkpoints import write_log
from classify.training.runs import load_model
from ffpp_tools.errors import LockedError
from ffpp_tools.sources.stills import images_below
from ffpp_tools.store.locks import folder_lock
from tests.helpers.files import hashes
from tests.helpers.pages import pictures_in

TINY = GanSettings(size=16, latent=8, filters=4, batch_size=8, epochs=4, every=2)


@pytest.fixture(scope="module")
def faces(world):
    """The drawn photographs."""
    return world / "CelebA"


@pytest.fixture(scope="module")
def run(faces, tmp_path_factory):
    """A short training that nobody interrupts."""
    return train(faces, tmp_path_factory.mktemp("gans") / "whole", TINY)


def batch(settings, seed=0):
    """Pictures, noise and what is to be said of them."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (8, settings.size, settings.size, 3), np.uint8)
    noise = rng.standard_normal((8, settings.latent), np.float32)
    real = np.ones((8, 1), np.float32)
    return (pictures, noise), {REAL: real, GENERATED: 0 * real, GENERATOR: real}


def weights_of(folder):
    return load_model(folder / "last.keras").get_weights()


def test_the_networks_are_the_dcgans():
    model = build_dcgan(dataclasses.replace(TINY, size=64, filters=8))
    maps = [layer.output.shape[1:] for layer in model.generator.layers if "conv" in layer.name]
    assert maps == [(8, 8, 32), (16, 16, 16), (32, 32, 8), (64, 64, 3)]
    made = keras.ops.convert_to_numpy(model.generator(batch(TINY)[0][1]))
    assert made.shape == (8, 64, 64, 3)
    assert np.abs(made).max() <= 1
    leaks = [x.negative_slope for x in model.discriminator.layers if "leaky" in x.name]
    assert leaks == pytest.approx([0.2] * 4)
    kernels = [w for w in model.weights if w.path.endswith("kernel")]
    assert len(kernels) == 10
    largest = max(kernels, key=lambda w: np.prod(w.shape))
    assert np.std(keras.ops.convert_to_numpy(largest)) == pytest.approx(0.02, rel=0.02)
    assert not np.array_equal(*(keras.ops.convert_to_numpy(k).ravel()[:9] for k in kernels[1:3]))
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0002)
    assert (model.optimizer.beta_1, type(model.optimizer).__name__) == (0.5, "Adam")


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own gradients")
def test_each_loss_moves_its_own_network_only():
    import tensorflow as tf

    model = build_dcgan(TINY)
    (pictures, noise), y = batch(TINY)
    with tf.GradientTape() as tape:
        total = model.compute_loss(y=y, y_pred=model((pictures, noise), training=True))
    of_both = tape.gradient(total, model.trainable_variables)

    def entropy(logits, real):
        return tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(real * tf.ones_like(logits), logits)
        )

    # The textbook: two networks, two losses, two tapes.
    again = build_dcgan(TINY)
    real = tf.cast(pictures, tf.float32) / 127.5 - 1
    with tf.GradientTape() as of_critic, tf.GradientTape() as of_generator:
        made = again.generator(noise, training=True)
        on_made = again.discriminator(made, training=True)
        on_real = again.discriminator(real, training=True)
        generator_loss = entropy(on_made, 1.0)
        critic_loss = entropy(on_real, 1.0) + entropy(on_made, 0.0)
    wanted = [
        *of_generator.gradient(generator_loss, again.generator.trainable_variables),
        *of_critic.gradient(critic_loss, again.discriminator.trainable_variables),
    ]
    assert len(wanted) == len(of_both)
    for mine, textbook in zip(of_both, wanted, strict=True):
        np.testing.assert_allclose(mine, textbook, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("still", "learns"), [("generator", (REAL, GENERATED)), ("discriminator", (GENERATOR,))]
)
def test_either_network_learns_against_one_that_stands_still(still, learns):
    model = build_dcgan(dataclasses.replace(TINY, learning_rate=0.01))
    x, y = batch(TINY)
    for _ in range(30):  # so that the discriminator has something to say
        model.train_on_batch(x, y)
    getattr(model, still).trainable = False
    compile_for_here(model, TINY, keras.optimizers.Adam(0.01, 0.5))
    kept = getattr(model, still).get_weights()[0].copy()
    losses = []
    for _ in range(60):
        model.reset_metrics()
        step = model.train_on_batch(x, y, return_dict=True)
        losses.append(sum(float(step[f"{name}_loss"]) for name in learns))
    assert losses[-1] < 0.8 * losses[0]
    np.testing.assert_array_equal(getattr(model, still).get_weights()[0], kept)


def test_a_run_keeps_log_samples_losses_and_generators(run):
    names = {p.name for p in run.folder.iterdir()}
    assert {"config.toml", "environment.json", "log.csv", "last.keras", ARRAY} <= names
    assert {"generator.keras", "learning.png"} <= names
    assert run.kept_epochs == [2, 4]
    assert sorted(p.name for p in (run.folder / "epochs").glob("*.png")) == [
        f"000{n}.png" for n in (1, 2, 3, 4)
    ]
    assert list(run.log["epoch"]) == [0, 1, 2, 3]
    assert np.isfinite(run.log).all().all()
    steps = pd.read_csv(run.folder / "epochs/0004.csv")
    assert len(steps) == run.count // TINY.batch_size
    for name in ("generator_loss", "discriminator_loss"):
        assert steps[name].mean() == pytest.approx(run.log[name].iloc[-1], rel=1e-4)
    for one, other in zip(
        load_model(run.generator()).get_weights(),
        load_model(run.folder / "last.keras").generator.get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    assert GanRun.read(run.folder) == run


def test_a_training_goes_on_as_if_nothing_had_been(run, faces, tmp_path):
    train(faces, tmp_path / "r", dataclasses.replace(TINY, epochs=2))
    before = (tmp_path / "r/config.toml").read_bytes()
    with pytest.raises(RunError, match="all 2 epochs are done"):
        resume(tmp_path / "r")
    with pytest.raises(RunError, match="has 2 epochs already"):
        resume(tmp_path / "r", epochs=1)
    with folder_lock(tmp_path / "r", COMMAND), pytest.raises(LockedError, match="gan train"):
        resume(tmp_path / "r", epochs=4)
    assert (tmp_path / "r/config.toml").read_bytes() == before
    longer = resume(tmp_path / "r", epochs=4)
    assert longer.settings == TINY
    # TensorFlow adds up in any order; another noise would lead much further away.
    for one, other in zip(weights_of(run.folder), weights_of(tmp_path / "r"), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    clock = ["images_per_second", "seconds"]
    logs = [r.log.drop(columns=clock) for r in (longer, run)]
    pd.testing.assert_frame_equal(*logs, rtol=1e-3)
    assert longer.kept_epochs == [2, 4]


@pytest.mark.slow
def test_what_an_interruption_left_behind_is_brought_up_to_the_last_epoch(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "r")
    for name in ("log.csv", "generator.keras", "checkpoints/generator-0004.keras"):
        (folder / name).unlink()
    resume(folder, epochs=5)
    assert GanRun.read(folder).kept_epochs == [2, 4, 5]
    assert len(GanRun.read(folder).log) == 5


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_the_training_and_keeps_what_was(faces, tmp_path):
    with pytest.raises(ClassifyError, match="not finite in epoch 1"):
        train(faces, tmp_path / "r", dataclasses.replace(TINY, learning_rate=1e30))
    assert not (tmp_path / "r/last.keras").exists()


@pytest.mark.slow
def test_half_precision_trains_and_goes_on(faces, tmp_path):
    mixed = dataclasses.replace(TINY, mixed_precision=True)
    whole = train(faces, tmp_path / "whole", mixed)
    train(faces, tmp_path / "cut", dataclasses.replace(mixed, epochs=2))
    cut = resume(tmp_path / "cut", epochs=4)
    assert keras.config.dtype_policy().name == "float32"
    with dtype_policy(mixed_precision=True):
        network = load_model(whole.folder / "last.keras", compiled=True)
    assert type(network.optimizer).__name__ == "LossScaleOptimizer"
    assert network.generator.output.dtype == "float32"
    np.testing.assert_allclose(whole.log["generator_loss"], cut.log["generator_loss"], rtol=1e-3)


def test_pictures_are_the_squares_in_the_middle(run, faces):
    images = np.load(run.folder / ARRAY)
    first = cv2.imread(str(find_pictures(faces)[0]))[..., ::-1]
    side = min(first.shape[:2])
    top, left = (n // 2 - side // 2 for n in first.shape[:2])
    square = first[top : top + side, left : left + side]
    wanted = cv2.resize(square, (16, 16), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(images[0], wanted)


def test_of_a_manifest_only_the_real_faces_of_train_are_shown(videos_manifest):
    samples = videos_manifest.samples("train")
    real = samples[samples["label"] == "real"]
    found = find_pictures(videos_manifest.folder)
    assert [p.relative_to(videos_manifest.root).as_posix() for p in found] == list(real["path"])
    assert 0 < len(found) < len(samples)


def test_pictures_that_are_no_use_are_named(faces, tmp_path):
    with pytest.raises(PackError, match="0 real pictures there"):
        train(tmp_path, tmp_path / "r", TINY)
    folder = tmp_path / "some"
    folder.mkdir()
    for number, path in enumerate(images_below(faces)[:17]):
        shutil.copy(path, folder / f"{number:02d}.jpg")
    (folder / "07.jpg").write_bytes(b"no picture")
    with pytest.raises(PackError, match=r"07\.jpg: no readable image; take it out"):
        train(folder, tmp_path / "r", TINY)
    (folder / "07.jpg").unlink()
    again = train(folder, tmp_path / "r", dataclasses.replace(TINY, epochs=1))
    assert again.count == len(np.load(again.folder / ARRAY)) == 16


def batches_of(run):
    return np.load(run.folder / ARRAY)


def test_every_epoch_shows_other_noise_and_whole_batches(run):
    batches = GanBatches(batches_of(run), TINY)
    (pictures, noise), said = batches[0]
    assert len(batches) == run.count // 8
    assert pictures.shape == (8, 16, 16, 3)
    assert noise.std() == pytest.approx(1, abs=0.3)
    assert [float(said[name][0, 0]) for name in (REAL, GENERATED, GENERATOR)] == [1, 0, 1]
    assert not np.shares_memory(said[REAL], said[GENERATOR])  # TensorFlow may write into either
    np.testing.assert_array_equal(batches[0][0][1], noise)
    others = [batches[1][0][1]]
    others.append(GanBatches(batches_of(run), dataclasses.replace(TINY, seed=1))[0][0][1])
    batches.epoch = 1
    others.append(batches[0][0][1])
    assert not any(np.array_equal(other, noise) for other in others)


def test_faces_follow_from_generator_seed_and_number(run, tmp_path):
    generate(run, 70, tmp_path / "a")
    generate(run, 3, tmp_path / "b")
    (tmp_path / "b/00000002.png").unlink()
    generate(run, 70, tmp_path / "b")  # what is missing, and more
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    faces = [cv2.imread(str(p)) for p in sorted((tmp_path / "a").glob("*.png"))]
    assert len(faces) == 70
    assert faces[0].shape == (16, 16, 3)
    assert len({face.tobytes() for face in faces}) == 70
    made = generated_images(load_model(run.generator()), noise_of([3], 0, TINY.latent))[0]
    np.testing.assert_array_equal(faces[2][..., ::-1], made)
    assert not np.array_equal(noise_of([3], 0, 8), noise_of([3], 1, 8))
    said = json.loads((tmp_path / "a/generated.json").read_text())
    assert (said["epochs"], said["seed"], said["trained_on"]) == (4, 0, run.count)
    with pytest.raises(ClassifyError, match="holds something else"):
        generate(run, 3, tmp_path / "a", seed=1)
    with pytest.raises(RunError, match="kept of the epochs 2, 4"):
        generate(run, 3, tmp_path / "c", epoch=3)


@pytest.mark.slow
def test_faces_are_gone_on_with_though_the_run_went_on(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "r")
    generate(GanRun.read(folder), 3, tmp_path / "early", epoch=2)
    said = json.loads((tmp_path / "early/generated.json").read_text())
    assert (said["epochs"], said["remarks"]) == (2, run.remarks(2))
    resume(folder, epochs=5)
    generate(GanRun.read(folder), 5, tmp_path / "early", epoch=2)
    assert len(list((tmp_path / "early").glob("*.png"))) == 5
    with pytest.raises(ClassifyError, match="holds something else"):
        generate(GanRun.read(folder), 5, tmp_path / "early")


def test_diversity_is_the_distance_of_two_pictures():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
    assert diversity(np.repeat(noise[:1], 5, axis=0)) == 0
    # Two independent uniform values differ by 256 / √6 on average (root mean square).
    assert diversity(noise) == pytest.approx(256 / np.sqrt(6), rel=0.02)
    assert diversity(np.concatenate([noise[:1]] * 19 + [noise[1:2]])) < 0.2 * diversity(noise)


@pytest.mark.parametrize(
    ("diverse", "real", "generated", "words"),
    [
        (0.9, 0.8, 0.8, []),
        (0.4, 0.8, 0.8, ["COLLAPSED: after epoch 7 the generated faces are only 40 % as diverse"]),
        (0.9, 0.995, 0.999, ["NOT FOOLED: in epoch 7 the discriminator knew 99.9 %"]),
        (0.9, 0.5, 0.999, []),
    ],
)
def test_collapse_is_said(diverse, real, generated, words):
    row = GanEpoch(
        epoch=6,
        generator_loss=1.0,
        discriminator_loss=1.0,
        real_accuracy=real,
        generated_accuracy=generated,
        diversity=diverse,
        images_per_second=1.0,
        seconds=1.0,
    )
    found = remarks(row)
    assert len(found) == len(words)
    assert all(text.startswith(word) for text, word in zip(found, words, strict=True))


def test_what_is_wrong_is_said_of_the_epoch_that_is_asked_about(tmp_path):
    healthy = dict.fromkeys(("real_accuracy", "generated_accuracy", "diversity"), 0.8)
    rest = ("generator_loss", "discriminator_loss", "images_per_second", "seconds")
    rows = [GanEpoch(epoch=i, **healthy, **dict.fromkeys(rest, 1.0)) for i in range(3)]
    rows[1] = dataclasses.replace(rows[1], diversity=0.1)
    write_log(tmp_path, rows)
    run = GanRun(tmp_path, TINY, "faces", 60)
    assert [len(run.remarks(n)) for n in (1, 2, 3, None)] == [0, 1, 0, 0]
    assert run.remarks(2)[0].startswith("COLLAPSED: after epoch 2")


def test_the_distance_is_frechets():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(60, 4)), rng.normal(1, 2, size=(80, 4))
    means = ((one.mean(0) - other.mean(0)) ** 2).sum()
    a, b = np.cov(one.T), np.cov(other.T)
    wanted = means + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(one, other) == pytest.approx(wanted)
    # Also where there are fewer rows than features, and whichever comes first.
    wide = rng.normal(size=(5, 40)), rng.normal(size=(7, 40))
    assert frechet_distance(*wide) == pytest.approx(frechet_distance(*wide[::-1]))
    assert frechet_distance(wide[0], wide[0]) == pytest.approx(0, abs=1e-9)


def test_every_generator_that_was_kept_is_judged(run, tmp_path, monkeypatch):
    monkeypatch.setattr(reporting, "feature_network", lambda weights: _means())
    monkeypatch.setattr(reporting, "features", lambda network, images: network(images))
    found = reporting.make_report(run, "imagenet")
    assert [k.epochs for k in found.kept] == [2, 4]
    assert found.measured == run.count // 2
    assert all(k.distance > found.floor > 0 for k in found.kept)  # after four epochs: noise
    page = (run.folder / "report/report.html").read_text()
    assert "cannot be set beside published FIDs" in page
    table = pd.read_csv(run.folder / "report/generators.csv")
    assert table["distance"].tolist() == pytest.approx([k.distance for k in found.kept])


def test_without_weights_there_is_no_distance(run, monkeypatch):
    def none(weights):
        raise DownloadError("no network")

    monkeypatch.setattr(reporting, "feature_network", none)
    found = reporting.make_report(run, "imagenet")
    assert np.isnan([found.floor, *(k.distance for k in found.kept)]).all()
    noise = noise_of(list(range(1, 65)), reporting.SEED, TINY.latent)
    images = batches_of(run)
    rows = np.random.default_rng(reporting.SEED).permutation(len(images))[:64]
    for one in found.kept:
        made = generated_images(load_model(run.generator(one.epochs)), noise)
        assert one.diversity == pytest.approx(diversity(made) / diversity(images[rows]))


def test_generated_faces_are_left_out_on_request(run, monkeypatch):
    monkeypatch.setattr(reporting, "feature_network", lambda weights: _means())
    monkeypatch.setattr(reporting, "features", lambda network, images: network(images))
    found = reporting.make_report(run, "imagenet")
    page = run.folder / "report/report.html"
    course, *faces = sorted(pictures_in(page), key=lambda data: not data.startswith(b"<?xml"))
    assert len(faces) == sum(len(kept.faces) for kept in found.kept)
    reporting.make_report(run, "imagenet", faces=False)
    assert pictures_in(page) == [course]
    assert "Faces were left out" in page.read_text()


def _means():
    """A stand-in for a network: mean colours."""
    return lambda images: images.mean(axis=(1, 2))


@pytest.mark.slow
def test_the_features_are_efficientnets_pooled_maps(tmp_path):
    network = build("efficientnetb0", 2, 128, head="gap")
    network.get_layer("backbone").save_weights(tmp_path / "b0.weights.h5")
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    found = features(feature_network(str(tmp_path / "b0.weights.h5")), images)
    assert found.shape == (3, 1280)
    larger = np.stack([cv2.resize(i, (128, 128), interpolation=cv2.INTER_CUBIC) for i in images])
    maps = network.get_layer("backbone")(larger)
    np.testing.assert_allclose(found, np.mean(maps, axis=(1, 2)), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 100}, "size"),
        ({"batch_size": 1}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"beta_1": 1.0}, "beta_1"),
        ({"augment": "twist"}, "unknown augment"),
        ({"epochs": 2.5}, "epochs"),
        ({"seed": 2**32}, "seed"),
    ],
)
def test_settings_that_cannot_be_trained_with_are_refused(changes, message):
    with pytest.raises(ClassifyError, match=message):
        GanSettings(**changes)


def test_a_folder_that_is_no_dcgans_is_refused(tmp_path):
    with pytest.raises(RunError, match="no run at"):
        GanRun.read(tmp_path)
    (tmp_path / "config.toml").write_text("[training]\narch = 'sepconv'\n")
    with pytest.raises(RunError, match="not of a DCGAN"):
        GanRun.read(tmp_path)
