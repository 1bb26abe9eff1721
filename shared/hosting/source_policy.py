"""What the settings allow a source to be; the services that touch sources hand it to their workers."""
from __future__ import annotations

from shared.hosting.settings import Config
from shared.sources.port import SourcePolicy


def source_policy(config: Config) -> SourcePolicy:
    """The rules for sources in this environment; never the orchestrator's own folder."""
    settings = config.sources
    anywhere = ["0.0.0.0/0", "::/0"] if settings.allow_internal_addresses else []
    return SourcePolicy(
        allowed_roots=None if "/" in settings.allowed_roots else list(settings.allowed_roots),
        forbidden_roots=[config.data_dir] if config.data_dir else [],
        secret_variables=list(settings.secret_variables),
        allowed_hosts=[*settings.allowed_hosts, *anywhere],
    )
