"""What time costs: an instance is paid by the hour and draws so many watts, and answers one request after the other.

Hours for a million requests = milliseconds for one / 3.6; money, energy and carbon follow from the hours alone. Every
price is an assumption that its reader can change; none of them is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from pruning.errors import PruningError

CURRENCIES = {"USD": "$", "EUR": "€", "GBP": "£", "CNY": "¥"}
TOKENS = 128  # as `pruning.macs.COUNTED_TOKENS`, which cannot be imported without torch
REQUESTS = 1_000_000
MS_PER_HOUR = 3_600_000
MOST_TOKENS = 4096
LIMITS = {"hour": (0.0, 1000.0), "watts": (0.0, 100_000.0), "tokens": (1, MOST_TOKENS), "carbon": (0.0, 2000.0)}


class PriceError(PruningError):
    """A price that cannot be read, or that is none."""


@dataclass(frozen=True)
class Prices:
    """What is assumed.

    Attributes:
        hour: Price of the instance for an hour, in the currency.
        watts: Power that it draws while it answers.
        tokens: Length of a request; models of images get one image whatever it says.
        carbon: Grams of CO2e for a kilowatt-hour; 0 where nobody has stated any, and then no carbon is computed.

    Raises:
        PriceError: A value is not within its limits.
    """

    hour: float = 0.2
    currency: str = "USD"
    watts: float = 65.0
    tokens: int = TOKENS
    carbon: float = 0.0

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and least <= value <= most):
                raise PriceError(
                    "{name} is from {least:g} to {most:g}, not {value:g}", name=name, least=least, most=most,
                    value=value,
                )  # fmt: skip
        if self.currency not in CURRENCIES:
            raise PriceError(
                "the currency is one of {known}, not {name}", known=", ".join(CURRENCIES), name=self.currency[:40]
            )

    def hours(self, milliseconds: float) -> float:
        """That a million requests take, one after the other."""
        return milliseconds * REQUESTS / MS_PER_HOUR

    def cost(self, milliseconds: float) -> float:
        """Of a million requests, in the currency."""
        return self.hour * self.hours(milliseconds)

    def energy_kwh(self, milliseconds: float) -> float:
        """Of a million requests."""
        return self.watts * self.hours(milliseconds) / 1000

    def carbon_kg(self, milliseconds: float) -> float:
        """CO2e of a million requests."""
        return self.carbon * self.energy_kwh(milliseconds) / 1000

    def to_code(self) -> str:
        """As a link says them; empty where nobody has changed any.

        >>> Prices(hour=1.5, currency="EUR").to_code()
        '1.5_EUR_65_128_0'
        """
        values = (f"{v:g}" if isinstance(v, float) else str(v) for v in (getattr(self, f.name) for f in fields(self)))
        return "" if self == Prices() else "_".join(values)

    @classmethod
    def from_code(cls, code: str) -> Prices:
        """The inverse of `to_code`.

        Raises:
            PriceError: The code is none.
        """
        if not code:
            return cls()
        parts = code.split("_")
        try:
            hour, currency, watts, tokens, carbon = parts
            read = float(hour), currency, float(watts), int(tokens), float(carbon)
        except ValueError:
            raise PriceError("{code} does not say prices: 0.2_USD_65_128_0 does", code=code[:40]) from None
        return cls(*read)
