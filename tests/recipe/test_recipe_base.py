"""What every section of a recipe is made of: names of folders."""

import pytest

from attar.errors import RecipeError
from attar.recipe.load import load_recipe, make_recipe


@pytest.mark.parametrize("name", ["quick", "快速开始", "a b", ".hidden", "v1.2", "x" * 200])
def test_a_plain_name_is_taken(name):
    assert make_recipe({"name": name}).name == name


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/b", "a\\b", "", ".", "..", "a\nb", "a\0b", "x" * 201, "长" * 70, "\ud800"]
)
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(RecipeError, match="name = "):
        make_recipe({"name": name})


def test_a_name_in_a_file_is_refused_with_the_file(tmp_path):
    (tmp_path / "r.toml").write_text('name = "../x"\n', "utf-8")
    with pytest.raises(RecipeError, match=r"r.toml: name = '../x': .*the plain name of a folder"):
        load_recipe(tmp_path / "r.toml")


def test_the_file_of_a_variable_that_is_not_set_is_named_without_secrets(tmp_path):
    (tmp_path / "r.toml").write_text('[data]\nsources = ["MONGODB://u:SECRET@$ATTAR_NOWHERE/d/c"]\n', "utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.toml")
    assert "ATTAR_NOWHERE is not set" in str(caught.value)
    assert "SECRET" not in str(caught.value)
