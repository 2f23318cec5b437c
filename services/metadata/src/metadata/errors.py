"""Errors of the metadata service, with stable codes."""

from common.web.errors import Conflict, NotFound


class MetadataNotFound(NotFound):
    """There is no metadata of this job, it is not ready yet, or the job belongs to another user."""

    code = "metadata_not_found"
    title = "Metadata not found"


class JobNotFound(NotFound):
    """There is no job with this id, or it belongs to another user."""

    code = "job_not_found"
    title = "Job not found"


class TranscriptNotReady(Conflict):
    """The transcript of the job is not ready yet, or it is unreadable."""

    code = "transcript_not_ready"
    title = "No transcript yet"


class AnalysisNotConfigured(Conflict):
    """No language model is configured: OPENAI_API_KEY of the metadata service is not set."""

    code = "analysis_not_configured"
    title = "No language model is set up"


class TranscriptUnreadable(ValueError):
    """The stored transcript is malformed: a permanent failure."""


class AnalysisFailed(Exception):
    """The analysis failed permanently, for a reason with a code."""

    def __init__(self, reason_code: str, reason: str) -> None:
        super().__init__(reason)
        self.reason_code = reason_code
        self.reason = reason
