"""GET /, /docs and /openapi.json."""

from __future__ import annotations

import re

import pytest

from tests.conftest import REPOSITORY, Stack

SITE = REPOSITORY / "functions" / "site"


@pytest.mark.parametrize(("path", "file"), [("/", "index.html"), ("/docs", "docs.html")])
def test_a_page_is_served_as_it_stands_in_the_folder(stack: Stack, path: str, file: str) -> None:
    response = stack.call("site", "GET", path)
    assert response["statusCode"] == 200
    assert response["multiValueHeaders"]["Content-Type"] == ["text/html; charset=utf-8"]
    assert response["body"] == (SITE / file).read_text(encoding="utf-8")
    assert response["isBase64Encoded"] is False


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_may_load_nothing_from_elsewhere(stack: Stack, path: str) -> None:
    response = stack.call("site", "GET", path)
    headers = response["multiValueHeaders"]
    (policy,) = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == ["nosniff"]
    assert headers["Referrer-Policy"] == ["no-referrer"]
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", response["body"])


def test_openapi_is_json(stack: Stack) -> None:
    response = stack.call("site", "GET", "/openapi.json")
    assert response["statusCode"] == 200
    assert response["multiValueHeaders"]["Content-Type"] == ["application/json"]
    assert response["json"]["openapi"].startswith("3.1")


@pytest.mark.parametrize("path", ["/index.html", "/docs.html", "/app.py", "/../config.py", "/docs/../app.py"])
def test_nothing_else_of_the_folder_is_served(stack: Stack, path: str) -> None:
    assert stack.call("site", "GET", path)["statusCode"] == 404


def test_the_pages_link_only_to_what_is_there(stack: Stack) -> None:
    for path in ("/", "/docs"):
        page = stack.call("site", "GET", path)["body"]
        for target in re.findall(r'href="([^"#][^"]*)"', page):
            function = "health" if target == "health" else "site"
            assert stack.call(function, "GET", f"/{target}")["statusCode"] == 200, target


def test_the_documentation_names_every_schema_it_links_to(stack: Stack) -> None:
    page = stack.call("site", "GET", "/docs")["body"]
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))
