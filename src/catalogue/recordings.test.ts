/** The index of recorded programs says what is there, and every one of them can be linked to. */
import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { parseLink } from '../scenario/links.ts';
import type { RecordedEntry } from './entry.ts';
import { isRecording, recordingId } from './recordings.ts';
import { readIndex, readRecordings } from './vite-plugin.ts';

const FOLDER = new URL('../../public/kvm-traces/', import.meta.url);
const KERNELS = readdirSync(FOLDER);
const INDEX = readRecordings();
/** What the list of all scenarios costs to fetch, in characters. */
const MOST_CHARACTERS = 12_000;

test('the index has every recording, and of each what its own file says', () => {
  for (const kernel of KERNELS) {
    const there = readdirSync(new URL(`${kernel}/`, FOLDER)).sort();
    const listed = INDEX.filter(({ kernels }) => kernels.includes(kernel)).map(({ name }) => name);
    expect(listed.sort()).toEqual(there);
    for (const entry of INDEX) {
      const packed = readFileSync(new URL(`${kernel}/${entry.name}/scenario.json.gz`, FOLDER));
      const said = JSON.parse(gunzipSync(packed).toString()) as Pick<RecordedEntry, 'title' | 'about'> & {
        steps: readonly unknown[];
      };
      const { title, about, steps } = entry;
      expect({ title, about, steps }).toEqual({
        title: said.title,
        about: said.about,
        steps: said.steps.length,
      });
    }
  }
  expect(JSON.stringify(INDEX).length).toBeLessThan(MOST_CHARACTERS);
});

test('each has an id that links accept, and that no other scenario of the catalogue can have', async () => {
  const ids = INDEX.flatMap(({ name, kernels }) => kernels.map((kernel) => recordingId(kernel, name)));
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) {
    expect(isRecording(id)).toBe(true);
    expect(await parseLink(`#/s/${id}?at=5.3`)).toMatchObject({ kind: 'catalogue', id });
  }
  expect(readIndex().filter(({ id }) => isRecording(id))).toEqual([]);
});
