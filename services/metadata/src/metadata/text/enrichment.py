"""From a transcript to its metadata: a pure function, called in a thread."""

from dataclasses import asdict

from metadata.schemas import Enriched

from . import keywords, statistics, summary, transcripts


def enrich(transcript_json: bytes, keyword_limit: int, summary_sentences: int) -> Enriched:
    """Return the metadata of a stored transcript; raises TranscriptUnreadable."""
    transcript = transcripts.parse(transcript_json)
    found = keywords.extract(transcript.text, transcript.text_language, keyword_limit)
    quoted = summary.summarise(transcript, summary_sentences)
    return Enriched.model_validate(
        {
            "language": transcript.language,
            **asdict(statistics.measure(transcript)),
            "keywords": [asdict(keyword) for keyword in found],
            "summary": [asdict(sentence) for sentence in quoted],
        }
    )
