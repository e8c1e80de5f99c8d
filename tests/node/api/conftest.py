"""An API over a node that has played."""

import pytest

from tests.node.api.harness import open_face


@pytest.fixture
async def face(tmp_path):
    async with open_face(tmp_path) as face:
        face.live()
        yield face
