"""What the programs of `examples/shop` print, whichever of them run and wherever."""

from __future__ import annotations


def bought(orders: int) -> list[str]:
    """The lines of either buying program, from the first order."""
    return [f"bought: order {number}" for number in range(1, orders + 1)]


def shipped(orders: int) -> list[str]:
    """The lines of either shipping program once all is there: of the orders, only the first was express."""
    return [f"shipped: order {number} to ada{', express' if number == 1 else ''}" for number in range(1, orders + 1)]
