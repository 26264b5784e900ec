"""Linear layers in 8 bits, against the float32 layers that they replace."""

import pytest
import torch
from torch import nn

from sciqag_lib.engines import int8
from sciqag_lib.engines.embeddings import encode_texts, find_packaged_encoder, load_encoder, normalize_rows
from sciqag_lib.engines.int8 import Int8Linear, quantize_linears


def make_linear(weight: list[list[float]], bias: list[float] | None) -> nn.Linear:
    linear = nn.Linear(len(weight[0]), len(weight), bias=bias is not None)
    linear.weight.data = torch.tensor(weight)
    if bias is not None:
        linear.bias.data = torch.tensor(bias)
    return linear


@pytest.mark.parametrize("bias, shift", [(None, 0.0), ([1.0, -1.0], 1.0)])
def test_numbers_that_fit_into_8_bits_are_exact(bias: list[float] | None, shift: float) -> None:
    layer = Int8Linear(make_linear([[127.0, -64.0], [0.5, 127.0]], bias))
    rows = torch.tensor([[127.0, 1.0], [0.0, 0.0]])
    # The second output's weights have the scale 1: its 0.5 is rounded to the even 0.
    expected = torch.tensor([[127 * 127 - 64.0, 127.0], [0.0, 0.0]]) + torch.tensor([shift, -shift])
    assert torch.equal(layer(rows), expected)


def test_rounding_costs_less_than_a_hundredth_of_the_largest_value() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 32)
    rows = torch.randn(5, 7, 64)
    difference = (Int8Linear(linear)(rows) - linear(rows)).abs().max()
    assert 0 < difference < 0.02 * linear(rows).abs().max()


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    torch.manual_seed(0)
    layer, rows = Int8Linear(nn.Linear(384, 1536)), torch.randn(200, 384)
    assert torch.equal(layer(rows)[17], layer(rows[17:18])[0]) and torch.equal(layer(rows)[:50], layer(rows[:50]))


def test_the_packaged_encoder_keeps_its_vectors() -> None:
    encoder = load_encoder(str(find_packaged_encoder()), device="cpu")
    texts = ["limpets", "the upper shore", "Limpets of the upper shore were counted every week from May to October."]
    exact = normalize_rows(encode_texts(encoder, texts, ""))
    assert quantize_linears(encoder) and not any(type(part) is nn.Linear for part in encoder.modules())
    assert (exact * normalize_rows(encode_texts(encoder, texts, ""))).sum(1).min() > 0.98


def test_a_cpu_without_fast_integers_keeps_its_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8.torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    module = nn.Sequential(nn.Linear(2, 2))
    assert not quantize_linears(module) and type(module[0]) is nn.Linear
