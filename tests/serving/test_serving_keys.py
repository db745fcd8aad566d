"""Keys from the environment and from a file."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from attar.errors import RecipeError
from attar.serving.app import AppOptions, create_app
from attar.serving.keys import Keys


def bearer(key):
    return f"Bearer {key}"


def test_keys_of_the_environment_and_of_a_file(tmp_path):
    file = tmp_path / "keys"
    file.write_text("# of the shop\none\n\n two \nadmin chief\nadmin\n", "utf-8")
    keys = Keys({"ATTAR_API_KEY": "zero", "ATTAR_API_KEYS": "three four"}, file)
    known = ["zero", "one", "two", "three", "four", "chief", "admin"]
    assert [one for one in [*known, "five"] if keys.allow(bearer(one))] == known
    assert keys.allow_admin(bearer("chief"))
    assert not keys.allow_admin(bearer("one"))
    assert not keys.allow("Basic one")
    assert not keys.allow("")
    assert keys.has_admin


def test_without_keys_anyone_is_served_but_nobody_is_an_admin():
    keys = Keys({})
    assert keys.is_open
    assert keys.allow("")
    assert not keys.has_admin
    assert not keys.allow_admin("Bearer ")


def test_a_file_is_read_again_and_a_bad_one_changes_nothing(tmp_path, predictor):
    file = tmp_path / "keys"
    file.write_text("old", "utf-8")
    keys = Keys({}, file)
    with TestClient(create_app(predictor, options=AppOptions(keys=keys))) as client:

        def status(key):
            return client.get("/v1/model", headers={"Authorization": bearer(key)}).status_code

        assert (status("old"), status("new")) == (200, 401)
        file.write_text("new", "utf-8")
        assert status("old") == 200
        keys.reload()
        assert (status("old"), status("new")) == (401, 200)
        file.write_text("", "utf-8")
        with pytest.raises(RecipeError, match="holds no key"):
            keys.reload()
        assert status("new") == 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no key"),
        (b"# a\nadmin a", "holds no key"),
        (b"a b", r"keys:1: expected KEY"),
        (b"a\nadmin b c", r"keys:2: expected KEY"),
        ("密".encode(), r"keys:1: expected KEY"),
        (b"\xff", "it is not UTF-8"),
        (b"a\n" * (1 << 20), "is longer than"),
    ],
)
def test_a_file_that_is_no_list_of_keys(tmp_path, content, words):
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(RecipeError, match=words) as error:
        Keys({}, file)
    assert "密" not in str(error.value)


def test_no_file_of_keys(tmp_path):
    with pytest.raises(RecipeError, match="No such file"):
        Keys({}, tmp_path / "keys")


@pytest.mark.parametrize("value", ["", " ", "a 密"])
def test_several_keys_that_no_client_could_send(value):
    with pytest.raises(RecipeError, match="ATTAR_API_KEYS"):
        Keys({"ATTAR_API_KEYS": value})
