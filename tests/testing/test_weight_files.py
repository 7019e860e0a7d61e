"""Files: what is written is read again, whatever lay in memory how."""

import numpy as np
import pytest

from nonlocal_ref.testing import load_weights, save_weights

ENDINGS = [".npz", ".safetensors"]
RNG = np.random.default_rng(0)
ARRAYS = {
    "theta.weight": RNG.normal(size=(3, 4)),
    "half": RNG.normal(size=(2, 2)).astype(np.float16),
    "count": np.array(7),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "flags": np.array([True, False]),
}


def path_of(folder, ending):
    if ending == ".safetensors":
        pytest.importorskip("safetensors")
    return folder / f"weights{ending}"


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_is_read_again(tmp_path, ending):
    path = path_of(tmp_path, ending)
    save_weights(path, ARRAYS)
    again = load_weights(path)
    assert again.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert again[name].dtype == array.dtype
        assert np.array_equal(again[name], array)
        assert again[name].flags.writeable


VIEWS = {
    "transposed": lambda x: x.T,
    "sliced": lambda x: x[:, ::2],
    "reversed": lambda x: x[::-1],
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "big-endian": lambda x: x.astype(">f8"),
    "fortran": np.asfortranarray,
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("view", VIEWS)
def test_arrays_that_lie_otherwise_in_memory_are_written_right(tmp_path, ending, view):
    array = VIEWS[view](RNG.normal(size=(4, 6)))
    path = path_of(tmp_path, ending)
    save_weights(path, {"w": array})
    assert np.array_equal(load_weights(path)["w"], array)


def test_the_writer_of_safetensors_alone_would_have_written_other_numbers(tmp_path):
    reader = pytest.importorskip("safetensors.numpy")
    array = RNG.normal(size=(4, 4)).T
    assert not np.array_equal(reader.load(reader.save({"w": array}))["w"], array)  # the reason for the copy


@pytest.mark.parametrize("ending", ENDINGS)
def test_tensors_are_written(tmp_path, ending):
    torch = pytest.importorskip("torch")
    path = path_of(tmp_path, ending)
    save_weights(path, torch.nn.Linear(3, 2).state_dict())
    assert {name: array.shape for name, array in load_weights(path).items()} == {"weight": (2, 3), "bias": (2,)}


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_weights(tmp_path / name, ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_numpy_reads_what_is_written(tmp_path):
    save_weights(tmp_path / "w.npz", ARRAYS)
    with np.load(tmp_path / "w.npz") as file:
        assert np.array_equal(file["theta.weight"], ARRAYS["theta.weight"])


def test_what_numpy_writes_compressed_is_read(tmp_path):
    np.savez_compressed(
        tmp_path / "w.npz", zeros=np.zeros((300, 300)), fortran=np.asfortranarray(ARRAYS["theta.weight"])
    )
    again = load_weights(tmp_path / "w.npz")
    assert again["zeros"].shape == (300, 300)
    assert np.array_equal(again["fortran"], ARRAYS["theta.weight"])


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "w.npz"
    save_weights(path, ARRAYS)
    before = path.read_bytes()
    with pytest.raises(TypeError, match="w must hold numbers, got object"):
        save_weights(path, {"w": np.array([None])})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("arrays", [{"w": [1.0]}, {3: np.ones(1)}, [np.ones(1)], None])
def test_what_is_no_named_array_is_not_written(tmp_path, arrays):
    with pytest.raises(TypeError, match="arrays must map names to arrays"):
        save_weights(tmp_path / "w.npz", arrays)


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "longdouble"])
def test_a_dtype_that_safetensors_does_not_have_is_refused_by_name(tmp_path, dtype):
    path = path_of(tmp_path, ".safetensors")
    with pytest.raises(TypeError, match=r"theta.weight is .*, which .safetensors does not hold"):
        save_weights(path, {"theta.weight": np.ones(2, dtype=dtype)})


@pytest.mark.parametrize("ending", ENDINGS)
def test_bfloat16_is_refused_by_name(tmp_path, ending):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"theta.weight is bfloat16 .*x.float\(\)"):
        save_weights(path_of(tmp_path, ending), {"theta.weight": torch.ones(2, dtype=torch.bfloat16)})


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"path must end in .npz or .safetensors"):
        load_weights(tmp_path / "model.pth")


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / "w.npz")


def test_without_the_package_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"pip install safetensors"):
        save_weights(tmp_path / "w.safetensors", ARRAYS)
