"""Folders of classes and tables of file names become data sets, or a clear error."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cnnfast import utils
from cnnfast.image import ImageError, image_dataset_from_csv, image_dataset_from_directory, list_images
from tests.image.files import folder, plain


def from_directory(root, **options):
    return image_dataset_from_directory(root, **{"image_size": (4, 4), "verbose": False, "shuffle": False, **options})


def names(data):
    return [Path(path).as_posix() for path in data.filenames]


# Folders


def test_classes_are_the_sorted_folders_and_files_come_class_by_class(tmp_path):
    root = folder(tmp_path, {"dogs": 2, "cats": 1})
    plain(root / "cats" / "more" / "x.PNG", 9)
    (root / "cats" / "thumbs.db").write_bytes(b"")
    plain(root / "stray.png", 9)
    plain(root / ".hidden" / "x.png", 9)
    files = list_images(root)
    assert files.class_names == ["cats", "dogs"]
    assert [Path(f).as_posix() for f in files.filenames] == [
        "cats/0.png",
        "cats/more/x.PNG",
        "dogs/0.png",
        "dogs/1.png",
    ]
    assert files.labels.tolist() == [0, 0, 1, 1] and files.labels.dtype == np.int32
    assert files.file_paths[0] == os.path.join(str(root), "cats", "0.png")


def test_classes_can_be_chosen_and_ordered(tmp_path):
    root = folder(tmp_path, {"a": 1, "b": 1, "c": 1})
    data = from_directory(root, class_names=["c", "a"])
    assert data.class_names == ["c", "a"] and names(data) == ["c/0.png", "a/0.png"]
    assert data.labels.tolist() == [0, 1]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_to_folders_are_followed_if_asked(tmp_path):
    root = folder(tmp_path / "data", {"a": 1, "b": 1})
    folder(tmp_path / "elsewhere", {"x": 1})
    (root / "a" / "link").symlink_to(tmp_path / "elsewhere" / "x")
    assert from_directory(root).samples == 2
    assert names(from_directory(root, follow_links=True)) == ["a/0.png", "a/link/0.png", "b/0.png"]


def test_images_without_classes_and_labels_from_a_list(tmp_path):
    root = folder(tmp_path, {"a": 2, "b": 1})
    assert from_directory(root, labels=None).labels is None
    assert from_directory(root, label_mode=None)[0].shape == (3, 4, 4, 3)
    assert from_directory(root / "a", labels=None).samples == 2
    data = from_directory(root, labels=[2, 0, 1])
    assert data.labels.tolist() == [2, 0, 1] and data.class_names == ["0", "1", "2"]


def test_a_list_of_labels_is_in_the_order_of_the_folders(tmp_path):
    """Files of a folder come before those of the folders in it, as Keras goes through them."""
    for name in ("a/0.png", "b/c/0.png", "b/z.png", "z.png"):
        plain(tmp_path / name, 1)
    data = from_directory(tmp_path, labels=[3, 0, 1, 2])
    assert names(data) == ["z.png", "a/0.png", "b/z.png", "b/c/0.png"] and data.labels.tolist() == [3, 0, 1, 2]


def test_found_and_used_files_are_told(tmp_path, capsys):
    root = folder(tmp_path, {"a": 6, "b": 4})
    options = {"verbose": True, "validation_split": 0.3, "seed": 1}
    from_directory(root, subset="both", **options)
    from_directory(root, subset="validation", **options)
    from_directory(root, labels=None, verbose=True)
    assert capsys.readouterr().out.splitlines() == [
        "Found 10 files belonging to 2 classes.",
        "Using 7 files for training.",
        "Using 3 files for validation.",
        "Found 10 files belonging to 2 classes.",
        "Using 3 files for validation.",
        "Found 10 files.",
    ]


@pytest.mark.parametrize("shuffle", [True, False])
def test_the_parts_of_a_split_have_each_file_once_with_its_label(tmp_path, shuffle):
    root = folder(tmp_path, {"a": 6, "b": 4})
    options = {"shuffle": shuffle, "seed": 3, "validation_split": 0.2}
    train, held = from_directory(root, subset="both", **options)
    assert sorted(names(train) + names(held)) == names(from_directory(root))
    for data in train, held:
        assert [name[0] for name in names(data)] == [data.class_names[label] for label in data.labels]
    assert names(from_directory(root, subset="training", **options)) == names(train)
    assert names(from_directory(root, subset="validation", **options)) == names(held)
    if not shuffle:
        assert names(held) == ["b/2.png", "b/3.png"]


def test_the_validation_part_is_never_augmented(tmp_path):
    root = folder(tmp_path, {"a": 6, "b": 4})
    options = {"augment": lambda images, **_: images * 0 + 99, "validation_split": 0.2, "seed": 1}
    train, held = from_directory(root, subset="both", **options)
    assert train[0][0].min() == 99 and held[0][0].max() < 99
    assert from_directory(root, subset="validation", **options)[0][0].max() < 99
    assert from_directory(root, subset="training", **options)[0][0].min() == 99


def test_files_that_are_left_out_are_told(tmp_path, capsys):
    root = folder(tmp_path, {"a": 2, "b": 2})
    (root / "a" / "0.png").write_bytes(b"text")
    data = from_directory(root, on_error="skip", verbose=True)
    assert capsys.readouterr().out.splitlines()[1:] == ["Left out 1 files that cannot be read; `skipped` names them."]
    assert list(data.skipped) == [os.path.join(str(root), "a", "0.png")]


def test_broken_files_leave_the_split_as_it_is(tmp_path):
    root = folder(tmp_path, {"a": 6, "b": 4})
    options = {"shuffle": True, "seed": 3, "validation_split": 0.2, "subset": "both"}
    before = [names(data) for data in from_directory(root, **options)]
    (root / before[0][0]).write_bytes(b"GIF89a")
    train, held = from_directory(root, on_error="skip", **options)
    assert names(train) == before[0][1:] and names(held) == before[1]
    assert train.labels.tolist() == [train.class_names.index(name[0]) for name in names(train)]
    with pytest.raises(ImageError, match=Path(before[0][0]).name):
        list(from_directory(root, **options)[0])


@pytest.mark.parametrize(
    ("counts", "options", "error", "message"),
    [
        ({}, {}, ValueError, r"has no folders, expected one for each class"),
        ({"a": 0, "b": 0}, {}, ValueError, r"no images in the folders \['a', 'b'\]"),
        ({"a": 3, "b": 0}, {}, ValueError, r"b has no images; if that is meant, name the classes"),
        ({"a": 3}, {}, ValueError, r"has one class, \['a'\]; to tell classes apart takes two"),
        ({"a": 3, "b": 1}, {"class_names": ["a", "c"]}, ValueError, r"no folder for class 'c', it has \['a', 'b'\]"),
        ({"a": 3, "b": 1}, {"class_names": ["a", "a"]}, ValueError, "class names must differ"),
        ({"a": 3, "b": 1}, {"class_names": ["../x", "a"]}, ValueError, "no folder for class '../x'"),
        ({"a": 3, "b": 1}, {"labels": [1, 2]}, ValueError, "2 labels were given for 4 files in"),
        ({"a": 3, "b": 1}, {"labels": [0.5] * 4}, ValueError, "labels must be whole numbers"),
        ({"a": 3, "b": 1}, {"labels": "folders"}, ValueError, "labels must be 'inferred', None or a list"),
        ({"a": 3, "b": 1}, {"labels": None, "class_names": ["a"]}, ValueError, "class_names needs labels='inferred'"),
        ({"a": 1, "b": 1, "c": 1}, {"label_mode": "binary"}, ValueError, "needs two classes, got 3"),
        ({"a": 3, "b": 1}, {"subset": "training"}, ValueError, "validation_split and subset need each other"),
        ({"a": 3, "b": 1}, {"validation_split": 0.2}, ValueError, "validation_split and subset need each other"),
        ({"a": 3, "b": 1}, {"validation_split": 1.0, "subset": "both"}, ValueError, "must lie between 0 and 1"),
        ({"a": 3, "b": 1}, {"validation_split": 0.1, "subset": "both"}, ValueError, "leaves 0 for validation"),
        ({"a": 3, "b": 1}, {"validation_split": 0.5, "subset": "test"}, ValueError, "subset must be"),
        (
            {"a": 3, "b": 1},
            {"validation_split": 0.5, "subset": "both", "shuffle": True},
            ValueError,
            "needs a seed",
        ),
        ({"a": 3, "b": 1}, {"on_eror": "skip"}, TypeError, "on_eror"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_the_folder(tmp_path, counts, options, error, message):
    folder(tmp_path, counts)
    with pytest.raises(error, match=message):
        from_directory(tmp_path, **options)


def test_a_missing_folder_and_a_file_in_its_place_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"image_dataset_from_directory: there is no folder .*missing"):
        from_directory(tmp_path / "missing")
    path = plain(tmp_path / "a.png", 1)
    with pytest.raises(NotADirectoryError, match=r"a\.png is a file, expected a folder"):
        from_directory(path)


def test_an_empty_class_may_be_named(tmp_path):
    root = folder(tmp_path, {"a": 2, "b": 0})
    assert from_directory(root, class_names=["a", "b"]).class_names == ["a", "b"]


def test_names_are_where_keras_has_them():
    assert utils.image_dataset_from_directory is image_dataset_from_directory
    for name in "load_img", "img_to_array", "array_to_img", "save_img":
        assert callable(getattr(utils, name))


# Tables


@pytest.fixture
def table(tmp_path):
    for i in range(4):
        plain(tmp_path / "photos" / f"{i}.png", i)

    def make(text, encoding="utf-8"):
        path = tmp_path / "images.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return make


GOOD = "filename,class,age,weight\n0.png,cat,3,1\n1.png,dog,4.5,2\n\n2.png,cat,1,0.5\n"


def from_csv(path, **options):
    defaults = {"directory": path.parent / "photos", "image_size": (4, 4), "verbose": False, "shuffle": False}
    return image_dataset_from_csv(path, **{**defaults, **options})


def test_classes_come_from_a_column(table):
    data = from_csv(table(GOOD))
    assert data.class_names == ["cat", "dog"] and data.labels.tolist() == [0, 1, 0]
    assert data.filenames == ["0.png", "1.png", "2.png"]
    x, y = data[0]
    assert x[:, 0, 0, 0].tolist() == [0, 1, 2] and y.tolist() == [0, 1, 0]


def test_classes_can_be_ordered_numbers_taken_raw_and_samples_weighed(table):
    path = table(GOOD)
    assert from_csv(path, class_names=["dog", "cat"]).labels.tolist() == [1, 0, 1]
    assert from_csv(path, y_col="age", label_mode="raw").labels.tolist() == [3, 4.5, 1]
    assert from_csv(path, y_col=["age", "weight"], label_mode="raw").labels.tolist() == [[3, 1], [4.5, 2], [1, 0.5]]
    assert from_csv(path, weight_col="weight")[0][2].tolist() == [1, 2, 0.5]
    assert from_csv(path, y_col=None)[0].shape == (3, 4, 4, 3)


def test_tables_of_spreadsheets_are_read(table):
    text = 'filename;class\n"0.png";"a; b"\n1.png; c \n'
    data = from_csv(table(text.replace("\n", "\r\n"), "utf-8-sig"), delimiter=";")
    assert data.class_names == ["a; b", "c"]


def test_names_start_from_the_table_s_folder_unless_told(table):
    path = table("filename,class\nphotos/0.png,a\nphotos/1.png,b\n")
    assert from_csv(path, directory=None).samples == 2


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("", {}, ValueError, r"images\.csv lists no images"),
        ("filename,class\n", {}, ValueError, "lists no images"),
        ("file,class\n0.png,a\n", {}, ValueError, r"has no column 'filename', it has \['file', 'class'\]"),
        (GOOD, {"y_col": "label"}, ValueError, "has no column 'label'"),
        (GOOD, {"weight_col": "w"}, ValueError, "has no column 'w'"),
        ("filename,filename\n0.png,a\n", {}, ValueError, "names of columns must differ"),
        ("filename,class\n0.png,a\n1.png\n", {}, ValueError, "line 3: expected 2 entries, got 1"),
        ("filename,class\n0.png,a\n,b\n", {}, ValueError, "line 3: column 'filename' is empty"),
        ("filename,class\n0.png,a\n1.png,\n", {}, ValueError, "line 3: column 'class' is empty"),
        ("filename,class\n0.png,a\n9.png,b\n", {}, FileNotFoundError, r"line 3: 'filename' names .*9\.png"),
        (GOOD, {"class_names": ["cat", "cow"]}, ValueError, r"line 3: class 'dog' is none of \['cat', 'cow'\]"),
        (GOOD, {"y_col": "class", "label_mode": "raw"}, ValueError, "line 2: 'class' must be a number, got 'cat'"),
        ("filename,class\n0.png,nan\n", {"label_mode": "raw"}, ValueError, "must be a number, got 'nan'"),
        (GOOD, {"y_col": ["age", "class"]}, ValueError, "label_mode 'int' needs one y_col"),
        ("filename,class\n0.png,a\n1.png,a\n", {}, ValueError, "one class"),
        ('filename,class\n"0.png,a\n', {}, ValueError, "no CSV file in UTF-8"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_line(table, text, options, error, message):
    with pytest.raises(error, match=message):
        from_csv(table(text), **options)


def test_files_that_are_no_tables_are_named(table, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*other\.csv"):
        from_csv(tmp_path / "other.csv")
    path = table(GOOD)
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=r"images\.csv is no CSV file in UTF-8"):
        from_csv(path)


def test_missing_files_of_a_table_can_be_skipped(table):
    data = from_csv(table("filename,class\n9.png,a\n0.png,a\n1.png,b\n"), on_error="skip")
    assert data.filenames == ["0.png", "1.png"] and data.labels.tolist() == [0, 1]
