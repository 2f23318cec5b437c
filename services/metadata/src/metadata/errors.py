"""What can be wrong with a transcript's metadata and analysis."""

from common.web.errors import Conflict, NotFound


class MetadataNotFound(NotFound):
    """There is no metadata of such a job, or not yet, or the job belongs to somebody else."""

    code = "metadata_not_found"
    title = "Metadata not found"


class JobNotFound(NotFound):
    """There is no such job, or it belongs to somebody else."""

    code = "job_not_found"
    title = "Job not found"


class TranscriptNotReady(Conflict):
    """The job has no transcript to analyse yet, or none that can be read."""

    code = "transcript_not_ready"
    title = "No transcript yet"


class AnalysisNotConfigured(Conflict):
    """No language model is set up here: an administrator sets OPENAI_API_KEY for the metadata service."""

    code = "analysis_not_configured"
    title = "No language model is set up"


class TranscriptUnreadable(ValueError):
    """The stored transcript is not one: trying again cannot help."""


class AnalysisFailed(Exception):
    """The analysis cannot be made, for a reason with a code; trying again cannot help."""

    def __init__(self, reason_code: str, reason: str) -> None:
        super().__init__(reason)
        self.reason_code = reason_code
        self.reason = reason
