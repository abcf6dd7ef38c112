/** Every recording that the app opens: its text, its run as a timeline, and the kernel's trace beside it. */
import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { planScenario } from '../scenario/plan.ts';
import { isProblems, parseScenario } from './recording.ts';
import { textForm } from './text-form.ts';

const FOLDER = new URL('../../public/kvm-traces/', import.meta.url);
const ALL = readdirSync(FOLDER).flatMap((kernel) =>
  readdirSync(new URL(`${kernel}/`, FOLDER)).map((name) => `${kernel}/${name}`),
);
const read = (id: string, file: string): string =>
  gunzipSync(readFileSync(new URL(`${id}/${file}.gz`, FOLDER))).toString();

describe.each(ALL)('%s', (id) => {
  const scenario = parseScenario(read(id, 'scenario.json'));
  if (isProblems(scenario)) throw new Error(scenario.problems.join(' '));
  const form = textForm(scenario);
  const planned = planScenario(form.text);

  test('its text is a scenario, with one operation for each recorded step', () => {
    if (planned.kind === 'problems') {
      expect(
        planned.problems.map(
          ({ line, message }) => `${String(line)} ${form.text.split('\n')[line - 1]}: ${message}`,
        ),
      ).toEqual([]);
      return;
    }
    const { body } = planned.plan.program;
    expect(body.map(({ line, lastLine, text }) => ({ line, lastLine, text }))).toEqual(form.steps);
  });
});
