"""A client of the service around the tiny artifact."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from attar.serving.app import create_app


@pytest.fixture(scope="module")
def client(predictor):
    with TestClient(create_app(predictor)) as made:
        yield made
