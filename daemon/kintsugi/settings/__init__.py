"""The settings of the daemon: `load` reads flags, environment and file into one frozen `Settings`."""

from kintsugi.settings.load import DEFAULT_FILE, SettingsError, known_settings, load
from kintsugi.settings.sections import (
    AlertmanagerSettings,
    CatalogSettings,
    GuardSettings,
    HealthSettings,
    KubeSettings,
    LedgerSettings,
    NotificationSettings,
    PrometheusSettings,
    RestoreSettings,
    S3Settings,
    ServerSettings,
    TelemetrySettings,
    WatchdogSettings,
)
from kintsugi.settings.settings import ModeWord, Settings, check_watchdogs

__all__ = [
    "DEFAULT_FILE",
    "AlertmanagerSettings",
    "CatalogSettings",
    "GuardSettings",
    "HealthSettings",
    "KubeSettings",
    "LedgerSettings",
    "ModeWord",
    "NotificationSettings",
    "PrometheusSettings",
    "RestoreSettings",
    "S3Settings",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "TelemetrySettings",
    "WatchdogSettings",
    "check_watchdogs",
    "known_settings",
    "load",
]
