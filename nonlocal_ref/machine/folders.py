"""Text without folders, which may name people: of every path its last name is left, of a home folder nothing.

The names of this machine and of who uses it go as well, wherever they stand.
"""

import getpass
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_SEPARATOR = r"[\\/]+"
_WORD = r"[^\s\\/:*?\"'`<>|,;=()\[\]]+"
_NAME = rf"{_WORD}(?:[' ]{_WORD})*"  # of a folder: john doe, o'neil
_ABSOLUTE = rf"(?<![\w.~)\]-])(?:[A-Za-z]:|~\w*)?{_SEPARATOR}(?:{_NAME}{_SEPARATOR})*{_WORD}[\\/]*"
_RELATIVE = rf"(?<![\w.~-])[\w.~-]+(?:{_SEPARATOR}[\w.~-]+)+[\\/]*"
_PATHS = re.compile(rf"(?P<address>https?://\S+)|(?P<absolute>{_ABSOLUTE})|{_RELATIVE}")

# A folder in which every person has one, and a name in it: up to the next separator where one belongs to the path,
# whatever else is in the name (alice (work), alice,bob); a word alone otherwise.
_HOMES = r"(?:[A-Za-z]:)?[\\/]+(?:home|Users)[\\/]+"
_PERSON = rf"{_WORD}(?:'{_WORD})*(?:[^\\/'\":\n]*[^\s\\/'\":](?=[\\/]))?"
_HOME = re.compile(rf"(?<![\w.~)\]-]){_HOMES}{_PERSON}", re.IGNORECASE)
_NOBODY = {"root", "localhost"}  # names that say nothing


def without_folders(text: str) -> str:
    """Every path in a text cut down to its last name; line breaks go as well.

    >>> without_folders("cannot open '/srv/john doe/x.so' or results/x.so: and/or stays")
    "cannot open 'x.so' or x.so: and/or stays"
    >>> without_folders("Permission denied: '/home/alice'")
    "Permission denied: '~'"
    """
    for home in _own_home():
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    text = _PATHS.sub(_shorter, _HOME.sub("~", text))
    return " ".join(_without_names(text).split())


def last_name(path: str) -> str:
    """The last name of what is known to be one path, whatever its folders are called; ~ for a home folder.

    >>> last_name("/home/a, b/o'neil/my file.json")
    'my file.json'
    """
    path = path.rstrip("\\/")
    *folders, name = re.split(_SEPARATOR, path)
    return "~" if path in _own_home() or (folders and folders[-1].lower() in {"home", "users"}) else name


def last_name_of_argument(word: str) -> str:
    """The same for a word of a command line, which may be an option with its value.

    >>> last_name_of_argument("--json=/home/john doe/a.json")
    '--json=a.json'
    """
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return option + equals + _without_names(last_name(value))


def _shorter(found: re.Match[str]) -> str:
    if found["address"]:
        return found[0]
    name = last_name(found[0])
    several = len(re.split(_SEPARATOR, found[0].strip("\\/"))) > 2
    is_path = found["absolute"] or several or re.search(r"\.\w", name)  # and not: and/or, GFLOP/s
    return name if is_path else found[0]


def _own_home() -> list[str]:
    """The home folder of who runs this, where there is one that is no more than the root."""
    with suppress(RuntimeError):
        home = Path.home()
        return [str(home)] if len(home.parts) > 1 else []
    return []


def _without_names(text: str) -> str:
    """Who uses this machine, and what it is called, as "user" and "host"."""
    for name, instead in _names():
        if len(name) > 1 and name.lower() not in _NOBODY:
            text = re.sub(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", instead, text)
    return text


def _names() -> Iterator[tuple[str, str]]:
    """The host's first, longest first: the user's may be a part of it."""
    host = platform.node()
    yield host, "host"
    yield host.partition(".")[0], "host"
    with suppress(ImportError, KeyError, OSError):
        yield getpass.getuser(), "user"
    for home in _own_home():
        yield Path(home).name, "user"
