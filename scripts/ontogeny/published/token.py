"""The token that is shown to the Hub: the environment's, never one that a login left here."""

import os
import re

TOKEN = "HF_TOKEN"
SHAPE = re.compile(r"[\w.~+/-]+=*", re.ASCII)  # what may follow `Bearer` (RFC 6750)


def hub_token() -> str | bool:
    """The token in HF_TOKEN; False, which forbids any other, where there is none.

    Raises ValueError, without the value, where it is no token: clients print what they can't send.
    """
    token = os.environ.get(TOKEN, "").strip()
    if token and not SHAPE.fullmatch(token):
        raise ValueError(
            f"{TOKEN} holds a space, a line break or a character that no token has; set it anew"
        )
    return token or False
