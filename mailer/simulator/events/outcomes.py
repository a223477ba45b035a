"""How often ordinary mail bounces, and how long after the call each event comes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from mailer.simulator.latency import AT_ONCE, Duration
from mailer.simulator.spec import Spec

Probability = Annotated[float, Field(ge=0, le=1)]


class Outcomes(Spec):
    """The fate of mail to ordinary recipients. Mailbox simulator addresses have fixed outcomes.

    The times pass on the account's clock: advance it, and the events come. They count from the acceptance, that of a
    complaint from the delivery, and after a DeliveryDelay from that.
    """

    called: ClassVar[str] = "an outcome"

    bounce: Probability = 0.0
    """the part of the recipients with a permanent bounce"""
    soft_bounce: Probability = 0.0
    """the part with a temporary one"""
    complaint: Probability = 0.0
    """the part of the deliveries that lead to a complaint"""
    reject: Probability = 0.0
    """the part of whole messages that is rejected, as if they had a virus"""
    delay: Probability = 0.0
    """the part of the recipients with a DeliveryDelay before any other event"""
    repeat: Probability = 0.0
    """how often an event is published twice, as SNS and SQS may do at any time"""
    send_after: Duration = AT_ONCE
    """the time of the Send, as of a latency: `2s`, `lognormal:2s/0.5`"""
    delivery_after: Duration = AT_ONCE
    """the time of the Delivery"""
    bounce_after: Duration = AT_ONCE
    """the time of the Bounce or the Reject"""
    complaint_after: Duration = AT_ONCE
    """the time of the Complaint, from the Delivery"""
    delay_after: Duration = AT_ONCE
    """the time of the DeliveryDelay"""

    @model_validator(mode="after")
    def _fit_together(self) -> Outcomes:
        if self.bounce + self.soft_bounce > 1.0:
            raise ValueError("bounce and soft_bounce are parts of the same recipients: together at most 1")
        return self
