"""The command line that every service has: python -m <service> serve|migrate|openapi|check-config."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from fastapi import FastAPI

from common import logging, metrics, removed_settings, settings, web

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

SettingsT = TypeVar("SettingsT", bound=settings.ServiceSettings)


def main(
    *,
    name: str,
    settings_type: type[SettingsT],
    create_app: Callable[[SettingsT], FastAPI],
    migrations: str | None = None,
    reannounce: "Callable[[AsyncSession], Awaitable[None]] | None" = None,
    serve_options: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Run the command given in sys.argv for the service `name`.

    `migrations` is the import path of the package with env.py and versions/; without it there is no `migrate`.
    `reannounce` prepares a restored database within one transaction; without it there is no such command.
    `serve_options` are options of `serve` with their help, which the service itself reads before it calls this.
    Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
    """

    def serve() -> None:
        effective = settings.load(settings_type)
        logging.configure(effective, name)
        removed_settings.warn(name)
        metrics.build_info(name)
        web.serve(create_app(effective), effective)

    def migrate() -> None:
        from common import database  # noqa: PLC0415 - services without a database do not have it installed

        # Only the settings that it needs: a migration job gets no other secrets.
        target = settings.load(settings.DatabaseSettings)
        logging.configure(settings.load(settings.ServiceSettings), name)
        assert migrations is not None
        try:
            database.migrate(target.db_url, migrations)
        except database.SchemaOutdated as error:
            sys.exit(str(error))

    def republish() -> None:
        assert reannounce is not None
        logging.configure(settings.load(settings.ServiceSettings), name)
        asyncio.run(_in_transaction(settings.load(settings.DatabaseSettings), reannounce))

    def openapi() -> None:
        document = create_app(settings.example(settings_type)).openapi()
        json.dump(document, sys.stdout, indent=2, sort_keys=True, ensure_ascii=False)
        sys.stdout.write("\n")

    def check_config() -> None:
        sys.stdout.writelines(f"{line}\n" for line in settings.describe(settings.load(settings_type)))

    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command, run, purpose in (
        ("serve", serve, "serve requests and consume messages until a signal"),
        ("migrate", migrate, "bring the database schema up to date"),
        ("reannounce", republish, "after a restore: publish all stored events again"),
        ("openapi", openapi, "print the OpenAPI document, without connecting anywhere"),
        ("check-config", check_config, "check the settings and print the effective ones, secrets masked"),
    ):
        if {"migrate": migrations, "reannounce": reannounce}.get(command, ...) is not None:
            described = commands.add_parser(command, help=purpose, description=purpose)
            described.set_defaults(run=run)
            for option, meaning in serve_options.items() if command == "serve" else ():
                described.add_argument(option, help=meaning)
    parser.parse_args().run()


async def _in_transaction(target: settings.DatabaseSettings, work: "Callable[[AsyncSession], Awaitable[None]]") -> None:
    from common import database  # noqa: PLC0415 - services without a database do not have it installed

    engine = database.create_engine(target)
    try:
        async with database.sessions(engine).begin() as session:
            await work(session)
    finally:
        await engine.dispose()
