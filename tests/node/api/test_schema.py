"""The OpenAPI description is what the API does: requests made from it, sound ones and unsound ones, in process."""

import json

import anyio.from_thread
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import TypeAdapter
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from node.api.gate import Limits
from node.api.problems import MEDIA_TYPE, Problem
from node.api.rates import Rate
from tests.node.api.harness import open_face

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 6
QUIET = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A way to ask one API that lives in a thread of its own, its description, and its controls."""
    many = Rate(1e6, 1e6)
    with anyio.from_thread.start_blocking_portal("trio") as portal:
        opening = open_face(tmp_path_factory.mktemp("face"), Limits(address=many, token=many))
        with portal.wrap_async_context_manager(opening) as face:
            portal.call(_live, face)
            token = face.token("ada", "admin")

            async def ask(method, url, **more):
                async with face.client(token) as client:
                    return await client.request(method, url, **more)

            description = portal.call(ask, "GET", "http://localhost/openapi.json").json()
            yield lambda *a, **k: portal.call(lambda: ask(*a, **k)), description, face.told


async def _live(face):
    face.live()
    face.keep()
    face.application.streams.close()  # a stream of events would never end


def answered(ask, case):
    request = case.as_transport_kwargs(base_url="http://localhost")
    return ask(
        request["method"],
        request["url"],
        params=request.get("params"),
        headers={k: v for k, v in request["headers"].items() if k.lower() != "authorization"},
        json=request.get("json"),
        content=request.get("data"),
    )


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_breaks_it_and_every_answer_is_as_described(served, mode):
    ask, description, _ = served
    schema, asked = schemathesis.openapi.from_dict(description), []
    for found in schema.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.path_parameters):
            continue  # there is nothing to get wrong

        @QUIET
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case):
            answer = answered(ask, case)
            asked.append((case.operation.label, answer.status_code))
            case.validate_response(answer, checks=CHECKS)
            if answer.status_code >= 400:
                Problem.model_validate_json(answer.content)
                assert answer.headers["content-type"] == MEDIA_TYPE

        check()
    assert len({label for label, _ in asked}) >= (23 if mode is GenerationMode.POSITIVE else 11)
    wanted = 200 if mode is GenerationMode.POSITIVE else 422
    assert sum(status == wanted for _, status in asked) > EXAMPLES  # not all of it fell at the first hurdle


def test_every_example_is_one(served):
    _, description, _ = served
    examples = 0
    for name, schema in description["components"]["schemas"].items():
        for example in schema.get("examples", []):
            examples += 1
            assert set(example) <= set(schema["properties"]), name
            assert set(schema.get("required", ())) <= set(example), name
    assert examples >= 5


def test_every_endpoint_is_described_with_its_refusals(served):
    _, description, _ = served
    operations = {
        (method, path): operation
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }
    assert len(operations) == 23
    problem = {"$ref": "#/components/schemas/Problem"}
    for (method, path), operation in operations.items():
        assert operation.get("description"), path
        open_ = path in ("/healthz", "/readyz")
        assert ("401" in operation["responses"]) is not open_, path
        assert bool(operation.get("security")) is not open_, path
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert answer["content"] == {MEDIA_TYPE: {"schema": problem}}, (method, path, status)
    TypeAdapter(dict).validate_json(json.dumps(description))
