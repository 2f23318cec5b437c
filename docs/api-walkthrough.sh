#!/usr/bin/env bash
# A walk through Verbatim's API with curl. It needs a running platform (`make up`), curl and jq.
#
#     VERBATIM_PASSWORD=… docs/api-walkthrough.sh [recording]
#
# VERBATIM_URL (default http://127.0.0.1:8000), VERBATIM_USERNAME (default admin) and VERBATIM_PASSWORD name the platform
# and an administrator; without administrator's rights chapter 14 is left out. Everything that it makes, it deletes.
# The whole interface, with every problem an operation can answer with, is described in docs/openapi.json; the platform
# itself gives it at /openapi.json.
set -euo pipefail

URL=${VERBATIM_URL:-http://127.0.0.1:8000}
NAME=${VERBATIM_USERNAME:-admin}
PASSWORD=${VERBATIM_PASSWORD:?set VERBATIM_PASSWORD to the password of $NAME}
RECORDING=${1:-$(dirname "$0")/../services/transcriber/src/transcriber/samples/sample.opus}
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT

chapter() { printf '\n\033[1m%s\033[0m\n' "$*"; }
note() { printf -- '- %s\n' "$*"; }

# Every request below goes through this: it fails when the answer is an error, after showing the problem document.
# A problem document (RFC 9457) says in `code` what programs decide by, and in `detail` what people read.
call() {
  curl --silent --show-error --fail-with-body -H "Authorization: Bearer $TOKEN" "$@" || { status=$?; echo >&2; return "$status"; }
}
status_of() { curl --silent --output /dev/null --write-out '%{http_code}' "$@"; }

chapter "1. Is it well?"
# Nobody needs a token for that. 200: it works, perhaps `degraded`; 503: something essential is missing.
curl --silent --fail-with-body "$URL/health" | jq -c '{status, version, services: (.services | map_values(.status))}'

chapter "2. Logging in"
# The password form of OAuth2. The access token lives for an hour (ACCESS_TOKEN_EXPIRE_MINUTES).
LOGIN=$(curl --silent --show-error --fail-with-body "$URL/token" --data-urlencode "username=$NAME" --data-urlencode "password=$PASSWORD")
TOKEN=$(jq -r .access_token <<<"$LOGIN")
call "$URL/me" | jq -c .
# The refresh token brings the next pair, once: a token that comes a second time ends the session, as another client may
# hold it.
TOKEN=$(jq -r '{refresh_token}' <<<"$LOGIN" | curl --silent --fail-with-body "$URL/token/refresh" --json @- | jq -r .access_token)
note "refreshed; sessions of this account: $(call "$URL/me/sessions" | jq '.items | length')"
note "without a token the answer is $(status_of "$URL/jobs")"

chapter "3. An API key, for programs"
# Its text is shown only now. `read` is enough for programs that fetch transcripts.
KEY=$(call "$URL/api-keys" --json '{"name": "walkthrough", "scopes": ["read"]}')
KEY_ID=$(jq -r .id <<<"$KEY")
note "as the key: $(curl --silent --fail-with-body -H "Authorization: Bearer $(jq -r .key <<<"$KEY")" "$URL/me" | jq -c '{username, role}')"
note "it may not write: $(status_of -X POST -H "Authorization: Bearer $(jq -r .key <<<"$KEY")" -F "file=@$RECORDING" "$URL/jobs")"
call -X DELETE "$URL/api-keys/$KEY_ID"

chapter "4. A recording in"
# Any audio, or video with sound. Fields besides `file`: model, language (a code, or auto), task (transcribe or translate),
# word_timestamps, initial_prompt, hotwords, multilingual, track (a number from 1, or mix).
JOB=$(call "$URL/jobs" -F "file=@$RECORDING" -F language=auto -F word_timestamps=true)
ID=$(jq -r .id <<<"$JOB")
jq -c '{id, file_name, size_bytes, state, options}' <<<"$JOB"

chapter "5. Watching it"
# Server-sent events: progress, pieces of text as they are transcribed, states. The stream ends with the job.
call --no-buffer "$URL/jobs/$ID/events" >"$FOLDER/events"
grep '^data:' "$FOLDER/events" | cut -c 1-150 | sed -n '1p;$p'
# A connection that broke goes on behind the last event that was seen, without gap or duplicate; browsers do so by
# themselves.
call --no-buffer "$URL/jobs/$ID/events" -H "Last-Event-ID: 2" >"$FOLDER/later-events"
note "after event 2 comes event $(sed -n 's/^id: //p' "$FOLDER/later-events" | head -1)"
call "$URL/jobs/$ID" | jq -c '{state, reason, language, duration_seconds, speech_seconds, progress, attempt, formats}'
[[ $(call "$URL/jobs/$ID" | jq -r .state) == completed ]]

chapter "6. The transcript out"
for FORMAT in txt srt vtt json tsv; do
  call "$URL/jobs/$ID/download?format=$FORMAT" --output "$FOLDER/transcript.$FORMAT"
done
fold -s -w 120 "$FOLDER/transcript.txt" | sed -n 1,3p
note "in all: $(cd "$FOLDER" && ls | tr '\n' ' ')"
jq -c '.segments[0] | {start, end: .end, text}' "$FOLDER/transcript.json"

chapter "7. What is known about it"
call "$URL/metadata/$ID" | jq -c '{language, words, words_per_minute, speech_ratio, keywords: [.keywords[:5][].keyword], summary: .summary[:1]}'
# With a language model configured (OPENAI_API_KEY), POST /jobs/{job_id}/analyze describes it further.

# Which engine and model every chunk was transcribed with: GET /jobs/{job_id}/provenance. And proof: chunks drawn at random
# are transcribed once more, and the same must come out, byte by byte.
CHECK=$(call "$URL/jobs/$ID/verify" --json '{"chunks": 1}' | jq -r .id)
until call "$URL/jobs/$ID/verifications/$CHECK" | jq -e .finished_at >/dev/null; do sleep 0.2; done
note "verified: $(call "$URL/jobs/$ID/verifications/$CHECK" | jq -c '{verified, outcomes: [.checks[].outcome]}')"

chapter "8. The recording, to be played"
# Players ask for pieces: 206 with Content-Range.
call "$URL/jobs/$ID/audio" -H "Range: bytes=0-99" --output "$FOLDER/piece" --write-out '%{http_code} %header{content-range}\n'
# It is what was sent, byte for byte.
call "$URL/jobs/$ID/audio" --output "$FOLDER/recording"
note "its SHA-256 is the job's: $(jq -r .sha256 <<<"$JOB" | sed "s|\$|  $FOLDER/recording|" | sha256sum --check --status && echo yes)"

chapter "9. Its log"
# Lines of every service that touched it; over a WebSocket they come live (/ws/logs/{job_id}).
call "$URL/log/$ID" --output "$FOLDER/log"
sed -n 1,5p "$FOLDER/log"

chapter "10. A recording in pieces"
# The protocol tus 1.0, for large recordings and bad connections: begin, send, ask how far it came, send the rest. There are
# clients for every language; with curl it is four requests.
TUS="Tus-Resumable: 1.0.0"
PIECE="Content-Type: application/offset+octet-stream"
WHERE=$(call -X POST "$URL/files" -H "$TUS" -H "Upload-Length: $(wc -c <"$RECORDING")" \
  -H "Upload-Metadata: filename $(printf 'in pieces.opus' | base64)" --output /dev/null --write-out '%header{location}')
head -c 1000 "$RECORDING" | call -X PATCH "$URL$WHERE" -H "$TUS" -H "$PIECE" -H "Upload-Offset: 0" --data-binary @-
OFFSET=$(call --head "$URL$WHERE" -H "$TUS" --output /dev/null --write-out '%header{upload-offset}')
note "stored so far: $OFFSET bytes"
NEXT=$(tail -c "+$((OFFSET + 1))" "$RECORDING" | call -X PATCH "$URL$WHERE" -H "$TUS" -H "$PIECE" \
  -H "Upload-Offset: $OFFSET" --data-binary @- --output /dev/null --write-out '%header{x-verbatim-job}')
note "the last piece made it a job: $(call "$URL$NEXT" | jq -c '{file_name, duplicate_of}')"

chapter "11. Text while it is transcribed, and stopping it"
# What is missing (yet) is shown as a gap, never passed over.
call "$URL$NEXT/transcript" | jq -c '{state, complete, segments: [.items[] | select(.type == "segment")] | length, gaps: [.items[] | select(.type == "gap")] | length}'
# 200: it stops within one chunk. 409, code job_over: it was faster than you.
note "stopping it is answered with $(status_of -X POST -H "Authorization: Bearer $TOKEN" "$URL$NEXT/cancel")"

chapter "12. Again, as before or otherwise"
# Chunks that are transcribed already are not transcribed again, unless the options are others.
call "$URL$NEXT" | jq -e '.state == "cancelled" or .state == "completed"' >/dev/null || call --no-buffer "$URL$NEXT/events" --output /dev/null
call "$URL$NEXT/restart" --json '{"priority": "high"}' | jq -c '{state, priority}'
call --no-buffer "$URL$NEXT/events" --output /dev/null
call "$URL$NEXT" | jq -c '{state, attempts: [.attempts[] | {attempt, state, chunks_done}]}'
call -X DELETE "$URL$NEXT"

chapter "13. My jobs"
# Newest first, in pages: `next_cursor` of one page is `cursor` of the next, and null on the last.
call "$URL/jobs?limit=5&state=completed" | jq -c '{jobs: [.items[].file_name], next_cursor}'

if [[ $(call "$URL/me" | jq -r .role) == admin ]]; then
  chapter "14. For administrators"
  # Everybody else is answered with 403, code admin_only.
  USER=$(call "$URL/admin/users" --json "{\"username\": \"walker-$RANDOM$RANDOM\"}")
  note "made $(jq -r .username <<<"$USER"), who must change the one-time password at the first login"
  call -X PATCH "$URL/admin/users/$(jq -r .id <<<"$USER")" --json '{"disabled": true}' | jq -c '{username, disabled}'
  call -X DELETE "$URL/admin/users/$(jq -r .id <<<"$USER")"
  note "the latest of the audit trail: $(call "$URL/admin/audit?limit=3" | jq -c '[.items[].kind]')"
  note "stored: $(call "$URL/admin/storage" | jq -c .)"
  note "files of the job: $(call "$URL/admin/files?job_id=$ID" | jq -c '[.items[].key]')"
  note "kept for: $(call "$URL/admin/cleanup-config" | jq -c .)"
  call "$URL/admin/download-all?format=srt" --output "$FOLDER/all.zip"
  note "all transcripts as one zip: $(wc -c <"$FOLDER/all.zip") bytes"
  note "workers: $(call "$URL/admin/workers" | jq -c '[.items[] | {worker, device, engine, busy, alive}]')"
  note "figures of the last day: $(call "$URL/admin/stats" | jq -c '{kpis, queue}')"
  # PUT with other numbers counts at once: {"max_concurrent_jobs": 8}.
  note "limits: $(call "$URL/admin/concurrency" | jq -c '{max_concurrent_jobs, paused_workers}')"
  note "messages that could not be processed: $(call "$URL/admin/dead-letters" | jq '.items | length')"
  call "$URL/metrics" --output "$FOLDER/metrics"
  note "metrics for Prometheus: $(grep -c '^verbatim_' "$FOLDER/metrics") series"
  call "$URL/logs/system?lines=2"
fi

chapter "15. Away with it"
# A running job is stopped; the recording, the transcript and the metadata go, too.
call -X DELETE "$URL/jobs/$ID"
note "afterwards the answer is $(status_of -H "Authorization: Bearer $TOKEN" "$URL/jobs/$ID")"
call -X POST "$URL/logout"
note "and after logging out $(status_of -H "Authorization: Bearer $TOKEN" "$URL/me")"
