"""The simulated equities: their roster, their events and their true bars."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from simulator.market import bars as sim_bars
from simulator.market import defects, reference, returns
from simulator.market.bars import Bars, PricePaths
from simulator.market.clocks import morning_after, new_york_calendar
from simulator.market.defects import Days, Event
from simulator.market.reference import Roster
from simulator.market.returns import Flags, Floats
from trademl.errors import ConfigError

_WEEKS_AHEAD = timedelta(days=75)
_AFTER_NIGHT = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Span:
    """The exchange's sessions of the simulated span.

    Attributes:
        sessions: Session dates.
        ahead: The same and the sessions of the weeks after, for announced earnings.
        opens_at: Opening time per session, UTC.
        early: Whether the session closes early.
        closed: Weekdays without a session.
    """

    sessions: Days
    ahead: Days
    opens_at: list[datetime]
    early: Flags
    closed: Days

    @property
    def between_nights(self) -> datetime:
        """A moment after the last but one night's clock and before the last one's."""
        return morning_after(self.sessions[-3].item()) + _AFTER_NIGHT


@dataclass(frozen=True, slots=True)
class Equities:
    """Everything about the simulated equities, on grids of sessions by names.

    Attributes:
        span: The sessions.
        roster: The names.
        events: The planted events.
        present: Which bars exist.
        bars: The true bars.
        prices: Closes, and the dividends within.
        earnings: Earnings dates per name with the time of their announcement.
    """

    span: Span
    roster: Roster
    events: list[Event]
    present: Flags
    bars: Bars
    prices: PricePaths
    earnings: list[list[tuple[date, datetime]]]


def span_of(start: date, end: date) -> Span:
    """The XNYS sessions from ``start`` to ``end``.

    Raises:
        ConfigError: There are fewer than ``defects.FEWEST_SESSIONS``.
    """
    needed = defects.FEWEST_SESSIONS
    if end - start < timedelta(days=needed):
        raise ConfigError(f"{start}..{end} is shorter than the {needed} sessions a market needs")
    calendar = new_york_calendar(start, end + _WEEKS_AHEAD)
    ahead = calendar.sessions.to_numpy().astype("datetime64[D]")
    sessions = ahead[ahead <= np.datetime64(end)]
    if len(sessions) < needed:
        raise ConfigError(
            f"{start}..{end} has {len(sessions)} sessions; a simulated market needs {needed}"
        )
    opens = calendar.opens.to_numpy(dtype="datetime64[us]")[: len(sessions)].astype(object)
    early = calendar.early_closes.to_numpy().astype("datetime64[D]")
    return Span(
        sessions=sessions,
        ahead=ahead,
        opens_at=[moment.replace(tzinfo=UTC) for moment in opens],
        early=np.isin(sessions, early),
        closed=defects.closed_weekdays(sessions),
    )


def draw_equities(seed: int, n_symbols: int, span: Span) -> Equities:
    """Draws names, events, returns and bars; each part from a stream of its own."""
    rng = stream(seed, 1)
    count = len(span.sessions)
    order = rng.permutation(n_symbols)
    late = max(defects.FEWEST_LATE, n_symbols // 16)
    first_row = np.zeros(n_symbols, dtype=np.int64)
    first_row[order[:late]] = np.linspace(0.15 * count, 0.45 * count, late).astype(np.int64)
    events = defects.schedule_events(order[late:].tolist(), span.sessions, span.closed)
    symbols = reference.made_up_symbols(n_symbols + 1)
    sectors = rng.permutation(np.arange(n_symbols) % len(reference.SECTORS))
    roster = reference.roster_of(symbols, sectors, first_row, span.sessions, events)
    earnings = reference.earnings_calendar(stream(seed, 2), span.ahead, n_symbols)
    busy = _earnings_sessions(earnings, span.sessions)
    paths = returns.equity_paths(stream(seed, 3), sectors, busy)
    present = defects.present_bars(events, first_row, count)
    prices = _prices(stream(seed, 4), paths.log_returns, events, present, span.sessions)
    bars = sim_bars.equity_bars(stream(seed, 5), paths, prices, span.early)
    return Equities(span, roster, events, present, bars, prices, earnings)


def stream(seed: int, part: int) -> np.random.Generator:
    """The random stream of one part, so that a change in one part leaves the others alone."""
    return np.random.default_rng([seed, part])


def _earnings_sessions(earnings: list[list[tuple[date, datetime]]], sessions: Days) -> Flags:
    busy = np.zeros((len(sessions), len(earnings)), dtype=np.bool_)
    for name, dated in enumerate(earnings):
        days = np.array([day for day, _ in dated], dtype="datetime64[D]")
        busy[:, name] = np.isin(sessions, days)
    return busy


def _prices(
    rng: np.random.Generator, moves: Floats, events: list[Event], present: Flags, sessions: Days
) -> PricePaths:
    """Closes from about 40 to 300 USD at the start, times the splits to come."""
    count, names = moves.shape
    ratios = defects.true_ratios(events, (count, names))
    first_price = np.clip(np.exp(rng.normal(np.log(110.0), 0.45, names)), 40.0, 300.0)
    payers: Flags = rng.permutation(names) < names // 2
    ex_rows = reference.dividend_rows(rng, sessions, names)
    payout = sim_bars.quarterly_payout(rng, payers, ex_rows, count)
    # A dividend on a split's ex-date, or without a bar before it, has no agreed meaning.
    has_base = np.vstack([np.zeros((1, names), dtype=np.bool_), present[:-1]]) & present
    payout = np.where(has_base & (ratios == 1.0), payout, 0.0)
    return sim_bars.unadjusted_prices(moves, first_price * ratios.prod(axis=0), ratios, payout)
