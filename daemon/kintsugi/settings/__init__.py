"""The settings of the daemon: `load` reads flags, environment and file into one frozen `Settings`."""

from kintsugi.settings.load import SettingsError, known_settings, load
from kintsugi.settings.sections import (
    AlertmanagerSettings,
    CatalogSettings,
    HealthSettings,
    KubeSettings,
    LedgerSettings,
    NotificationSettings,
    RestoreSettings,
    S3Settings,
    ServerSettings,
)
from kintsugi.settings.settings import Settings, check_watchdogs

__all__ = [
    "AlertmanagerSettings",
    "CatalogSettings",
    "HealthSettings",
    "KubeSettings",
    "LedgerSettings",
    "NotificationSettings",
    "RestoreSettings",
    "S3Settings",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "check_watchdogs",
    "known_settings",
    "load",
]
