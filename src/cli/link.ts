/** `link <file or id>`: the link of a text at its first step; `link '#/...'`: what a link says. */
import type { SettingChoices } from '../scenario/ast.ts';
import { formatLink, parseLink, type Place } from '../scenario/links.ts';
import { planScenario } from '../scenario/plan.ts';
import { stepCheck } from '../scenario/step-check.ts';
import { record } from '../timeline/timeline.ts';
import { catalogueIds, problemText, readScenario, type Print } from './run.ts';

export interface LinkOptions {
  readonly settings: SettingChoices;
  readonly at: Place;
}

export async function linkCommand(name: string, options: LinkOptions, print: Print): Promise<number> {
  if (name.includes('#/')) return readLink(name.slice(name.indexOf('#/')), print);
  const text = readScenario(name);
  const planned = planScenario(text, options.settings);
  if (planned.kind === 'problems') {
    planned.problems.forEach((problem) => {
      print(problemText(problem));
    });
    return 1;
  }
  const timeline = record(planned.plan.program);
  const { operation, step } = options.at;
  const position = timeline.positionNamed(operation, step);
  if (position === undefined) {
    print(`There is no step ${operation}.${String(step)} in this scenario.`);
    return 1;
  }
  const state = { ...options, check: stepCheck(timeline, position, options.settings) };
  const source = catalogueIds().includes(name)
    ? ({ kind: 'catalogue', id: name } as const)
    : ({ kind: 'own', text } as const);
  print(await formatLink(source, state));
  return 0;
}

async function readLink(hash: string, print: Print): Promise<number> {
  const link = await parseLink(hash);
  if (link.kind === 'problems') {
    link.sentences.forEach(print);
    if (link.text !== undefined) print(link.text);
    return 1;
  }
  print(link.kind === 'own' ? link.text : link.kind === 'catalogue' ? readScenario(link.id) : link.kind);
  return 0;
}
