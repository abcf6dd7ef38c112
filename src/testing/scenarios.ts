/** Scenarios for tests: the catalogue's, and generated ones. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import type { SettingChoices } from '../scenario/ast.ts';
import { planScenario, type Plan } from '../scenario/plan.ts';
import { record, type Timeline } from '../timeline/timeline.ts';

/** Cases of a property: a few hundred in `npm test`, thousands in `npm run soak`. */
export const SOAKING = process.env['SOAK'] !== undefined;
export const RUNS = SOAKING ? 5000 : 200;

/** The ids of all scenarios of the catalogue. */
export const CATALOGUE_IDS: readonly string[] = readdirSync(
  fileURLToPath(new URL('../../public/scenarios/', import.meta.url)),
)
  .filter((file) => file.endsWith('.mmu'))
  .map((file) => file.slice(0, -'.mmu'.length));

export const catalogueText = (id: string): string =>
  readFileSync(fileURLToPath(new URL(`../../public/scenarios/${id}.mmu`, import.meta.url)), 'utf8');

export function planOf(text: string, settings: SettingChoices = {}): Plan {
  const result = planScenario(text, settings);
  if (result.kind === 'problems')
    throw new Error(
      result.problems.map((p) => `${String(p.line)}:${String(p.column)} ${p.message}`).join('\n'),
    );
  return result.plan;
}

export const timelineOf = (text: string, settings: SettingChoices = {}): Timeline =>
  record(planOf(text, settings).program);

const USER = ['0x400000', '0x401000', '0x402000', '0x600000', '0x40000000'];
const KERNEL = ['0xffff880000010000', '0xffff880000011000', '0xffff880000012000', '0xffff880000013000'];
const WINDOWS = ['0xffff888000000000', '0xffff888000001000', '0xffff888000002000'];

const choice = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const flags = fc.record({ rw: fc.boolean(), accessed: fc.boolean(), dirty: fc.boolean(), nx: fc.boolean() });
const flagText = (f: { rw: boolean; accessed: boolean; dirty: boolean; nx: boolean }, who: string): string =>
  [f.rw ? 'rw' : 'ro', who, f.accessed ? 'accessed' : '', f.dirty ? 'dirty' : '', f.nx ? 'nx' : '']
    .filter((word) => word !== '')
    .join(' ');
const frame = fc.integer({ min: 0x40, max: 0x44 }).map((gfn) => `gfn 0x${gfn.toString(16)}`);

/** An access with a handler that maps the page and tries again. */
const access = fc
  .tuple(choice([...USER, ...KERNEL]), choice(['read', 'write', 'exec']), fc.boolean(), frame)
  .map(([address, verb, user, target]) => {
    const who = user && !address.startsWith('0xffff') ? 'user' : 'kernel';
    const text = `v0 ${who} ${verb} ${address}+8${verb === 'write' ? ' = 0x1234' : ''}`;
    return address.startsWith('0xffff')
      ? text
      : `${text}\n  on #PF\n    set-pte ${address} -> ${target} rw user accessed dirty\n    invlpg ${address}\n    retry`;
  });

/** A change of a guest entry, followed by the INVLPG that the guest owes. */
const entryChange = fc
  .tuple(choice(USER), frame, flags, fc.boolean())
  .map(
    ([address, target, f, absent]) =>
      `v0 kernel set-pte ${address} -> ${absent ? 'absent' : `${target} ${flagText(f, 'user')}`}\nv0 kernel invlpg ${address}`,
  );

/** A store of a part of an entry, or of something else, into a page table. */
const partialStore = fc
  .tuple(choice(WINDOWS), fc.integer({ min: 256, max: 511 }), choice([1, 2, 4, 8]))
  .map(
    ([window, index, bytes]) =>
      `v0 kernel write ${window}+0x${(index * 8).toString(16)} = 0 bytes=${String(bytes)}`,
  );

/** An upper entry loses or regains rights, or its table. The guest drops all its translations then. */
const upperChange = fc
  .tuple(choice(['0x400000', '0x600000']), flags, fc.boolean())
  .map(
    ([address, f, absent]) =>
      `v0 kernel set-pte ${address} level=2 -> ${absent ? 'absent' : `table ${flagText(f, 'user')}`}\nv0 kernel load-cr3 main`,
  );

const others = choice([
  'v0 cpuid',
  'v0 kernel load-cr3 main',
  'v0 kernel load-cr3 B\nv0 kernel load-cr3 main',
  'v0 kernel invlpg 0x400000',
  'v0 kernel set cr0.wp = 0',
  'v0 kernel set cr0.wp = 1',
]);

/** Scenarios whose guest obeys the architecture: INVLPG after every change of an entry. */
export const scenario: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(fc.tuple(choice(USER), frame, flags), { maxLength: 4 }),
    fc.array(fc.tuple(choice(KERNEL), frame, flags), { maxLength: 3 }),
    fc.array(
      fc.oneof(
        { weight: 5, arbitrary: access },
        { weight: 3, arbitrary: entryChange },
        { weight: 2, arbitrary: partialStore },
        { weight: 2, arbitrary: upperChange },
        others,
      ),
      { minLength: 1, maxLength: 12 },
    ),
  )
  .map(([user, kernel, operations]) => {
    const once = new Set<string>();
    const lines = [
      ...user.map(([a, g, f]) => [a, `${g} ${flagText(f, 'user')}`] as const),
      ...kernel.map(([a, g, f]) => [a, `${g} ${flagText(f, 'kernel')}`] as const),
    ].filter(([a]) => {
      const fresh = !once.has(a);
      once.add(a);
      return fresh;
    });
    return [
      'mmuscope 1',
      'title Generated',
      'machine kvm-2007',
      'slot 0x0 16M',
      ...lines.map(([a, rest]) => `map ${a} -> ${rest}`),
      ...USER.filter((a) => !once.has(a)).map((a) => `map ${a} -> absent`),
      `map ${WINDOWS[0] ?? ''} -> table-of 0x400000 rw kernel accessed dirty`,
      `map ${WINDOWS[1] ?? ''} -> table-of 0x600000 rw kernel accessed`,
      `map ${WINDOWS[2] ?? ''} -> table-of 0x40000000 rw kernel accessed dirty`,
      'map 0xffff888000003000 -> table-of 0x400000 level=2 rw kernel accessed dirty',
      'space B kernel=main',
      'begin',
      ...operations,
    ].join('\n');
  });

/** Choices of settings under which nothing may go wrong. */
export const correctSettings: fc.Arbitrary<SettingChoices> = fc.record({
  cpu: choice(['vmx-novpid', 'svm', 'vmx-vpid']),
  'flush-size': choice(['context', 'page']),
  asids: choice(['63', '4']),
  'cr3-cache': choice(['off', 'on']),
  'gpte-write': choice(['zap', 'update']),
  flush: choice(['always', 'on-fault']),
});
