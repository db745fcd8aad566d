"""map_batches: the batches' order, no gradients in any thread, and torch's own setting put back."""

from __future__ import annotations

import threading

import pytest
import torch

from attar.models.forward import map_batches

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_batches_are_computed_by_several_threads_in_order_and_without_gradients():
    layer = torch.nn.Linear(4, 3)
    batches = [torch.full((2, 4), float(i)) for i in range(9)]
    seen = set[str]()

    def forward(batch: torch.Tensor) -> torch.Tensor:
        seen.add(threading.current_thread().name)
        assert torch.get_num_threads() == 1
        return layer(batch)

    found = list(map_batches(forward, batches, CPU))
    assert threading.current_thread().name not in seen
    assert torch.get_num_threads() == 2
    for one, batch in zip(found, batches, strict=True):
        assert not one.requires_grad
        assert torch.equal(one, layer(batch))


def test_one_batch_has_all_cores():
    (found,) = map_batches(lambda _: (torch.get_num_threads(), threading.current_thread().name), [0], CPU)
    assert found == (2, threading.current_thread().name)


def test_after_an_error_torch_has_its_threads_again():
    def forward(batch: int) -> None:
        raise ArithmeticError(str(batch))

    with pytest.raises(ArithmeticError, match="0"):
        list(map_batches(forward, [0, 1, 2], CPU))
    assert torch.get_num_threads() == 2
