/** Recorded programs of real kernels, for tests. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const FOLDER = fileURLToPath(new URL('../../public/kvm-traces/', import.meta.url));

/** All of them, `6.12/shadow64-cow`. */
export const RECORDINGS: readonly string[] = readdirSync(FOLDER).flatMap((kernel) =>
  readdirSync(`${FOLDER}${kernel}`).map((name) => `${kernel}/${name}`),
);

/** One of the four files of a recording. */
export const recordedFile = (
  recording: string,
  file: 'scenario.json' | 'observed.json' | 'state.json' | 'trace.txt',
): string => gunzipSync(readFileSync(`${FOLDER}${recording}/${file}.gz`)).toString();
