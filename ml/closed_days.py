"""Days on which a business is closed, and what they take from a span of time.

Belongs here: the calendar of one source. Does not belong here: holidays (business_calendar) or what is late because of
them (resources.ages).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
DAYS_PER_WEEK = 7


@dataclass(frozen=True)
class ClosedDays:
    """Local days without business: weekdays (0 is Monday) and single dates."""

    timezone: str
    weekdays: frozenset[int] = frozenset()
    dates: frozenset[date] = frozenset()

    def is_closed(self, day: date) -> bool:
        """Whether the business is closed on a local day."""
        return day.weekday() in self.weekdays or day in self.dates

    def is_closed_week(self, week_start_date: date) -> bool:
        """Whether it is closed on all seven days from `week_start_date`."""
        return all(self.is_closed(week_start_date + DAY * offset) for offset in range(DAYS_PER_WEEK))

    def closed_between(self, start: datetime, end: datetime) -> timedelta:
        """The time between two instants that falls on closed local days; zero when `end` is not after `start`."""
        zone = ZoneInfo(self.timezone)
        if end <= start or not (self.weekdays or self.dates):
            return timedelta()
        day, last = start.astimezone(zone).date(), end.astimezone(zone).date()
        total = timedelta()
        while day <= last:
            if self.is_closed(day):
                opens = datetime.combine(day + DAY, time(), tzinfo=zone).astimezone(UTC)
                closes = datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
                total += max(min(opens, end) - max(closes, start), timedelta())
            day += DAY
        return total
