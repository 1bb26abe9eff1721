"""What a refusal or an explanation says to type can be typed as it stands."""
from __future__ import annotations

import shlex

import pytest

from shared.kernel.typed import typed


@pytest.mark.parametrize("name", ["scans", "two words", "o'neill", 'a "b" $HOME `x`', "new\nline", "数据", "*"])
def test_a_name_is_one_word_for_the_shell(name: str) -> None:
    assert shlex.split(typed("do datarequest retry", id=name)) == ["edgemere", "do", "datarequest", "retry", "--id", name]
