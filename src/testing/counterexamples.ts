/**
 * Finds programs that go wrong under a wrong policy and not under the right one, makes them small, and prints them as
 * scenarios with what they show.
 */
import fc from 'fast-check';
import type { SettingChoices } from '../scenario/ast.ts';
import { formatScenario, planScenario } from '../scenario/plan.ts';
import { twoStageText } from './two-stage-programs.ts';
import { programText, vcpuProgram } from './vcpu-programs.ts';
import { COSTS, watch, wrongs, type Watched } from './watched-run.ts';
import { watchTwoStage } from './watched-two-stage.ts';
import { choicesFor, WRONG_POLICIES, type Search } from './wrong-policies.ts';

/** How a text runs under some settings; nothing where it cannot. */
export function watchText(text: string, choices: SettingChoices): Watched | undefined {
  const planned = planScenario(text, choices);
  if (planned.kind !== 'ok') return undefined;
  const { program } = planned.plan;
  return program.settings.machine === 'two-stage' ? watchTwoStage(program) : watch(program);
}

/** Whether a text goes wrong under the wrong policy, and goes well under the right one. */
export function shows(text: string, id: string): boolean {
  const { wrong, right } = choicesFor(id);
  const seen = watchText(text, wrong);
  if (seen === undefined || !mayShow(seen, id)) return false;
  const well = watchText(text, right);
  if (well === undefined || wrongs(well).length > 0) return false;
  const by = shownBy(id);
  return by === 'guest' || by === 'host' || seen.costs[by] > well.costs[by];
}

function shownBy(id: string): NonNullable<Search['shownBy']> {
  return WRONG_POLICIES[id]?.shownBy ?? 'guest';
}

/** What the guest sees counts; where nothing reaches the guest, the search says what else does. */
function mayShow(seen: Watched, id: string): boolean {
  const by = shownBy(id);
  if (by === 'host') return seen.stop !== undefined;
  return by === 'guest' ? seen.complaints.length > 0 : seen.costs[by] > 0;
}

const pairs = (choices: SettingChoices): string =>
  Object.entries(choices)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');

/** Texts of programs on the machine of a search, with the wrong policy chosen. */
function searchTexts(id: string, search: Search): fc.Arbitrary<string> {
  const { machine = 'kvm-2007', ...settings } = search.machine;
  const mended: SettingChoices = machine === 'kvm-2007' ? { 'shipped-bugs': 'none' } : {};
  const policy = `policy ${pairs({ ...mended, ...search.policy, ...choicesFor(id).wrong })}`;
  const texts =
    machine === 'two-stage'
      ? twoStageText(settings)
      : guestTexts(`machine ${machine} ${pairs(settings)}`, search);
  return texts.map((text) => text.replace(/^machine .*$/m, (line) => `${line}\n${policy}`));
}

const guestTexts = (machine: string, { vcpus, modes, also, around }: Search): fc.Arbitrary<string> =>
  vcpuProgram({
    manners: 'obeys',
    vcpus: [vcpus],
    ...(modes === undefined ? {} : { modes }),
    ...(also === undefined ? {} : { also }),
    ...(around === undefined ? {} : { around }),
  }).map((program) => programText(program, machine));

export interface Budget {
  readonly seed?: number;
  readonly runs: number;
  /** Whether fast-check is to make what it has found smaller. */
  readonly shrink: boolean;
}

/** The first program that shows what is wrong about a policy; nothing where none of them does. */
export function findProgram(id: string, search: Search, budget: Budget): string | undefined {
  const property = fc.property(searchTexts(id, search), (text) => !shows(text, id));
  const { counterexample } = fc.check(property, {
    numRuns: budget.runs,
    endOnFailure: !budget.shrink,
    ...(budget.seed === undefined ? {} : { seed: budget.seed }),
  });
  return counterexample?.[0];
}

/** Lines that stay: version, title, machine, policy. */
const HEAD = 4;

/** The same text without the lines that make no difference, single lines and then pairs of lines that need each other. */
export function withoutIdleLines(text: string, id: string): string {
  let lines = text.split('\n');
  const still = (kept: readonly string[]): boolean => shows(kept.join('\n'), id);
  for (let before = -1; before !== lines.length;) {
    before = lines.length;
    for (const size of [1, 2, 4])
      for (let at = lines.length - size; at >= HEAD; at -= 1) {
        const kept = [...lines.slice(0, at), ...lines.slice(at + size)];
        if (still(kept)) lines = kept;
      }
  }
  return lines.join('\n');
}

/** What was seen of an access, as an expectation says it. */
function seenOf({ result }: Watched['operations'][number]): string {
  if (result === undefined) return '';
  if (result.hostFault !== undefined) return `host-fault=0x${result.hostFault.code.toString(16)}`;
  const fault = result.faults.at(-1);
  if (fault !== undefined) return `fault=0x${fault.errorCode.toString(16)}`;
  return result.value === undefined ? 'no fault' : `read=0x${result.value.toString(16)}`;
}

/** The file in which the program of a wrong policy is kept. */
export const keptName = (id: string): string => `${id.replace('=', '-')}.mmu`;

/** The text as a scenario: the accesses that differ, what breaks under the wrong policy, and nothing under the right one. */
export function asScenario(text: string, id: string): string {
  const { wrong, right } = choicesFor(id);
  const [bad, good] = [watchText(text, wrong), watchText(text, right)];
  if (bad === undefined || good === undefined) throw new Error(`${id}: the text does not run`);
  const lines = text.split('\n').map((line) => (line.startsWith('title ') ? `title Found: ${id}` : line));
  const added = new Map<number, string[]>();
  bad.operations.forEach((operation, at) => {
    const other = good.operations[at];
    const [mine, theirs] = [seenOf(operation), other === undefined ? '' : seenOf(other)];
    if (mine === theirs || mine === '' || theirs === '') return;
    added.set(operation.lastLine, [
      `expect ${mine} when ${pairs(wrong)}`,
      `expect ${theirs} when ${pairs(right)}`,
    ]);
  });
  // What no access, rule or harm says, a count may.
  const told = added.size > 0 || bad.violations.length > 0 || bad.harms.length > 0;
  const costs = COSTS.filter((cost) => !told && bad.costs[cost] !== good.costs[cost]);
  return formatScenario(
    [
      ...lines.flatMap((line, at) => [line, ...(added.get(at + 1) ?? [])]),
      ...costs.flatMap((cost) => [
        `expect ${cost}=${String(bad.costs[cost])} when ${pairs(wrong)}`,
        `expect ${cost}=${String(good.costs[cost])} when ${pairs(right)}`,
      ]),
      ...bad.violations.map((rule) => `expect violation ${rule} when ${pairs(wrong)}`),
      ...bad.harms.map((kind) => `expect harm ${kind} when ${pairs(wrong)}`),
      `expect no violation when ${pairs(right)}`,
      `expect no harm when ${pairs(right)}`,
      `try "The right policy" ${pairs(right)}`,
      '',
    ].join('\n'),
  );
}
