"""Golden vectors: everything is there, anyone can read it, and whatever was changed is found."""

import hashlib
import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.testing.npz import npz_bytes, read_npz
from nonlocal_ref.vectors import check_vectors, write_vectors
from nonlocal_ref.vectors.cases import all_cases
from nonlocal_ref.vectors.checking import check_cases
from nonlocal_ref.vectors.writing import checksum, vectors_bytes

SOME = [case for case in all_cases() if "3d-time/pool-before" in case.name]  # every variant, every norm
NAME = SOME[0].name


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The file with every case."""
    path = tmp_path_factory.mktemp("vectors") / "vectors.npz"
    write_vectors(path)
    return path


@pytest.fixture(scope="module")
def some_file(tmp_path_factory):
    """A file with some cases."""
    path = tmp_path_factory.mktemp("vectors") / "some.npz"
    path.write_bytes(vectors_bytes(SOME))
    return path


@pytest.fixture(scope="module")
def parts(some_file):
    """Its arrays and its manifest."""
    return read_npz(some_file, "manifest.json")


@pytest.fixture
def changed(parts, tmp_path):
    """A file with some arrays and entries of the manifest exchanged; checksums made to fit where asked for."""

    def write(arrays=None, manifest=None, honest=False):
        kept = {name: value for name, value in (parts[0] | (arrays or {})).items() if value is not None}
        described = json.loads(parts[1])
        if honest:
            described["sha256"] = {name: checksum(value) for name, value in kept.items()}
        (manifest or (lambda described: None))(described)
        path = tmp_path / "changed.npz"
        path.write_bytes(npz_bytes(kept, {"manifest.json": json.dumps(described)}))
        return check_cases(path, SOME)

    return write


def test_a_file_agrees_with_the_reference(changed):  # the one with every case does in the example of `write_vectors`
    report = changed()
    assert report
    assert (report.cases, report.worst) == (len(SOME), 0.0)
    assert f"right ({len(SOME)} cases" in str(report)


def test_every_combination_that_exists_has_a_case():
    seen = {(c.config.variant, c.config.dims, c.config.domain, c.config.norm, c.training) for c in all_cases()}
    assert len(seen) == 4 * 5 * 4  # variants; 1D, 2D and 3D in three domains; norms, batch norm in both modes
    poolings = {(c.config.kernel is None, c.config.pool_order) for c in all_cases()}
    assert poolings == {(True, "after"), (False, "after"), (False, "before")}


def test_the_same_version_writes_the_same_bytes():
    assert vectors_bytes(SOME) == vectors_bytes(SOME)


def test_the_file_has_a_few_megabytes(whole):
    assert whole.stat().st_size < 6e6


def test_numpy_and_unzip_read_the_file_without_this_package(whole):
    with np.load(whole) as file, zipfile.ZipFile(whole) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        name = next(name for name in manifest["sha256"] if name.endswith("grads/theta.weight"))
        assert hashlib.sha256(file[name].tobytes()).hexdigest() == manifest["sha256"][name]


def test_the_manifest_says_enough_to_compute_a_case(parts):
    arrays, text = parts
    for name, case in json.loads(text)["cases"].items():
        fields = {key: tuple(value) if isinstance(value, list) else value for key, value in case["config"].items()}
        config = nl.BlockConfig(**fields | {"subsample": fields["subsample"] or False})
        params = {key: arrays[f"{name}/params/{key}"] for key in nl.param_shapes(config)}
        z, backward = nl.block(arrays[f"{name}/x"], params, config, training=case["training"])
        dx, grads = backward(arrays[f"{name}/dz"])
        for output, value in ({"z": z, "dx": dx} | {f"grads/{key}": d for key, d in grads.items()}).items():
            allowed = 30 * np.finfo(float).eps * case["magnitudes"][output]
            assert np.max(np.abs(value - arrays[f"{name}/{output}"])) <= allowed


def test_inputs_are_exact_in_single_precision(parts):
    for name, array in parts[0].items():
        if "/params/" in name or name.endswith(("/x", "/dz")):
            assert np.array_equal(array, array.astype(np.float32))


def test_no_gradient_of_a_weight_is_zero(parts):
    for name, array in parts[0].items():
        if "/grads/" in name and name.endswith("weight"):
            assert np.max(np.abs(array)) > 1e-6, name


def test_a_changed_array_is_found_by_its_checksum(changed, parts):
    name = f"{NAME}/z"
    report = changed({name: parts[0][name] * 2})
    assert not report
    assert report.first.array == name
    assert "another sha256" in report.first.what


def test_a_wrong_output_is_found_though_its_checksum_fits(changed, parts):
    name = f"{NAME}/grads/g.weight"
    report = changed({name: parts[0][name] * (1 + 1e-9)}, honest=True)
    assert [difference.array for difference in report.differences] == [name]
    assert "ratio" in report.first.what


def test_another_rounding_is_no_difference(changed, parts):
    name = f"{NAME}/z"
    assert changed({name: np.nextafter(parts[0][name], np.inf)}, honest=True)


def test_a_changed_input_changes_the_outputs(changed, parts):
    name = f"{NAME}/params/g.weight"
    report = changed({name: 2 * parts[0][name]}, honest=True)
    assert report.first.array == f"{NAME}/z"


def test_the_first_of_several_differences_is_named(changed, parts):
    names = [f"{case.name}/dx" for case in SOME[2:5]]
    report = changed({name: 2 * parts[0][name] for name in names}, honest=True)
    assert [difference.array for difference in report.differences] == names
    assert str(report).splitlines()[0].split(": ")[2] == names[0]
    assert "and 2 more arrays" in str(report)


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (None, "is missing"),
        (np.ones(3), "must be float64 of shape"),
        (np.ones((2, 4, 5, 3, 4), dtype=np.float32), "must be float64 of shape"),
        (np.full((2, 4, 5, 3, 4), np.nan), "is not finite"),
    ],
    ids=["missing", "shape", "dtype", "nan"],
)
@pytest.mark.parametrize("which", ["x", "z"])
def test_an_array_that_cannot_be_compared_is_named(changed, which, array, what):
    report = changed({f"{NAME}/{which}": array}, honest=True)
    assert report.first.array == f"{NAME}/{which}"
    assert what in report.first.what


def test_an_array_without_a_checksum_is_named(changed):
    assert "not in the manifest" in changed({"more": np.ones(1)}).first.what


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda m: m["cases"].pop(NAME), "a case that the file does not have"),
        (lambda m: m["cases"].update(other={}), "a case that this version does not know"),
        (lambda m: m["cases"][NAME]["config"].update(channels=10**9), "is another block than here"),
        (lambda m: m["cases"].update({NAME: None}), "is another block than here"),
        (lambda m: m["cases"][NAME]["magnitudes"].update(z=1e9), "other magnitudes"),
        (lambda m: m["cases"][NAME].pop("magnitudes"), "other magnitudes"),
        (lambda m: m["sha256"].update(ghost="00"), "in the manifest but not in the file"),
    ],
    ids=["no-case", "new-case", "other-config", "no-config", "other-magnitude", "no-magnitudes", "ghost"],
)
def test_a_changed_manifest_is_found(changed, edit, what):
    report = changed(manifest=edit)
    assert not report
    assert any(what in difference.what for difference in report.differences)


@pytest.mark.parametrize("limit", [1e300, float("inf"), float("nan"), 0, -30, "30", None, [30] * 1000])
def test_a_manifest_with_another_limit_is_found(changed, limit):
    report = changed(manifest=lambda m: m.update(error_ratio=limit))
    assert report.first.array == "manifest.json"
    assert "must have an error_ratio of 30, got" in report.first.what


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m.update(format="pictures"), "has the format 'pictures' version 1"),
        (lambda m: m.update(format_version=99), "version 99; this version reads"),
        (lambda m: m.pop("cases"), "must be an object with a dict under 'cases'"),
        (lambda m: m.update(sha256=[]), "must be an object with a dict under 'sha256'"),
    ],
)
def test_another_format_is_refused(changed, edit, message):
    with pytest.raises(ValueError, match=message):
        changed(manifest=edit)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, "has no manifest.json: it is not a file of golden vectors"),
        ({"manifest.json": "{"}, "is not JSON"),
        ({"manifest.json": "[]"}, "must be an object"),
        ({"manifest.json": "[" * 100_000}, "is not JSON"),
    ],
)
def test_a_file_without_a_manifest_is_refused(tmp_path, texts, message):
    path = tmp_path / "v.npz"
    path.write_bytes(npz_bytes({"w": np.ones(1)}, texts))
    with pytest.raises(ValueError, match=message):
        check_vectors(path)


def test_a_truncated_file_is_refused(tmp_path, whole):
    path = tmp_path / "v.npz"
    path.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="not a whole"):
        check_vectors(path)


def test_a_manifest_that_is_no_text_is_refused(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("manifest.json", b"\xff\xfe")
    path = tmp_path / "v.npz"
    path.write_bytes(content.getvalue())
    with pytest.raises(ValueError, match="cannot be read"):
        check_vectors(path)


def rewritten(whole, path, name=None, content=None, method=zipfile.ZIP_STORED):
    """A whole file in another zip, with one member exchanged."""
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w", method) as new:
        for info in old.infolist():
            new.writestr(info.filename, content if info.filename == name else old.read(info))
    return path


def npy_of(array):
    content = io.BytesIO()
    np.lib.format.write_array(content, array)
    return content.getvalue()


def test_a_file_that_another_program_zipped_is_right(tmp_path, some_file):
    assert check_cases(rewritten(some_file, tmp_path / "v.npz"), SOME)


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        (lambda x: x.astype(">f8"), "is big-endian; the format is little-endian, row by row"),
        (np.asfortranarray, "is column by column; the format is little-endian, row by row"),
    ],
    ids=["big-endian", "fortran"],
)
def test_numbers_in_another_order_than_the_formats_are_refused(tmp_path, some_file, parts, turn, message):
    path = rewritten(some_file, tmp_path / "v.npz", f"{NAME}/x.npy", npy_of(turn(parts[0][f"{NAME}/x"])))
    with pytest.raises(ValueError, match=f"member '{NAME}/x.npy' {message}"):
        check_cases(path, SOME)


def test_a_compressed_file_is_refused(tmp_path, some_file):
    with pytest.raises(ValueError, match=r"'manifest.json' is compressed; the format has no compression"):
        check_cases(rewritten(some_file, tmp_path / "v.npz", method=zipfile.ZIP_DEFLATED), SOME)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("manifest.json", lambda: b" " * 2**23, "'manifest.json' declares 8388608 bytes of text, more than 4194304"),
        (f"{NAME}/z.npy", lambda: npy_of(np.zeros(2**22)), f"more than 16777216; '{NAME}/z.npy' alone 33554560"),
    ],
    ids=["manifest", "array"],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_a_member_that_is_too_large_is_not_read(tmp_path, some_file, name, content, message, method):
    path = rewritten(some_file, tmp_path / "v.npz", name, content(), method)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message if method == zipfile.ZIP_STORED else "is compressed"):
            check_cases(path, SOME)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "v.npz"
    path.write_bytes(b"old")
    monkeypatch.setattr("nonlocal_ref.vectors.writing.all_cases", lambda: SOME[:1])
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_vectors(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"path must end in .npz"):
        write_vectors(tmp_path / "vectors.json")
