"""8-bit images become the tensors that networks take."""

import contextlib

import numpy as np
import pytest
import torch

from srpipe.imaging.tensors import one_thread, to_channels, to_image_tensor

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_bytes_become_floats_in_unit_range() -> None:
    """255 is 1, the shape is (1, 1, H, W), and the image given is not shared."""
    image = np.array([[0, 51, 255]], np.uint8)
    tensor = to_image_tensor(image)
    assert tensor.dtype == torch.float32
    assert tensor.tolist() == [[[pytest.approx([0, 0.2, 1])]]]
    assert image.tolist() == [[0, 51, 255]]


def test_deeper_images_become_the_same_floats() -> None:
    """65535 is 1 too; floats are in the unit range already."""
    deep = np.array([[0, 13107, 65535]], np.uint16)
    assert to_image_tensor(deep).tolist() == [[[pytest.approx([0, 0.2, 1])]]]
    floats = np.array([[0, 0.2, 1]], np.float32)
    assert np.array_equal(to_image_tensor(floats)[0, 0], floats)


def test_read_only_images_are_taken() -> None:
    """Views of the packed data set need no copy by the caller."""
    image = GREY.copy()
    image.flags.writeable = False
    assert torch.equal(to_image_tensor(image), to_image_tensor(GREY))


def test_grey_is_repeated_without_a_copy() -> None:
    """Three channels are three looks at one."""
    grey = torch.rand(2, 1, 3, 4)
    colour = to_channels(grey, 3)
    assert colour.shape == (2, 3, 3, 4)
    assert colour.data_ptr() == grey.data_ptr()
    assert torch.equal(colour[:, 2], grey[:, 0])
    assert torch.equal(to_channels(grey, 1), grey)


def test_one_thread_is_used_inside_and_the_former_number_afterwards() -> None:
    """After an error, too."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with contextlib.suppress(ZeroDivisionError), one_thread():
            _ = 1 // 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
