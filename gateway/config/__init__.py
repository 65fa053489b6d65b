"""The configuration: ``gateway.toml`` and the environment in, one frozen ``Config`` out (CONTRACT §6)."""

from gateway.config.loading import load
from gateway.config.model import Config
from gateway.config.problems import ConfigError, Problem

__all__ = ["Config", "ConfigError", "Problem", "load"]
