"""The whole product on this machine: stand-ins, workers, pumps and gateway, started in order and stopped in reverse."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from local.gateway import Gateway
from local.intrinsics import TemplateError
from local.pump import Pump
from local.template import Function, Template
from local.workers import Worker

if TYPE_CHECKING:
    from local.aws import AwsStandIns


@dataclass(frozen=True, slots=True)
class Options:
    """`overrides` are for environment variables that the template declares; port 0 takes any free one."""

    template: Path
    port: int = 0
    api_key: str | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def working_folder(self) -> Path:
        """Logs, the functions' home, the environment for SAM: all made anew when it is missing."""
        return self.template.resolve().parent / ".local"


@contextmanager
def running(options: Options) -> Iterator[str]:
    """The API's URL, for as long as the block lasts. OSError where the port is taken."""
    template = _template(options)
    with ExitStack() as started:
        gateway = Gateway(options.port, api_key=options.api_key)
        started.callback(gateway.stop)
        aws = _stand_ins(template, "127.0.0.1", 0, started)
        functions = _functions(template, aws, options.overrides)
        workers = {function.name: Worker(function, options.working_folder) for function in functions}
        for worker in workers.values():
            started.callback(worker.stop)
        _pump(template, aws, workers, started)
        gateway.start(template.api(), {name: worker.submit for name, worker in workers.items()})
        yield gateway.url


@contextmanager
def services(options: Options, *, host: str, ingest: bool) -> Iterator[Path]:
    """The stand-ins alone, on `host` and `options.port`, and the file that `sam local --env-vars` needs to find them.

    With `ingest`, the functions that the queues feed run here too: `sam local` has no event source mappings.
    """
    template = _template(options)
    with ExitStack() as started:
        aws = _stand_ins(template, host, options.port, started)
        functions = _functions(template, aws, options.overrides)
        if ingest:
            fed = {source.function for source in template.queue_sources(aws.resources)}
            workers = {f.name: Worker(f, options.working_folder) for f in functions if f.name in fed}
            for worker in workers.values():
                started.callback(worker.stop)
            _pump(template, aws, workers, started)
        options.working_folder.mkdir(exist_ok=True)
        path = options.working_folder / "sam-env.json"
        path.write_text(json.dumps({function.name: dict(function.variables) for function in functions}, indent=2))
        yield path


def _template(options: Options) -> Template:
    template = Template(options.template)
    for name in sorted(options.overrides.keys() - template.variables()):
        raise TemplateError(f"No function in the template declares the variable {name}.")
    return template


def _stand_ins(template: Template, host: str, port: int, started: ExitStack) -> AwsStandIns:
    from local.aws import AwsStandIns  # 1.7 s of imports, so after what can fail at once

    aws = AwsStandIns(template, host=host, port=port)
    started.callback(aws.stop)
    return aws


def _functions(template: Template, aws: AwsStandIns, overrides: Mapping[str, str]) -> list[Function]:
    """As declared, with `overrides` for the variables that a function declares, as `sam local --env-vars` does."""
    ours = {"LIFESTREAM_AWS_ENDPOINT_URL": aws.endpoint_url, "LIFESTREAM_INDEX_REFRESH_S": "0", **overrides}
    return [
        replace(function, variables={name: ours.get(name, value) for name, value in function.variables.items()})
        for function in template.functions(aws.resources)
    ]


def _pump(template: Template, aws: AwsStandIns, workers: Mapping[str, Worker], started: ExitStack) -> None:
    urls = {values.attributes.get("Arn"): values.ref for values in aws.resources.values()}
    for source in template.queue_sources(aws.resources):
        pump = Pump(aws.client("sqs"), urls[source.queue_arn], source, workers[source.function].invoke)
        started.callback(pump.stop)
