import keras
import numpy as np
import pytest

from classify.data.augment import PRESETS
from classify.data.pack import Packed
from classify.data.sampling import IN_ORDER
from classify.errors import ClassifyError
from tests.helpers.runs import DATA, make_batches, packed, targets
from tests.helpers.samples import table

RNG = np.random.default_rng(0)


def shown(batches):
    """The positions of an epoch's crops, in order."""
    return np.concatenate([batches[i][0][:, 0, 0, 0] for i in range(len(batches))])


def test_every_epoch_shows_each_crop_once_in_a_new_order():
    batches = make_batches(DATA, 4)
    assert len(batches) == 7  # 27 crops
    epochs = []
    for _ in range(2):
        epochs.append(shown(batches))
        assert sorted(epochs[-1]) == list(range(27))
        one_hot = np.concatenate([batches[i][1] for i in range(len(batches))])
        np.testing.assert_array_equal(one_hot.argmax(axis=1), DATA.labels[epochs[-1]])
        batches.epoch += 1
    assert list(epochs[0]) != list(epochs[1])
    batches.epoch = 0
    assert list(shown(batches)) == list(epochs[0])


def test_a_batch_depends_only_on_seed_and_epoch():
    noisy = Packed(RNG.integers(0, 256, (27, 16, 16, 3), np.uint8), DATA.labels, DATA.samples)
    first, fresh = (make_batches(noisy, 4, 3, PRESETS["robust"]) for _ in range(2))
    assert len(first[0][0]) == 4  # `fresh` reads nothing of an earlier epoch
    first.epoch = fresh.epoch = 5
    np.testing.assert_array_equal(first[2][0], fresh[2][0])
    np.testing.assert_array_equal(first[2][1], fresh[2][1])
    other = make_batches(noisy, 4, 4, PRESETS["robust"])
    other.epoch = 5
    assert not np.array_equal(fresh[2][0], other[2][0])


def test_augmentation_differs_between_epochs_and_batches():
    one = np.repeat(RNG.integers(0, 256, (1, 16, 16, 3), np.uint8), 27, axis=0)
    data = Packed(one, DATA.labels, DATA.samples)
    batches = make_batches(data, 4, augment=PRESETS["robust"], sampling=IN_ORDER)
    first, second = batches[0][0], batches[1][0]
    batches.epoch = 1
    changed = [image.tobytes() for batch in (first, second, batches[0][0]) for image in batch]
    assert len(set(changed)) == 12


def test_in_order_is_the_manifests_order_in_every_epoch():
    batches = make_batches(DATA, 4, sampling=IN_ORDER)
    for _ in range(2):
        assert list(shown(batches)) == list(range(27))
        batches.epoch += 1


def test_writing_into_a_batch_does_not_change_later_batches():
    batches = make_batches(DATA, 4, sampling=IN_ORDER, equal_classes=True)
    weighted = (27 / (2 * np.bincount(DATA.labels)))[DATA.labels].astype(np.float32)
    for _ in range(2):  # batches of a validation split are requested again for the same epoch
        for index in range(len(batches)):
            images, wanted, weights = batches[index]
            rows = np.arange(index * 4, min(index * 4 + 4, 27))
            np.testing.assert_array_equal(images[:, 0, 0, 0], rows)
            np.testing.assert_array_equal(wanted, targets(DATA)[rows])
            np.testing.assert_array_equal(weights, weighted[rows])
            for array in (images, wanted, weights):
                array[:] = 99  # as TensorFlow may do with arrays that it takes over


def test_balanced_sampling_draws_classes_equally_and_clips_of_a_class_equally():
    batches = make_batches(DATA, 27, sampling="balanced")
    drawn = []
    for _ in range(200):
        drawn.append(shown(batches))
        batches.epoch += 1
    assert len(drawn[0]) == 27
    rows = DATA.samples.iloc[np.concatenate(drawn)]
    share = rows.groupby(["class", "clip"]).size() / len(rows)
    assert share[("A", "1")] == pytest.approx(0.25, abs=0.03)  # of 2 crops
    assert share[("A", "2")] == pytest.approx(0.25, abs=0.03)  # of 20
    assert share[("B", "1")] == pytest.approx(0.5, abs=0.03)


def test_fakes_of_one_name_by_two_methods_are_sampled_as_two_clips():
    data = packed([("fake", "000_001", 10), ("real", "000", 10)])
    rows = data.samples
    rows["category"] = ["Deepfakes", *["FaceSwap"] * 9, *["Youtube"] * 10]
    batches = make_batches(data, 20, sampling="balanced")
    drawn = []
    for _ in range(200):
        drawn.append(shown(batches))
        batches.epoch += 1
    assert (np.concatenate(drawn) == 0).mean() == pytest.approx(0.25, abs=0.03)


def test_another_seed_gives_another_order():
    one, other = (shown(make_batches(DATA, 4, seed)) for seed in (0, 1))
    assert sorted(one) == sorted(other)
    assert list(one) != list(other)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 0, 0, 0, 1, 1], {0: 0.75, 1: 1.5}),
        ([0, 0, 2, 2, 2, 2], {0: 1.5, 2: 0.75}),  # a missing class does not change the others
    ],
)
def test_equal_classes_weights_a_crop_by_the_size_of_its_class(labels, expected):
    data = Packed(DATA.images[:6], np.array(labels), DATA.samples.head(6))
    batches = make_batches(data, 4, equal_classes=True)
    weights = np.concatenate([batches[i][2] for i in range(len(batches))])
    assert weights.dtype == np.float32
    assert weights.tolist() == [expected[label] for label in data.labels[shown(batches)]]


def test_equal_classes_gives_classes_the_same_total_weight_in_every_epoch():
    batches = make_batches(DATA, 4, equal_classes=True)
    # Number of crops / (number of classes * crops of the class), for 22 and 5 crops.
    expected = (27 / (2 * np.array([22, 5])))[DATA.labels].astype(np.float32)
    for _ in range(2):
        weights = np.concatenate([batches[i][2] for i in range(len(batches))])
        rows = shown(batches)
        np.testing.assert_array_equal(weights, expected[rows])
        sums = [weights[DATA.labels[rows] == label].sum() for label in (0, 1)]
        assert sums == pytest.approx([13.5, 13.5])
        batches.epoch += 1


def test_devices_get_equal_shares_of_every_batch():
    training = make_batches(DATA, 4, devices=2)
    sizes = [len(training[i][0]) for i in range(len(training))]
    assert sizes == [4] * 6  # three of 27 are left for another epoch
    validation = make_batches(DATA, 4, sampling=IN_ORDER, devices=2)
    assert [len(validation[i][0]) for i in range(len(validation))] == [4] * 7
    weights = np.concatenate([validation[i][2] for i in range(len(validation))])
    assert np.count_nonzero(weights) == 27
    assert weights.sum() == pytest.approx(28)
    assert list(shown(validation)[weights > 0]) == list(range(27))


@pytest.mark.parametrize(("sampling", "size"), [("all", 16), ("balanced", 16), ("pairs", 10)])
def test_crops_that_training_repeats_to_fill_a_batch_have_their_full_weight(sampling, size):
    samples = table({"000": 3})  # 15 crops
    data = Packed(DATA.images[:15], samples["class_index"].to_numpy(), samples)
    batches = make_batches(data, size, sampling=sampling, devices=2)
    assert batches.crops_per_epoch > 15
    assert {len(batches[i]) for i in range(len(batches))} == {2}  # no weights


def test_with_several_devices_crops_are_repeated_to_fill_a_batch():
    few = packed([("A", "1", 2), ("B", "1", 1)])
    training = make_batches(few, 4, devices=2)
    assert [len(training[i][0]) for i in range(len(training))] == [4]
    assert set(shown(training)) == {0, 1, 2}


def test_a_batch_size_that_devices_cannot_share_is_refused():
    with pytest.raises(ClassifyError, match=r"batch_size \(5\) must be a multiple of 2 devices"):
        make_batches(DATA, 5, devices=2)


def test_a_batch_names_its_crops():
    batches = make_batches(DATA, 4)
    images = batches[1][0][:, 0, 0, 0]
    assert batches.face_ids(0, 1) == list(DATA.samples["face_id"].iloc[images])


def test_a_network_is_trained_on_batches_warped_on_the_device():
    smooth = np.repeat(np.repeat(RNG.integers(0, 256, (27, 4, 4, 3), np.uint8), 8, 1), 8, 2)
    data = Packed(smooth, DATA.labels, DATA.samples)
    host = make_batches(data, 4, augment=PRESETS["paper"])
    device = make_batches(data, 4, augment=PRESETS["paper"], on_device=True)
    warped = keras.ops.convert_to_numpy(device[3][0])
    assert np.abs(warped.astype(int) - host[3][0]).mean() < 1
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.GlobalAveragePooling2D()]
    losses = []
    for batches in (host, device):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([*layers, keras.layers.Dense(2, activation="softmax")])
        model.compile("sgd", "categorical_crossentropy", jit_compile=False)
        losses.append(model.fit(batches, verbose=0, shuffle=False).history["loss"][0])
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
