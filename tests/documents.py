"""The shell blocks and files that README and tutorial tell a reader to type, for tests that type them."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TUTORIAL = ROOT / ".readme" / "tutorial.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """What stands between two fences. `head` is its first line where that is a comment: where it is typed."""

    language: str
    text: str

    @property
    def head(self) -> str:
        first = self.text.partition("\n")[0]
        return first.removeprefix("# ") if first.startswith("# ") else ""

    @property
    def name(self) -> str:
        """For the name of a test."""
        return self.head or self.text.partition("\n")[0][:50]


def blocks(path: Path, language: str = "sh") -> list[Block]:
    """All of one language, in order."""
    return [
        found for found in (Block(*parts) for parts in _BLOCK.findall(path.read_text())) if found.language == language
    ]


def block(path: Path, containing: str, language: str = "sh") -> Block:
    """The one that contains some words."""
    (found,) = [one for one in blocks(path, language) if containing in one.text]
    return found


def environment() -> dict[str, str]:
    """With `grapevine` and this interpreter on the path, as after `source .venv/bin/activate`."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
