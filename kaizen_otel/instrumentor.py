"""`KaizenInstrumentor`: what `kaizen_otel.instrument()` and `opentelemetry-instrument` turn on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from kaizen_otel.call_site import is_called_by
from kaizen_otel.patches.switch import active, turn_off, turn_on
from kaizen_otel.patches.table import PATCHER
from kaizen_otel.settings import MonitoringLevel, Settings, SettingsError
from kaizen_otel.settings.errors import shown
from kaizen_otel.settings.presets import PRESETS
from kaizen_otel.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Collection

_logger = logging.getLogger("kaizen_otel")


class KaizenInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # the base class is untyped
    """Instruments Kaizen. One for the process; instrumenting twice is one instrumentation.

    Keyword arguments of `instrument` are the fields of `Settings`, `preset`, or a ready `settings`;
    `tracer_provider`, `meter_provider` and `logger_provider` are those of every OpenTelemetry instrumentor.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """The framework we watch."""
        return ("kailash-kaizen >= 1.0.0",)

    def instrument(self, **kwargs: Any) -> None:
        """Begin to watch, as `kaizen_otel.instrument()`.

        Where `opentelemetry-instrument` calls it, settings that cannot be are told of in one line, and nothing is
        watched: raised there, they would keep all other instrumentations from being loaded, too.
        """
        try:
            super().instrument(**kwargs)
        except SettingsError as error:
            if not is_called_by("opentelemetry.instrumentation.auto_instrumentation"):
                raise
            _logger.error("kaizen-otel is not on, its settings cannot be used: %s", error)  # noqa: TRY400 - no fault of ours

    def _instrument(self, **kwargs: Any) -> None:
        kwargs.pop("skip_dep_check", None)
        settings = kwargs.pop("settings", None)
        if settings is None:
            settings = Settings.load(kwargs.pop("preset", None), **kwargs)
        elif not isinstance(settings, Settings):
            raise _no_settings(settings)
        elif kwargs:
            settings = settings.replace(**kwargs)
        if settings.monitoring_level is MonitoringLevel.OFF:
            _logger.info("kaizen-otel is off (monitoring_level)")
            return
        telemetry = Telemetry(settings)
        try:
            telemetry.load_prices()
            turn_on(telemetry)
            PATCHER.turn_on(telemetry.fence)
            telemetry.handle_sigterm()
        except BaseException:
            _end(telemetry)
            raise

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002 - the base class's signature
        _end(active())


def _end(telemetry: Telemetry | None) -> None:
    PATCHER.turn_off()
    turn_off()
    if telemetry is not None:
        telemetry.shutdown()


def _no_settings(given: object) -> SettingsError:
    message = f"argument: settings must be Settings, not {shown(given)}"
    if isinstance(given, str) and given.strip().lower() in PRESETS:
        message += f"; did you mean preset={given.strip().lower()!r}?"
    elif isinstance(given, str):
        message += f"; a preset is an argument of its own: preset={' or '.join(map(repr, PRESETS))}"
    else:
        message += "; each field is an argument of its own, such as console=True"
    return SettingsError(message, key="settings", where="argument")
