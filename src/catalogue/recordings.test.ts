/** The index of recorded programs says what is there, and every one of them can be linked to. */
import { expect, test } from 'vitest';
import { parseLink } from '../scenario/links.ts';
import { recordedFile, RECORDINGS } from '../testing/recordings.ts';
import { isRecording, recordingId } from './recordings.ts';
import { readIndex, readRecordings } from './vite-plugin.ts';

const INDEX = readRecordings();
/** What the list of all scenarios costs to fetch, in characters. */
const MOST_CHARACTERS = 12_000;

test('the index has every recording, and of each what its own file says', () => {
  const listed = INDEX.flatMap(({ name, kernels }) => kernels.map((kernel) => `${kernel}/${name}`));
  expect(listed.sort()).toEqual([...RECORDINGS].sort());
  for (const { name, kernels, title, about, steps } of INDEX)
    for (const kernel of kernels) {
      const said = JSON.parse(recordedFile(`${kernel}/${name}`, 'scenario.json')) as (typeof INDEX)[number];
      expect({ title, about }).toEqual({ title: said.title, about: said.about });
      expect(said.steps).toHaveLength(steps);
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
