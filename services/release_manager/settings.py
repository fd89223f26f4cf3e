"""What the release-manager is told, from `PLUMBLINE_*`; the rules as PLUMBLINE_ROLLOUT__WINDOW_S and so on."""

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, model_validator

from contracts.envelope import Domain
from shared.settings import (
    BundleVerifyingSettings,
    DaemonSettings,
    Group,
    OperatorSettings,
    OperatorSigningSettings,
    OperatorVerifyingSettings,
)

Seconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
DomainPattern = Annotated[str, Field(pattern=r"^[a-z0-9*-]{1,63}$")]


class RolloutRules(Group):
    """How a rollout is judged and how long its phases last."""

    canary_percent: Annotated[int, Field(ge=1, le=99)] = 10
    """The candidate's share of the traffic while it is judged."""
    min_answers: Annotated[int, Field(ge=1)] = 100
    """Answers of the candidate that a good verdict asks for; with fewer of the baseline it is not compared with."""
    min_canary_s: Seconds = 60.0
    """A good verdict is not given before."""
    max_hold_s: Seconds = 3600.0
    """A canary without a verdict for so long is inconclusive and goes back."""
    max_load_s: Seconds = 600.0
    """A candidate that no gateway has loaded for so long is given up."""
    settle_s: Seconds = 5.0
    """How long promoting and rolling back last: gateways follow and end the answers that they began."""
    window_s: Seconds = 1800.0
    """How long the old bundle stays warm after a promotion, so that going back is instant."""
    max_error_share: Share = 0.02
    """Errors among answers that are tolerated whatever the baseline does."""
    error_margin: Share = 0.01
    """Errors that the candidate may have beyond the baseline's share."""
    max_slow_share: Share = 0.05
    """Answers over the latency limit; 0.05 says that the p95 keeps it."""
    slow_margin: Share = 0.05
    """Slow answers that the candidate may have beyond the baseline's share."""
    false_alarm: Annotated[float, Field(gt=0, lt=0.5)] = 1e-4
    """Risk of each look to fail a candidate that stands exactly at its limit. Over 600 looks at 4 answers more each,
    0.13 % of such candidates fail and none of 3,000 with half the errors; 30 % of errors show after 12 answers (median)."""

    @model_validator(mode="after")
    def _check_times(self) -> "RolloutRules":
        if self.max_hold_s < self.min_canary_s:
            msg = f"max_hold_s ({self.max_hold_s}) is shorter than min_canary_s ({self.min_canary_s})"
            raise ValueError(msg)
        return self


class Settings(
    DaemonSettings, OperatorSettings, OperatorSigningSettings, OperatorVerifyingSettings, BundleVerifyingSettings
):
    """The release-manager's settings."""

    rollout: RolloutRules = RolloutRules()
    rollout_of: dict[DomainPattern, RolloutRules] | None = None
    """JSON: other rules of single domains, e.g. {"law": {"window_s": 600}}, `*` for any letters; the first fit counts, and what
    it does not name is the default."""
    tick_s: Annotated[float, Field(gt=0)] = 0.5
    """How often the clock is looked at."""

    def rules_for(self, domain: Domain) -> RolloutRules:
        """Return a domain's own rules, where it has some."""
        fitting = (rules for pattern, rules in (self.rollout_of or {}).items() if fnmatchcase(domain, pattern))
        return next(fitting, self.rollout)
