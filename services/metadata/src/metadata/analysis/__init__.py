"""Analysis of transcripts by a language model: prompts, parts, client."""
