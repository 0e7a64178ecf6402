"""A command whose packages are not there says how to get them."""

import pytest

from srpipe.core import extras
from srpipe.core.errors import SrpipeError
from srpipe.core.extras import MissingPackageError, require


def test_all_that_is_missing_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the names of the packages, the command and the extra; what is there is not named."""
    packages = ("json", "srpipe_no_such_package", "srpipe_nor_this")
    monkeypatch.setitem(extras.EXTRAS, "none", packages)
    with pytest.raises(MissingPackageError) as caught:
        require("none", "srpipe fly")
    assert str(caught.value) == (
        "srpipe fly needs srpipe_no_such_package, srpipe_nor_this, which this installation was "
        "made without: pip install '.[none]' in the project's folder"
    )
    assert isinstance(caught.value, SrpipeError)


@pytest.mark.parametrize("extra", extras.EXTRAS)
def test_what_is_installed_is_not_asked_for(extra: str) -> None:
    """The tests run with everything installed: a misspelt package would be missed here."""
    require(extra, "srpipe evaluate")
