"""The heads of the networks."""

import keras
import pytest

from classify.models import backbone_of, build
from classify.models.heads import HEADS


def head_of(model):
    backbone = backbone_of(model)
    return model.layers[model.layers.index(backbone) + 1 :]


def test_b0_has_the_papers_head():
    pooling, *head, last = head_of(build("efficientnetb0", 7))
    assert isinstance(pooling, keras.layers.GlobalMaxPooling2D)
    assert [type(x).__name__ for x in head] == ["Dense", "Dropout", "Dense", "Dropout"]
    assert [x.rate for x in head[1::2]] == [0.2, 0.2]
    for dense in head[::2]:
        assert dense.units == 300
        assert dense.activation.__name__ == "relu"
        penalty = dense.kernel_regularizer
        assert (float(penalty.l1), float(penalty.l2)) == pytest.approx((0.001, 0.001))
    assert (last.units, last.activation.__name__) == (7, "softmax")


@pytest.mark.parametrize(
    ("head", "units", "rates"),
    [
        ("flatten-758-512-256", [758, 512, 256, 2], [0.5, 0.3]),
        ("flatten-1024", [1024, 2], []),
        ("flatten", [2], []),
        ("gap", [2], []),
    ],
)
def test_heads_have_the_layers_in_their_names(head, units, rates):
    layers = head_of(build("mobilenetv2", 2, size=32, head=head))
    first = keras.layers.GlobalAveragePooling2D if head == "gap" else keras.layers.Flatten
    assert isinstance(layers[0], first)
    assert [x.units for x in layers if isinstance(x, keras.layers.Dense)] == units
    assert [x.rate for x in layers if isinstance(x, keras.layers.Dropout)] == rates


@pytest.mark.parametrize("head", HEADS)
def test_dropout_replaces_every_rate_of_a_head(head):
    layers = head_of(build("mobilenetv2", 2, size=32, head=head, dropout=0.4))
    rates = [x.rate for x in layers if isinstance(x, keras.layers.Dropout)]
    assert rates
    assert set(rates) == {0.4}
