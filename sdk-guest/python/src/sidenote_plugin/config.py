"""The operator's settings of this plugin (`[plugins.NAME.config]`)."""

import math
from typing import overload

from wit_world.imports import config

from .failure import misconfigured


def setting(key: str) -> str | None:
    """The value of a key; None where it isn't set."""
    return config.get(key)


def required(key: str) -> str:
    """The value of a key that must be set; an empty value counts as not set. Raises a failure where it isn't."""
    value = setting(key)
    if not value:
        raise misconfigured(f"config key `{key}` is missing; set it in [plugins.NAME.config]")
    return value


def flag(key: str, otherwise: bool = False) -> bool:
    """Whether a key is `true`; `otherwise` where it isn't set. Raises a failure for anything but `true` and `false`."""
    value = setting(key)
    if value is None:
        return otherwise
    if value not in ("true", "false"):
        raise misconfigured(f'config key `{key}` must be "true" or "false"')
    return value == "true"


@overload
def number(key: str, otherwise: float) -> float: ...
@overload
def number(key: str, otherwise: None = None) -> float | None: ...
def number(key: str, otherwise: float | None = None) -> float | None:
    """The number under a key; `otherwise` where it isn't set. Raises a failure where it is none."""
    value = setting(key)
    if value is None:
        return otherwise
    try:
        known = float(value)
    except ValueError:
        known = math.nan
    if not math.isfinite(known):
        raise misconfigured(f"config key `{key}` must be a number")
    return known
