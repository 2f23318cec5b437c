// Uploads a file with tus-js-client, a client that nobody here wrote: node tus_upload.mjs WEB_FOLDER ENDPOINT TOKEN FILE
// Prints the upload's URL, and how often the client had to try again.
import { createReadStream } from "node:fs";
import { createRequire } from "node:module";

const [folder, endpoint, token, path] = process.argv.slice(2);
const { Upload } = createRequire(`${folder}/package.json`)("tus-js-client");

let retries = 0;
const upload = new Upload(createReadStream(path), {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: "Zoë's talk.mp3", filetype: "audio/mpeg", language: "de" },
  chunkSize: 4 * 1024 * 1024,
  retryDelays: Array(20).fill(100),
  onShouldRetry: () => {
    retries += 1;
    return true;
  },
  onError: (error) => {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess: () => console.log(JSON.stringify({ url: upload.url, retries })),
});
upload.start();
