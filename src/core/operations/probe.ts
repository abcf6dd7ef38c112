/**
 * One access tried out: what it would do to the world as it stands, with or without some bits flipped first. The
 * scenario's own operations run on a journal of their own; then everything is taken back, so that looking changes
 * nothing. There is no second walk.
 */
import { assert } from '../assert.ts';
import type { Translation } from '../hardware/tlb.ts';
import { Journal, type AnyValue } from '../machine/journal.ts';
import { Machine } from '../machine/machine.ts';
import type { TableName } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { gva as toGva, vcpuId } from '../quantities.ts';
import type { Settings } from '../settings.ts';
import type { AccessResult } from './access.ts';
import { engineOf } from './engines.ts';
import type { AccessOperation, Operation } from './operation.ts';
import { preparationsOf } from './probe-flips.ts';
import {
  entriesOf,
  outcomeOf,
  readingOf,
  remarksOf,
  stepAt,
  type Probe,
  type ProbeRequest,
  type Reading,
} from './probe-result.ts';
import { stopOf } from './recorder.ts';
import { runOperation } from './run-operation.ts';

/** Tries an access out. The world is afterwards as it was. */
export function probe(world: World, settings: Settings, request: ProbeRequest): Probe {
  const size = world.size();
  const journal = new Journal();
  const m = new Machine({ settings, journal, world });
  m.vcpu = request.vcpu;
  const operations = preparationsOf(world, settings, request);
  const emptied = request.caches === 'empty' ? emptyCaches(world, request.vcpu) : [];
  let trial: Trial;
  try {
    trial = runTrial(m, { journal, request, operations });
  } finally {
    for (let change = journal.changes - 1; change >= 0; change -= 1) {
      const { table, key } = journal.changedPlace(change);
      world.put(table, key, journal.valueBefore(change));
    }
    for (const { table, key, value } of emptied) world.put(table, key, value);
  }
  assert(world.size() === size, 'looking changes nothing');
  return finished(trial, { world, settings, journal, request });
}

/** Takes the cached translations of a vCPU out of the world, and gives them. */
function emptyCaches(
  world: World,
  vcpu: number,
): readonly { table: TableName; key: number | string; value: AnyValue }[] {
  const taken = (['tlb', 'psc'] as const).flatMap((table) =>
    [...world.tables[table]]
      .filter(([, entry]) => entry.vcpu === vcpu)
      .map(([key, value]) => ({ table, key, value })),
  );
  for (const { table, key } of taken) world.put(table, key, undefined);
  return taken;
}

interface Costs {
  readonly refs: number;
  readonly spared: number;
  readonly adw: number;
  readonly exits: number;
}

interface Trial {
  readonly preparations: Probe['preparations'];
  /** Steps of the access, in the journal. */
  readonly first: number;
  readonly translatedEnd: number;
  readonly translation: Translation | undefined;
  readonly physical: bigint;
  readonly last: Translation | undefined;
  readonly costs: Costs;
  readonly exits: number;
  readonly reading: Reading;
  readonly remarks: Probe['remarks'];
  readonly result: AccessResult | undefined;
  readonly stopped: string | undefined;
}

function runTrial(
  m: Machine,
  by: { journal: Journal; request: ProbeRequest; operations: readonly Operation[] },
): Trial {
  const { journal, request } = by;
  const preparations: { operation: Operation; done: boolean }[] = [];
  let translation: Translation | undefined;
  let last: Translation | undefined;
  let first = 0;
  let translatedEnd = 0;
  let [before, costs] = [costsOf(m), costsOf(m)];
  let [result, stopped]: [AccessResult | undefined, string | undefined] = [undefined, undefined];
  const real = engineOf(m.settings);
  const translate: typeof real.translate = (machine, asked) => {
    last = real.translate(machine, asked);
    if (translation === undefined) {
      [translation, translatedEnd, costs] = [last, journal.steps, costsOf(m)];
    }
    return last;
  };
  try {
    for (const operation of by.operations) preparations.push(prepare(m, journal, operation));
    first = journal.steps;
    translatedEnd = first;
    [before, costs] = [costsOf(m), costsOf(m)];
    result = m.call('operation', { index: 0 }, () => access(m, request, { ...real, translate }));
  } catch (error) {
    stopped = stopOf(m, error).message;
    if (translation === undefined) translatedEnd = journal.steps;
  }
  return {
    preparations,
    first,
    translatedEnd,
    translation,
    physical: translation?.kind === 'ok' ? real.physical(m, translation.address) : 0n,
    last,
    costs: less(costs, before),
    exits: costsOf(m).exits - before.exits,
    reading: readingOf(m),
    remarks: remarksOf(m),
    result,
    stopped,
  };
}

/** While the hypervisor is at work the guest cannot act: then only the processor's own part is shown. */
function access(
  m: Machine,
  request: ProbeRequest,
  engine: ReturnType<typeof engineOf>,
): AccessResult | undefined {
  m.vcpu = request.vcpu;
  if (m.get('vcpu', request.vcpu)?.mode === 'guest')
    return runOperation(m, { operation: probeAccess(request) }, engine).result;
  const { access: asked, user, gva } = request;
  engine.translate(m, { access: asked, user, gva });
  return undefined;
}

/** The access as an operation: 8 bytes where they fit the address. A store stores 1. */
export function probeAccess({ vcpu, user, access, gva }: ProbeRequest): AccessOperation {
  return {
    kind: 'access',
    vcpu: vcpuId(vcpu),
    privilege: user ? 'user' : 'kernel',
    access,
    gva: toGva(gva),
    bytes: access === 'execute' || (gva & 7n) !== 0n ? 1 : 8,
    value: access === 'write' ? 1n : 0n,
  };
}

function prepare(
  m: Machine,
  journal: Journal,
  operation: Operation,
): { operation: Operation; done: boolean } {
  const from = journal.steps;
  m.call('operation', { index: 0 }, () => runOperation(m, { operation }));
  const kinds = Array.from({ length: journal.steps - from }, (_, at) => journal.kind(from + at));
  return { operation, done: !kinds.includes('guest-gp') && !kinds.includes('outside-nothing') };
}

function costsOf(m: Machine): Costs {
  const count = (name: string): number => m.get('counter', `${name}@${String(m.vcpu)}`) ?? 0;
  return { refs: count('refs'), spared: count('spared'), adw: count('adw'), exits: count('exits') };
}

const less = (after: Costs, before: Costs): Costs => ({
  refs: after.refs - before.refs,
  spared: after.spared - before.spared,
  adw: after.adw - before.adw,
  exits: after.exits - before.exits,
});

function finished(
  trial: Trial,
  by: { world: World; settings: Settings; journal: Journal; request: ProbeRequest },
): Probe {
  const { first, preparations, costs } = trial;
  const { world, settings, journal, request } = by;
  const steps = Array.from({ length: journal.steps - first }, (_, at) => stepAt(journal, first + at));
  const translated = trial.translatedEnd - first;
  const outcome = outcomeOf(trial, { world, steps: steps.slice(0, translated) });
  const mended = outcome.kind === 'page-fault' && settings.machine.startsWith('kvm-');
  return {
    request,
    steps,
    translated,
    outcome,
    end:
      mended && (trial.result !== undefined || trial.stopped !== undefined)
        ? {
            result: trial.result,
            emulated: trial.result?.completed === true && trial.last?.kind !== 'ok',
            exits: trial.exits,
            stopped: trial.stopped,
          }
        : undefined,
    entries: entriesOf(steps, { world, settings, vcpu: request.vcpu, reading: trial.reading }),
    remarks: trial.remarks,
    guestLevels: trial.reading.guest.levels.length,
    refs: costs.refs,
    spared: costs.spared,
    adw: costs.adw,
    preparations,
  };
}
