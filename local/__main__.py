"""The command line: `serve` keeps the product running, `demo` asks it one question, `services` is for `sam local`."""

from __future__ import annotations

import argparse
import errno
import ipaddress
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.client import Client, ClientError
from local.intrinsics import TemplateError
from local.samples import readable_answer, sample_question, upload_samples
from local.stack import Options, running, services
from local.template import REGION

_LOG = logging.getLogger("local")
_TEMPLATE = Path(__file__).parent.parent / "template.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    commands = {"serve": _serve, "demo": _demo, "services": _services}
    try:
        return commands[parsed.command](parsed)
    except KeyboardInterrupt:
        return 130 if parsed.command == "demo" else 0
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        _LOG.error("Port %d is in use. Stop what runs there, or choose another with --port.", parsed.port)
    except (TemplateError, ClientError) as error:
        _LOG.error("%s", error)
    return 1


def _serve(arguments: argparse.Namespace) -> int:
    options = _options(arguments)
    with running(options) as url:
        if arguments.samples:
            _upload_samples(url, options)
        _say(f"LifeStream is ready on {url} (Ctrl-C stops it)")
        threading.Event().wait()
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    options = _options(arguments)
    events = options.template.parent / "events"
    with running(options) as url:
        _upload_samples(url, options)
        with _progress("Asking"), Client(url, api_key=options.api_key) as client:
            answer = client.ask(sample_question(events))
    _say(readable_answer(answer))
    if not answer["answer"]["citations"]:
        _LOG.error("No passage was cited, though the sample recordings hold the answer.")
        return 1
    return 0


def _services(arguments: argparse.Namespace) -> int:
    with services(_options(arguments), host=arguments.host or docker_bridge(), ingest=arguments.ingest) as path:
        common = f"--region {REGION} --env-vars {os.path.relpath(path)}"
        _say(
            "AWS stand-ins are ready (Ctrl-C stops them). In another terminal:\n\n"
            f"  sam local start-api {common}\n"
            f"  sam local invoke QueryFunction -e events/query.json {common}"
        )
        threading.Event().wait()
    return 0


def docker_bridge() -> str:
    """This machine's address on Docker's own network: containers reach it, other machines do not.

    SAM ignores `--docker-network host`, so 127.0.0.1 would be the container itself.
    """
    inspect = ["docker", "network", "inspect", "bridge", "--format", "{{json (index .IPAM.Config 0)}}"]
    try:
        found = json.loads(subprocess.run(inspect, check=True, capture_output=True, text=True).stdout)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "127.0.0.1"
    # A daemon that has just made its first bridge does not name the gateway: it is the subnet's first address.
    return str(found.get("Gateway") or next(ipaddress.ip_network(found["Subnet"]).hosts()))


def _upload_samples(url: str, options: Options) -> None:
    with _progress("Uploading the sample recordings"), Client(url, api_key=options.api_key) as client:
        upload_samples(client, options.template.parent / "events")


@contextmanager
def _progress(text: str) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # 0.1 s, only where somebody sees it

    with Console(stderr=True).status(text):
        yield


def _say(text: str) -> None:
    """At once, also where a program reads it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _options(arguments: argparse.Namespace) -> Options:
    overrides: dict[str, str] = {}
    for name, equals, value in (text.partition("=") for text in arguments.env):
        overrides[name] = value if equals else os.environ.get(name, "")
    return Options(arguments.template, arguments.port, arguments.api_key, overrides)


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--template", type=Path, default=_TEMPLATE, help="default: template.yaml of this project")
    shared.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="a variable that the template declares, for every function that declares it; without VALUE, this shell's",
    )
    shared.set_defaults(port=0, api_key=None)
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", parents=[shared], help="serve the API until interrupted")
    serve.add_argument("--port", type=int, default=3000, help="default: 3000")
    serve.add_argument(
        "--samples", action=argparse.BooleanOptionalAction, default=True, help="upload the samples first"
    )
    serve.add_argument("--api-key", metavar="KEY", help="refuse requests under /api/ without this x-api-key")
    commands.add_parser("demo", parents=[shared], help="upload the samples, ask one question, print the answer")
    stand_ins = commands.add_parser("services", parents=[shared], help="the AWS stand-ins alone, for `sam local`")
    stand_ins.add_argument("--port", type=int, default=0, help="default: any free one")
    stand_ins.add_argument("--host", help="address to listen on; default: the one that containers reach")
    stand_ins.add_argument("--ingest", action="store_true", help="also run here the function that the queue feeds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
