"""Names of the queues that exist from the start, besides each service's queue of events."""

from .work import AssembleWork, PlanWork

LOG_ARCHIVE = "jobs.logs"
# Other commands have one queue per model, declared when the model is first used.
STANDING_WORK = (PlanWork.name, AssembleWork.name)
