/** The compressed JavaScript and CSS that the first load needs, against its bound. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const LIMIT = 150_000;
const dist = fileURLToPath(new URL('../../dist/', import.meta.url));
const page = readFileSync(`${dist}index.html`, 'utf8');
const files = [...page.matchAll(/(?:src|href)="\.\/(assets\/[^"]+\.(?:js|css))"/g)].map(
  (match) => match[1] ?? '',
);
let [brotli, gzip] = [0, 0];
for (const file of files) {
  const bytes = readFileSync(dist + file);
  brotli += brotliCompressSync(bytes).length;
  gzip += gzipSync(bytes, { level: 9 }).length;
}
if (files.length === 0 || brotli > LIMIT) process.exitCode = 1;
console.log(
  `first load: ${String(files.length)} files, ${String(brotli)} bytes (brotli; gzip ${String(gzip)}), bound ${String(LIMIT)}`,
);
